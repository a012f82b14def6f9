"""Pictures of a search: which keys mattered, all points at once, how the best came about, quality against cost."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from moedsr.pictures.figures import save_figure
from moedsr_platform.reports.search_report import SearchReport, TriedPoint

if TYPE_CHECKING:
    from moedsr_platform.sweep_file.search_space import Domain

COLOURS = colormaps["viridis"]
INK, PALE = "#1f4e79", "#9aa5b1"


def write_search_pictures(report: SearchReport, folder: Path) -> list[Path]:
    """All pictures of a search, as PNG files."""
    figures = {
        "importance.png": _importance(report),
        "parallel_coordinates.png": _parallel_coordinates(report),
        "history.png": _history(report),
    }
    if len(report.sweep.objectives) == 2:
        figures["front.png"] = _front(report)
    for name, figure in figures.items():
        save_figure(figure, folder / name)
    return [folder / name for name in figures]


def _importance(report: SearchReport) -> Figure:
    shares = report.importances()
    figure = Figure(figsize=(7, 1.2 + 0.35 * len(shares)), layout="constrained", dpi=120)
    axes = figure.subplots()
    names, values = list(shares)[::-1], list(shares.values())[::-1]
    axes.barh(names, values, color=INK)
    for place, value in enumerate(values):
        axes.annotate(
            f"{value:.2f}", (value, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_xlim(0, max(*values, 0.05) * 1.15)
    axes.set_xlabel(f"share of the variance of {report.sweep.objective.metric} (fANOVA)")
    axes.set_title(f"{report.name}: which keys mattered, {len(report.points)} points", fontsize=10)
    _clean(axes)
    return figure


def _parallel_coordinates(report: SearchReport) -> Figure:
    """One line a point, one axis a key; a line has a gap at a key that its point does not search."""
    keys = list(report.sweep.search)
    figure = Figure(figsize=(max(6.0, 1.5 * len(keys) + 1.5), 4.8), layout="constrained", dpi=120)
    axes = figure.subplots()
    scores = [point.objectives[0] for point in report.points]
    norm = Normalize(min(scores), max(scores) if max(scores) > min(scores) else min(scores) + 1)
    order = sorted(report.points, key=lambda point: report.sweep.objective.sign * point.objectives[0])
    for point in order:  # the best on top
        heights = [_height(report.sweep.search[key], point.values.get(key)) for key in keys]
        best = point is report.best
        axes.plot(
            range(len(keys)), heights, color=COLOURS(norm(point.objectives[0])), linewidth=2.4 if best else 1.0,
            alpha=1.0 if best else 0.7, marker="o", markersize=4 if best else 2.5, zorder=3 if best else 2,
        )  # fmt: skip
    for place, key in enumerate(keys):
        axes.axvline(place, color=PALE, linewidth=0.6, zorder=1)
        for value, text in _ticks(report.sweep.search[key]):
            axes.annotate(text, (place, value), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_xticks(range(len(keys)), [_broken(key) for key in keys], fontsize=7)
    axes.set_xlim(-0.15, len(keys) - 0.5)
    axes.set_ylim(-0.06, 1.06)
    axes.set_yticks([])
    _clean(axes, left=False)
    figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, label=report.sweep.objective.metric, pad=0.01)
    axes.set_title(f"{report.name}: every point; thick: the best", fontsize=10)
    return figure


def _history(report: SearchReport) -> Figure:
    """Score of each point and the best so far, over the optimiser steps that were spent."""
    figure = Figure(figsize=(7, 4), layout="constrained", dpi=120)
    axes = figure.subplots()
    sign, spent, best = report.sweep.objective.sign, 0, -math.inf
    ends, record = [], []
    for point in report.points:
        spent += point.steps
        best = max(best, sign * point.objectives[0])
        ends.append(spent)
        record.append(sign * best)
    for stopped, label, face in ((False, "trained to the end", INK), (True, "stopped early", "white")):
        chosen = [place for place, point in enumerate(report.points) if point.stopped == stopped]
        axes.scatter(
            [ends[place] for place in chosen], [report.points[place].objectives[0] for place in chosen],
            s=18, facecolor=face, edgecolor=INK, linewidth=0.8, label=label if chosen else None, zorder=3,
        )  # fmt: skip
    axes.step(ends, record, where="post", color="#c0504d", label="best so far")
    axes.set_xlabel("optimiser steps of all trials so far, in the order in which points began")
    axes.set_ylabel(report.sweep.objective.metric)
    axes.set_title(f"{report.name}: how the best came about ({report.sweep.sampler})", fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    _clean(axes)
    return figure


def _front(report: SearchReport) -> Figure:
    """Both objectives, and the points that no other beats in both."""
    figure = Figure(figsize=(6, 4.2), layout="constrained", dpi=120)
    axes = figure.subplots()

    def columns(points: Sequence[TriedPoint]) -> tuple[list[float], list[float]]:
        return [point.objectives[1] for point in points], [point.objectives[0] for point in points]

    axes.scatter(*columns(report.points), s=18, color=PALE, label="points")
    axes.plot(*columns(report.front), color="#c0504d", marker="o", markersize=4, label="not beaten in both")
    first, second = report.sweep.objectives
    axes.set_xlabel(f"{second.metric} ({second.mode})")
    axes.set_ylabel(f"{first.metric} ({first.mode})")
    axes.set_title(f"{report.name}: {len(report.front)} of {len(report.points)} points are not beaten", fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    _clean(axes)
    return figure


def _height(domain: "Domain", value: Any) -> float:
    """Place of a value on its axis, 0 to 1; not a number where the key was not searched."""
    if value is None and None not in domain.values:
        return math.nan
    if domain.listed:
        return domain.values.index(value) / max(len(domain.values) - 1, 1)
    low, high = (float(end) for end in domain.values if isinstance(end, int | float))
    if domain.loguniform is not None:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _ticks(domain: "Domain") -> list[tuple[float, str]]:
    return [
        (_height(domain, value), f"{value:g}" if isinstance(value, float) else str(value)) for value in domain.values
    ]


def _broken(key: str) -> str:
    section, _, name = key.rpartition(".")
    return f"{section}\n{name}"


def _clean(axes: Axes, *, left: bool = True) -> None:
    for side in ("top", "right", *(() if left else ("left", "bottom"))):
        axes.spines[side].set_visible(False)
