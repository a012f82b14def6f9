"""Truth and prediction of a few frames, as files to look at."""

from collections.abc import Mapping
from pathlib import Path

from moedsr.data.batches import spread
from moedsr.data.protein_input import ProteinInput
from moedsr.evaluation import Evaluator
from moedsr.geometry.level_set import extract_level_set
from moedsr.inference import protein_field
from moedsr.models.moedsr import MoEDSR
from moedsr.pictures import write_overview

_FRAMES = 4
_RESOLUTION = 96


def write_surfaces(folder: Path, model: MoEDSR, evaluator: Evaluator, codes: Mapping[str, int]) -> None:
    """For the first evaluated protein: PLY files of truth and prediction (Å, the PDB's coordinates), and a picture.

    Args:
        folder: receives ``<protein>/truth_<frame>.ply``, ``<protein>/prediction_<frame>.ply``, ``overview.png``.
        model: in evaluation mode.
        evaluator: whose proteins and frames are shown.
        codes: row of the code table of the proteins trained on.
    """
    truth = evaluator.truth(evaluator.names[0])
    protein = truth.protein
    protein_input = ProteinInput.of(protein, model.config)
    field = protein_field(model, protein_input, protein.frame(0), code_index=codes.get(protein.name, -1))
    own = folder / protein.name
    own.mkdir(parents=True, exist_ok=True)
    times, truths, predictions = [], [], []
    for frame in spread(truth.frames, _FRAMES):
        times.append(float(protein.times[frame]))
        level_set = extract_level_set(field.at(times[-1]), resolution=_RESOLUTION)
        truths.append(evaluator.surface(protein, frame).mesh().moved(shift=protein.centre))
        predictions.append(level_set.mesh.moved(scale=protein.scale, shift=protein.centre))
        truths[-1].write_ply(own / f"truth_{frame:04d}.ply")
        predictions[-1].write_ply(own / f"prediction_{frame:04d}.ply")
    write_overview(
        folder / "overview.png",
        times=times,
        truths=truths,
        predictions=predictions,
        title=f"{protein.name} ({protein.split or 'no'} split)",
    )
