"""Pictures of scores: groups of trials beside each other, and predictors on proteins."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from moedsr.evaluation.scores import Evaluation
from moedsr.pictures.figures import save_figure


def write_groups(
    path: Path,
    *,
    title: str,
    labels: Sequence[str],
    panels: Sequence[tuple[str, Sequence[Sequence[float]]]],
    lines: Sequence[tuple[str, Sequence[float]]] = (),
) -> None:
    """One panel a metric: each trial a dot, each group's mean and standard deviation a bar.

    Args:
        path: the PNG to write.
        title: above all panels.
        labels: of the groups.
        panels: name of the metric, and the values of each group, possibly none.
        lines: baselines drawn across, their name and value in each panel (NaN: not there).
    """
    figure = Figure(figsize=(3.6 * len(panels) + 0.8, 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for column, (axis, (metric, groups)) in enumerate(zip(axes, panels, strict=True)):
        for place, values in enumerate(groups):
            if len(values) == 0:
                continue
            axis.scatter([place] * len(values), values, s=14, color="#4477aa", alpha=0.6, linewidths=0)
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            axis.errorbar(place, float(np.mean(values)), spread, fmt="_", markersize=16, color="#222222", capsize=4)
        for name, heights in lines:
            if np.isfinite(heights[column]):
                axis.axhline(heights[column], color="grey", linestyle=":", linewidth=1)
                axis.annotate(
                    name, (1, heights[column]), xycoords=("axes fraction", "data"), fontsize=7, ha="right", va="bottom"
                )
        axis.set_xticks(range(len(labels)), list(labels), rotation=30, ha="right", fontsize=8)
        axis.set_title(metric, fontsize=10)
        axis.margins(x=0.12)
        axis.grid(axis="y", alpha=0.25)
    figure.suptitle(title, fontsize=11)
    save_figure(figure, path)


def write_evaluation(path: Path, evaluation: Evaluation, title: str) -> None:
    """Skill of each predictor on each protein, and how calibrated the ensembles' frequencies are.

    Args:
        path: the PNG to write.
        evaluation: of one protein or more.
        title: above.
    """
    figure = Figure(figsize=(13.5, 4.2), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(5, 5, 4))
    names = [name for name in evaluation.predictors if name not in ("naive", "ensemble")]
    colours = {name: f"C{place}" for place, name in enumerate(names)}

    def energy(protein: str, predictor: str) -> float:
        return evaluation.skill(protein, predictor, "energy")

    for axis, head, of, best in (
        (axes[0], "gap closed (0: P0, 1: best static surface)", evaluation.gap_closed, "oracle"),
        (axes[1], "energy-score skill (0: P0, 1: the ensemble)", energy, "ensemble"),
    ):
        shown = [name for name in names if name != best]
        for place, name in enumerate(shown):
            values = np.array([of(protein, name) for protein in evaluation.proteins])
            values = values[np.isfinite(values)]
            if len(values):
                axis.scatter(np.full(len(values), place), values, s=14, color=colours[name], alpha=0.6, linewidths=0)
                axis.plot([place - 0.3, place + 0.3], [values.mean()] * 2, color="#222222", linewidth=1.5)
        axis.axhline(0, color="grey", linewidth=1)
        axis.set_xticks(range(len(shown)), shown, rotation=30, ha="right", fontsize=9)
        axis.set_title(head, fontsize=10)
        axis.grid(axis="y", alpha=0.25)
        axis.set_ylim(bottom=max(axis.get_ylim()[0], -1.5))
    axis = axes[2]
    axis.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for name in names:
        points = evaluation.reliability(name)
        if points:
            predicted, found, _ = zip(*points, strict=True)
            axis.plot(predicted, found, marker="o", markersize=3, color=colours[name], label=name)
    axis.set(xlabel="predicted frequency of inside", ylabel="frequency found", xlim=(0, 1), ylim=(0, 1))
    axis.set_title("reliability", fontsize=10)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    save_figure(figure, path)
