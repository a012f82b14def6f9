"""Truth and prediction of a few frames, as files to look at."""

from pathlib import Path

from moedsr.batches.training_frames import spread
from moedsr.evaluation.evaluation import Evaluator
from moedsr.pictures.stored_motion import stored_surface

_FRAMES = 4


def write_surfaces(folder: Path, evaluator: Evaluator) -> None:
    """For the first evaluated protein: PLY files of truth and prediction (Å, the PDB's coordinates), pictures, a page.

    Args:
        folder: receives ``<protein>/truth_<frame>.ply``, ``<protein>/prediction_<frame>.ply``, ``overview.png``; the
            truth coloured by the expert that is nearest to it, ``<protein>/experts_<frame>.ply``, ``experts.png``; and
            ``player.html``, which plays all of them.
        evaluator: that has just scored the model.
    """
    # half a second of matplotlib, which no worker should wait for before its first step
    from moedsr.pictures.compared_surfaces import compare, comparing_views
    from moedsr.pictures.surface_player import write_player
    from moedsr.pictures.surface_views import expert_legend
    from moedsr.pictures.surfaces import write_coloured, write_overview

    name = evaluator.names[0]
    protein, settings = evaluator.store.protein(name), evaluator.store.settings
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    chosen = spread(evaluator.frames(name), _FRAMES)
    frames = [
        compare(evaluator.field(name, frame), protein, frame, stored_surface(protein, frame, settings))
        for frame in chosen
    ]
    for one in frames:
        one.truth.write_ply(own / f"truth_{one.frame:04d}.ply")
        one.prediction.write_ply(own / f"prediction_{one.frame:04d}.ply")
        one.truth.write_ply(own / f"experts_{one.frame:04d}.ply", one.territory.colours)
    times = [one.time for one in frames]
    title = f"{name} ({protein.split or 'no'} split)"
    write_overview(
        folder / "overview.png",
        times=times,
        truths=[one.truth for one in frames],
        predictions=[one.prediction for one in frames],
        title=title,
    )
    write_coloured(
        folder / "experts.png",
        times=times,
        meshes=[one.truth for one in frames],
        colours=[one.territory.colours / 255 for one in frames],
        legend=expert_legend([one.territory for one in frames]),
        title=f"{name}: the expert whose own surface is nearest to the truth",
    )
    labels = [f"t = {one.time:+.3f}, frame {one.frame}" for one in frames]
    write_player(folder / "player.html", comparing_views(frames), labels=labels, title=title)
