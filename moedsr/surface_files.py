"""Truth and prediction of a few frames, as files to look at."""

from pathlib import Path

from moedsr.data.batches import spread
from moedsr.evaluation import Evaluator
from moedsr.geometry.level_set import extract_level_set

_FRAMES = 4
_RESOLUTION = 64


def write_surfaces(folder: Path, evaluator: Evaluator) -> None:
    """For the first evaluated protein: PLY files of truth and prediction (Å, the PDB's coordinates), and a picture.

    Args:
        folder: receives ``<protein>/truth_<frame>.ply``, ``<protein>/prediction_<frame>.ply``, ``overview.png``.
        evaluator: that has just scored the model.
    """
    # half a second of matplotlib, which no worker should wait for before its first step
    from moedsr.pictures import write_overview

    name = evaluator.names[0]
    truth, field = evaluator.truth(name), evaluator.fields[name]
    protein = truth.protein
    own = folder / name
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
        title=f"{name} ({protein.split or 'no'} split)",
    )
