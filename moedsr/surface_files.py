"""Truth and prediction of a few frames, as files to look at."""

from pathlib import Path

import numpy as np

from moedsr.data.training_frames import spread
from moedsr.evaluation import Evaluator
from moedsr.geometry.level_set import extract_level_set

_FRAMES = 4
_RESOLUTION = 64


def write_surfaces(folder: Path, evaluator: Evaluator) -> None:
    """For the first evaluated protein: PLY files of truth and prediction (Å, the PDB's coordinates), and pictures.

    Args:
        folder: receives ``<protein>/truth_<frame>.ply``, ``<protein>/prediction_<frame>.ply``, ``overview.png``, and
            the truth coloured by the expert that is nearest to it: ``<protein>/experts_<frame>.ply``, ``experts.png``.
        evaluator: that has just scored the model.
    """
    # half a second of matplotlib, which no worker should wait for before its first step
    from moedsr.expert_territory import colour_of, expert_territory
    from moedsr.pictures import write_coloured, write_overview

    name = evaluator.names[0]
    truth = evaluator.truth(name)
    protein = truth.protein
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    times, truths, predictions, territories = [], [], [], []
    for frame in spread(truth.frames, _FRAMES):
        times.append(float(protein.times[frame]))
        field = evaluator.field(name, frame)
        level_set = extract_level_set(field.at(times[-1]), resolution=_RESOLUTION)
        mesh = evaluator.surface(protein, frame).mesh()
        territories.append(expert_territory(field, mesh, times[-1], scale=protein.scale))
        truths.append(mesh.moved(shift=protein.centre))
        predictions.append(level_set.mesh.moved(scale=protein.scale, shift=protein.centre))
        truths[-1].write_ply(own / f"truth_{frame:04d}.ply")
        predictions[-1].write_ply(own / f"prediction_{frame:04d}.ply")
        colours = (255 * territories[-1].colours).round().astype(np.uint8)
        truths[-1].write_ply(own / f"experts_{frame:04d}.ply", colours)
    write_overview(
        folder / "overview.png",
        times=times,
        truths=truths,
        predictions=predictions,
        title=f"{name} ({protein.split or 'no'} split)",
    )
    shares = np.mean([territory.shares for territory in territories], axis=0)
    of = territories[0]
    write_coloured(
        folder / "experts.png",
        times=times,
        meshes=truths,
        colours=[territory.colours for territory in territories],
        legend=[
            (f"expert {expert}: gate {gate:.2f}, nearest on {share:.0%}", colour_of(expert))
            for expert, gate, share in zip(of.experts, of.gates, shares, strict=True)
        ],
        title=f"{name}: the expert whose own surface is nearest to the truth",
    )
