"""A predictor's scores on one target: of each frame, and of the ensemble as a whole."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moedsr.evaluation import ensemble_scores
from moedsr.evaluation.ensemble_scores import Occupancies
from moedsr.evaluation.metrics import compare_surfaces
from moedsr.evaluation.predictor import Predictor
from moedsr.evaluation.scored_surface import ScoredSurface, scored_fill
from moedsr.evaluation.scores import EnsembleScore, FrameScore
from moedsr.evaluation.target import Target
from moedsr.geometry.fill import FillSum


@dataclass(frozen=True)
class _Group:
    """Frames with one prediction."""

    frames: list[int]  # places among those scored
    members: list[int]  # places in the pool of surfaces


def score(
    target: Target, predictor: Predictor, frames: Sequence[int], *, meshes: bool = True
) -> tuple[list[FrameScore], EnsembleScore]:
    """Every score of one predictor.

    Args:
        target: the protein.
        predictor: that fits it.
        frames: to be scored, one or more.
        meshes: whether Chamfer distance and normals are wanted, which take the longest.
    """
    started = time.process_time()
    pool, groups = _predictions(target, predictor, frames)
    seconds = predictor.seconds(target) or time.process_time() - started
    truths = [target.truth(frame) for frame in frames]
    values: list[dict[str, float]] = [{} for _ in frames]
    _score_mean_surfaces(target, frames, pool, groups, values, meshes=meshes)
    _score_distances(target, pool, groups, truths, values)
    whole, bins = _score_occupancies(target, predictor, pool, groups, truths, values)
    whole |= _score_motion(target, predictor, pool, groups, truths)
    scores = [
        FrameScore(
            protein=target.protein.name,
            frame=frame,
            time=float(target.protein.times[frame]),
            predictor=predictor.name,
            values=own,
        )
        for frame, own in zip(frames, values, strict=True)
    ]
    samples = max(len(group.members) for group in groups)
    ensemble = EnsembleScore(
        protein=target.protein.name,
        predictor=predictor.name,
        values={"samples": float(samples), "seconds": seconds, **whole},
        reliability=bins.tolist(),
    )
    return scores, ensemble


def _predictions(
    target: Target, predictor: Predictor, frames: Sequence[int]
) -> tuple[list[ScoredSurface], list[_Group]]:
    """All surfaces that were predicted, each once, and which of them count for which frames."""
    by_key: dict[Hashable, list[int]] = {}
    for place, frame in enumerate(frames):
        by_key.setdefault(predictor.shared(target, frame), []).append(place)
    pool: list[ScoredSurface] = []
    known: dict[int, int] = {}
    groups = []
    for places in by_key.values():
        members = []
        for surface in predictor.surfaces(target, frames[places[0]]):
            scored = target.scored(surface)
            if id(scored) not in known:
                known[id(scored)] = len(pool)
                pool.append(scored)
            members.append(known[id(scored)])
        groups.append(_Group(places, members))
    return pool, groups


def _score_mean_surfaces(
    target: Target,
    frames: Sequence[int],
    pool: Sequence[ScoredSurface],
    groups: Sequence[_Group],
    values: list[dict[str, float]],
    *,
    meshes: bool,
) -> None:
    """IoU, Chamfer distances and normals of the one surface that a prediction comes down to: where half are inside."""
    total = FillSum.of([s.fill for s in pool]) if any(len(group.members) > 1 for group in groups) else None
    for group in groups:
        if len(group.members) == 1 or total is None:
            mean = pool[group.members[0]]
        else:
            rest = [pool[i].fill for i in set(range(len(pool))) - set(group.members)]
            few = len(rest) < len(group.members)
            summed = total.without(rest) if few else FillSum.of([pool[i].fill for i in group.members])
            mean = scored_fill(summed.where(), target.grid, target.probes)
        measured = target.measured(mean) if meshes else None
        for place in group.frames:
            truth = target.truth(frames[place])
            shared, either = (
                np.count_nonzero(how(mean.inside, truth.inside)) for how in (np.logical_and, np.logical_or)
            )
            values[place]["iou"] = shared / either if either else 1.0
            if measured is not None:
                surfaces = compare_surfaces(
                    target.measured_truth(frames[place]),
                    measured,
                    scale=target.protein.scale,
                    dsr_unit=target.dsr_unit,
                )
                values[place] |= surfaces.as_dict()


def _score_distances(
    target: Target,
    pool: Sequence[ScoredSurface],
    groups: Sequence[_Group],
    truths: Sequence[ScoredSurface],
    values: list[dict[str, float]],
) -> None:
    """CRPS of the truncated signed distance at the points of P0's surface."""
    core = target.region(target.probes)
    predicted, true = (np.stack([surface.distances for surface in of]) for of in (pool, truths))
    for group in groups:
        found = ensemble_scores.crps(predicted[group.members], true[group.frames])
        for place, row in zip(group.frames, found, strict=True):
            values[place]["crps"] = float(row.mean())
            for name, part in (("crps_core", core), ("crps_ends", ~core)):
                if part.any():
                    values[place][name] = float(row[part].mean())


