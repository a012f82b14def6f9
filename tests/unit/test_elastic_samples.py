"""Samples of an ensemble without a model: what the command writes, and what it refuses."""

from pathlib import Path

import mdtraj
import numpy as np
import pytest
import trimesh
from click.testing import CliRunner, Result

from moedsr.inference.elastic_samples import ElasticEnsemble, SurfaceStatistics
from moedsr.structures.ensemble import find_ensembles
from moedsr.structures.structure import load_structure
from moedsr_platform.cli import main

PDB = {ensemble.name: ensemble.topology for ensemble in find_ensembles("mini-atlas")}["1l2y_A"]
SAMPLES = 5


def predict(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["predict", "elastic", *map(str, arguments)])


@pytest.fixture(scope="module")
def ensemble() -> ElasticEnsemble:
    return ElasticEnsemble.of(PDB)


def test_files_of_samples(tmp_path: Path) -> None:
    out = tmp_path / "surfaces"
    result = predict(PDB, "--samples", SAMPLES, "--out", out, "--resolution", 48)
    assert result.exit_code == 0, result.output
    names = {f"1l2y_A_sample_{number:03d}.ply" for number in range(1, SAMPLES + 1)}
    names |= {f"1l2y_A_{part}.ply" for part in ("mean", "certain", "possible")}
    assert {path.name for path in out.iterdir()} == names | {"1l2y_A.html", "1l2y_A_samples.pdb"}
    certain, mean, possible = (
        trimesh.load(out / f"1l2y_A_{part}.ply").volume for part in ("certain", "mean", "possible")
    )
    samples = [trimesh.load(out / name).volume for name in sorted(names) if "sample" in name]
    assert 0 < certain < mean < possible
    assert certain < min(samples) <= max(samples) < possible
    models, structure = mdtraj.load(str(out / "1l2y_A_samples.pdb")), load_structure(PDB)
    assert len(models) == SAMPLES
    assert [atom.name for atom in models.topology.atoms] == list(structure.atom_names)
    moved = 10 * models.xyz - structure.positions
    assert 1 < np.sqrt(np.square(moved).sum(-1).mean()) < 4
    assert f"1 of {SAMPLES}" in (out / "1l2y_A.html").read_text()


def test_where_the_surface_fluctuates(ensemble: ElasticEnsemble) -> None:
    """Beside the atoms that the network moves most, and only by how far it moves them."""
    statistics = SurfaceStatistics(ensemble.initial, 64)
    for atoms in ensemble.conformations(12):
        statistics.add(ensemble.surface(atoms))
    points = statistics.mesh().vertices
    spread = statistics.rmsf(points)
    assert (spread >= 0).all()
    nearest = np.linalg.norm(points[:, None] - ensemble.structure.positions, axis=-1).argmin(1)
    assert np.corrcoef(spread, ensemble.network.atom_rmsf[nearest])[0, 1] > 0.3
    assert spread.mean() < ensemble.network.atom_rmsf.max()


def test_the_same_seed_gives_the_same_samples(ensemble: ElasticEnsemble) -> None:
    first, again, other = (next(ensemble.conformations(2, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--samples", 1], "--samples is 1, but must be from 2 to 1000"),
        (["--samples", 1001], "--samples is 1001, but must be from 2 to 1000"),
        (["--displacement", 0], "--displacement is 0 Å, but must be above 0 and below 10"),
        (["--times", "-1,0"], "--times belongs to a model; leave it out with `elastic`"),
    ],
)
def test_what_cannot_be_sampled(tmp_path: Path, arguments: list[object], message: str) -> None:
    result = predict(PDB, "--out", tmp_path / "new", *arguments)
    assert result.exit_code == 2
    assert result.stderr == f"moedsr: {message}\n"
    assert not (tmp_path / "new").exists()


def test_samples_belong_to_elastic(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["predict", str(tmp_path), str(PDB), "--samples", "5"])
    assert result.exit_code == 2
    assert result.stderr == f"moedsr: --samples belongs to `elastic`; leave it out with `{tmp_path}`\n"


def test_a_part_without_contacts_is_named(tmp_path: Path) -> None:
    lines = PDB.read_text().splitlines()
    far = [
        f"{line[:30]}{float(line[30:38]) + 60:8.3f}{line[38:]}"
        if line.startswith("ATOM") and int(line[22:26]) > 14
        else line
        for line in lines
    ]
    (tmp_path / "apart.pdb").write_text("\n".join(far) + "\n")
    result = predict(tmp_path / "apart.pdb", "--out", tmp_path / "new")
    assert result.exit_code == 2
    assert "falls into 2 pieces; residues 15-20 are" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()
