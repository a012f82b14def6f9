"""From a checkpoint and a PDB file to surfaces."""

import shutil
from pathlib import Path

import builders
import numpy as np
import pytest
import torch
import trimesh

from moedsr.config import Config
from moedsr.errors import InputError
from moedsr.inference.inference import SurfacePredictor
from moedsr.models.experts import EXPERTS
from moedsr.models.moedsr import MoEDSR
from moedsr.structures.ensemble import find_ensembles


@pytest.fixture(params=EXPERTS)
def predictor(tiny_run: Config, tmp_path: Path, request: pytest.FixtureRequest) -> SurfacePredictor:
    expert = tiny_run.expert.model_copy(update={"kind": request.param})
    if request.param == "dsr":  # untrained and beside a protein code, at its own radius it is outside everywhere
        expert = expert.model_copy(update={"initial_radius": 3.2})
    tiny_run = tiny_run.model_copy(update={"expert": expert})
    folder = builders.save_untrained(tmp_path / "checkpoint", tiny_run)
    return SurfacePredictor.load(folder, device="cpu")


@pytest.fixture
def pdb() -> Path:
    return next(e.topology for e in find_ensembles("mini-atlas") if e.name == "1l2y_A")


def test_surfaces_are_watertight_and_where_the_protein_is(
    predictor: SurfacePredictor, pdb: Path, tmp_path: Path
) -> None:
    surfaces = list(predictor.predict(pdb, [-1.0, 0.0], resolution=32))
    assert [s.time for s in surfaces] == [-1.0, 0.0]
    lines = [line for line in pdb.read_text().splitlines() if line.startswith("ATOM") and line[12:16] == " CA "]
    centre = np.array([[float(line[i : i + 8]) for i in (30, 38, 46)] for line in lines]).mean(0)
    for number, surface in enumerate(surfaces):
        path = tmp_path / f"{number}.ply"
        surface.mesh.write_ply(path)
        mesh = trimesh.load(path)
        assert mesh.is_watertight
        assert mesh.volume > 0
        # untrained, all but one are roughly a sphere about the centre, in the file's own coordinates; radius 11 Å
        if predictor.config.expert.kind != "dsr":
            assert np.linalg.norm(mesh.center_mass - centre) < 0.5 * mesh.bounding_sphere.primitive.radius


def test_prediction_is_deterministic_whatever_the_file_is_called(
    predictor: SurfacePredictor, pdb: Path, tmp_path: Path
) -> None:
    renamed = Path(shutil.copy(pdb, tmp_path / "another-name.pdb"))
    first, second = (next(iter(predictor.predict(path, [0.5], resolution=24))) for path in (pdb, renamed))
    np.testing.assert_array_equal(first.mesh.vertices, second.mesh.vertices)
    np.testing.assert_array_equal(first.mesh.faces, second.mesh.faces)


def test_one_residue_is_a_protein(predictor: SurfacePredictor, pdb: Path, tmp_path: Path) -> None:
    """Fewer residues than a point looks at, and a cloud with hardly more points than neighbours are looked for."""
    tryptophan = [line for line in pdb.read_text().splitlines() if line.startswith("ATOM") and line[22:26] == "   6"]
    (tmp_path / "w.pdb").write_text("\n".join([*tryptophan, "END", ""]))
    (surface,) = predictor.predict(tmp_path / "w.pdb", [0.5], resolution=24)
    assert len(surface.mesh.vertices) > 0
    assert np.isfinite(surface.mesh.vertices).all()


def test_missing_hydrogens_are_told(
    tiny_run: Config, pdb: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = SurfacePredictor.load(builders.save_untrained(tmp_path / "checkpoint", tiny_run), device="cpu")
    heavy = [line for line in pdb.read_text().splitlines() if line.startswith("ATOM") and line[76:78] != " H"]
    (tmp_path / "a crystal.pdb").write_text("\n".join([*heavy, ""]))
    next(predictor.predict(pdb, [0.0], resolution=16))
    assert not caplog.messages
    next(predictor.predict(tmp_path / "a crystal.pdb", [0.0], resolution=16))
    (message,) = caplog.messages
    assert message.startswith("a crystal.pdb: has no hydrogens; ")
    assert f"`pdbfixer '{tmp_path}/a crystal.pdb' " in message


@pytest.mark.parametrize(
    ("device", "message"), [("tpu", "must be auto, cpu, cuda"), ("cuda:99", r"torch finds \d+ GPUs here")]
)
def test_an_unknown_device_is_told(tiny_run: Config, tmp_path: Path, device: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^device is '{device}', but {message}"):
        SurfacePredictor.load(builders.save_untrained(tmp_path / "checkpoint", tiny_run), device=device)


def test_missing_file(predictor: SurfacePredictor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.pdb"):
        list(predictor.predict(tmp_path / "absent.pdb", [0.0]))


def test_fitted_code_explains_p0_better_than_zero(tiny_run: Config, pdb: Path) -> None:
    from moedsr.batches.protein_input import ProteinInput, collate
    from moedsr.inference.latent_fit import fit_code
    from moedsr.store.conformation import InitialConformation
    from moedsr.structures.trajectory import load_structure

    evaluation = tiny_run.evaluation.model_copy(update={"fit_steps": 60, "fit_points": 200})
    torch.manual_seed(0)
    model = MoEDSR(tiny_run.model_copy(update={"evaluation": evaluation}), 2).eval()
    with torch.no_grad():  # side columns start at zero, where no code changes anything
        model.experts.body.first_side.weight.normal_(std=0.1)
    initial = InitialConformation.of(load_structure(pdb), tiny_run.data.prepare, "1l2y_A")
    proteins = collate([ProteinInput.of(initial, tiny_run)], [-1])
    code = fit_code(model, proteins, initial.frame)
    points = torch.from_numpy(initial.frame.points / np.float32(initial.scale))[None, None]

    def misfit(codes: torch.Tensor) -> float:
        value, _ = model.field(points, torch.tensor([[-1.0]]), model.context(proteins, codes=codes))
        return value.abs().mean().item()

    assert misfit(code) < 0.9 * misfit(torch.zeros_like(code))
    assert all(p.grad is None for p in model.parameters())