def _score_occupancies(
    target: Target,
    predictor: Predictor,
    pool: Sequence[ScoredSurface],
    groups: Sequence[_Group],
    truths: Sequence[ScoredSurface],
    values: list[dict[str, float]],
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Energy and Brier scores of each frame; coverage and precision, and the reliability diagram, of the whole."""
    initial = target.scored(target.initial)
    every = [initial, *truths, *pool]
    ever, always = np.zeros_like(initial.inside), np.ones_like(initial.inside)
    for surface in every:
        ever |= surface.inside
        always &= surface.inside
    nodes = np.flatnonzero(ever & ~always)
    columns = np.stack([surface.inside.reshape(-1)[nodes] for surface in every])
    at_start, frames, samples = columns[0], columns[1 : 1 + len(truths)], columns[1 + len(truths) :]
    changing = (frames != at_start).any(0)
    core = target.region(target.grid.places(nodes))
    core_always = target.region(target.grid.places(np.flatnonzero(always)))
    bins = np.zeros((ensemble_scores.BINS, 3))
    for suffix, part, inner in (
        ("", np.ones_like(core), len(core_always)),
        ("_core", core, int(core_always.sum())),
        ("_ends", ~core, int((~core_always).sum())),
    ):
        if suffix and not part.any():
            continue
        own, scored = Occupancies(samples[:, part], frames[:, part], inner), changing[part]
        to_frames, among = own.distances()
        for group in groups:
            frequency = own.samples[group.members].mean(0)
            energy = ensemble_scores.energy_scores(
                to_frames[np.ix_(group.members, group.frames)], among[np.ix_(group.members, group.members)]
            )
            brier = ensemble_scores.brier_scores(frequency[scored], own.frames[np.ix_(group.frames, scored)])
            for place, e, b in zip(group.frames, energy, brier, strict=True):
                values[place] |= {f"energy{suffix}": float(e), f"brier{suffix}": float(b)}
            if not suffix:
                # the same sum of squares with that at nodes which never change: nothing is gained by spreading there
                everywhere = ensemble_scores.brier_scores(frequency, frames[group.frames])
                for place, b in zip(group.frames, everywhere, strict=True):
                    values[place]["brier_everywhere"] = float(b * len(nodes) / max(np.count_nonzero(changing), 1))
                bins += ensemble_scores.reliability(frequency, frames[group.frames])
    to_frames, _ = Occupancies(samples, frames, len(core_always)).distances()
    covered = [
        (len(group.frames), *ensemble_scores.coverage(to_frames[np.ix_(group.members, group.frames)]))
        for group in _whole(predictor, groups)
    ]
    return _means(covered, ("coverage", "precision")), bins


def _score_motion(
    target: Target,
    predictor: Predictor,
    pool: Sequence[ScoredSurface],
    groups: Sequence[_Group],
    truths: Sequence[ScoredSurface],
) -> dict[str, float]:
    """How the surface and the Cα fluctuate, against how those of the frames do."""
    given = predictor.conformations(target)
    rows = []
    for group in _whole(predictor, groups):
        samples, frames = [pool[i] for i in group.members], [truths[i] for i in group.frames]
        rmsf = ensemble_scores.fluctuation(*(np.stack([s.distances for s in of]) for of in (samples, frames)))
        moved, true = _residues(samples) if given is None else given, _residues(frames)
        overlap = (np.nan, np.nan)
        if moved is not None and true is not None:
            overlap = ensemble_scores.subspace_overlap(moved, true)
        rows.append((len(group.frames), *rmsf, *overlap))
    return _means(rows, ("rmsf_correlation", "rmsf_ratio", "rmsip", "covariance_overlap"))


def _whole(predictor: Predictor, groups: Sequence[_Group]) -> Sequence[_Group]:
    """Groups of frames over which the spread of a prediction is seen: of one surface a frame, over all of them."""
    if not predictor.moves:
        return groups
    return [_Group([i for g in groups for i in g.frames], [i for g in groups for i in g.members])]


def _means(rows: Sequence[tuple[float, ...]], names: Sequence[str]) -> dict[str, float]:
    """Means over groups, weighted by their number of frames, which comes first."""
    weights, *columns = np.array(rows, dtype=float).T
    return {name: float(weights @ column / weights.sum()) for name, column in zip(names, columns, strict=True)}


def _residues(surfaces: Sequence[ScoredSurface]) -> NDArray[np.float32] | None:
    known = [surface.residues for surface in surfaces if surface.residues is not None]
    return np.stack(known) if len(known) == len(surfaces) else None
