"""Pictures of scores: groups of trials beside each other, with their spread."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

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
