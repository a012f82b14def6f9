"""What is shown and printed of a stored protein is what the store holds."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from moedsr.geometry.occupancy import iou
from moedsr.pictures.stored_motion import motion_of, stored_surface, write_motion
from moedsr.store.store import SurfaceStore
from moedsr_platform.cli import main


def test_figures_are_those_of_the_frames(tiny_store: SurfaceStore) -> None:
    protein = tiny_store.protein("1vii_A")
    motion = motion_of(protein)
    moved = [protein.frame_residues(i) - protein.residue_positions for i in range(1, len(protein))]
    rmsd = [np.sqrt((step**2).sum(-1).mean()) for step in moved]
    assert motion.rmsd == pytest.approx(np.mean(rmsd))
    assert motion.largest_rmsd == pytest.approx(max(rmsd))
    naive = [iou(protein.occupancy(0), protein.occupancy(i)) for i in range(1, len(protein))]
    assert motion.naive_iou == pytest.approx(np.mean(naive))


def test_surface_lies_where_the_stored_points_lie(tiny_store: SurfaceStore) -> None:
    protein = tiny_store.protein("1l2y_A")
    mesh = stored_surface(protein, 2, tiny_store.settings)
    points = protein.frame(2).points
    assert np.abs(mesh.vertices.min(axis=0) - points.min(axis=0)).max() < 1.0
    assert np.abs(mesh.vertices.max(axis=0) - points.max(axis=0)).max() < 1.0


def test_picture_and_page_are_written(tiny_store: SurfaceStore, tmp_path: Path) -> None:
    protein = tiny_store.protein("1l2y_A")
    picture, page = write_motion(protein, tiny_store.settings, tmp_path / "new", 3)
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    assert "1l2y_A (train split), 20 residues" in text
    assert text.count("replica") == 3


def test_commands_print_and_write(tiny_store: SurfaceStore, tmp_path: Path) -> None:
    checked = CliRunner().invoke(main, ["data", "check", str(tiny_store.path)])
    assert checked.exit_code == 0, checked.output
    for head in ("hydrogens", "naive IoU", "1vii_A", "4 proteins are sound"):
        assert head in checked.output
    shown = CliRunner().invoke(
        main, ["data", "show", str(tiny_store.path), "1vii_A", "--out", str(tmp_path), "--frames", "2"]
    )
    assert shown.exit_code == 0, shown.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1vii_A.html", "1vii_A.png"]
    wrong = CliRunner().invoke(main, ["data", "show", str(tiny_store.path), "1vii_B"])
    assert wrong.exit_code == 2
    assert "did you mean `1vii_A`?" in wrong.output
