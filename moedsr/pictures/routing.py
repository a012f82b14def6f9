"""Pictures of routing: which expert serves which protein, the load over time, what sets the experts' proteins apart."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from moedsr.inference.expert_colours import colour_of
from moedsr.pictures.figures import save_figure

Points = Sequence[tuple[int, float]]
"""(optimiser step, value) pairs."""

_LABELLED = 40  # proteins that have room for their names
_VALUED = 24  # proteins whose gates have room for figures


def write_expert_map(path: Path, *, names: Sequence[str], gates: np.ndarray) -> None:
    """Experts × proteins, the colour is the gate; many proteins stand in the order of their first expert.

    Args:
        path: the PNG to write.
        names: one label a protein.
        gates: (proteins, experts), non-negative, each row sums to one.
    """
    proteins, experts = gates.shape
    labels = list(names)
    if proteins > _LABELLED and experts:
        order = np.lexsort((-gates.max(1), gates.argmax(1)))
        gates, labels = gates[order], [labels[place] for place in order]
    width = min(2.2 + 0.55 * proteins, 12.0)
    figure = Figure(figsize=(width, 1.9 + 0.42 * experts), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(gates.T, vmin=0, vmax=1, cmap="magma_r", aspect="auto", interpolation="nearest")
    if proteins <= _VALUED:
        _write_values(axis, gates)
    if proteins <= _LABELLED:
        axis.set_xticks(range(proteins), labels, rotation=45, ha="right", rotation_mode="anchor", fontsize=9)
    else:
        axis.set_xlabel(f"{proteins} proteins, by their first expert", fontsize=9)
    axis.set_yticks(range(experts), [f"expert {expert}" for expert in range(experts)], fontsize=9)
    axis.set_title("Gate of each expert for each protein", fontsize=11)
    figure.colorbar(image, ax=axis, label="gate")
    save_figure(figure, path)


def _write_values(axis: Axes, gates: np.ndarray) -> None:
    for protein, expert in zip(*np.nonzero(gates >= 0.005), strict=True):
        value = gates[protein, expert]
        colour = "white" if value > 0.5 else "black"
        axis.text(protein, expert, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)


def write_load_over_time(path: Path, *, loads: Mapping[int, Points], entropy: Points = ()) -> None:
    """Share of the work of each expert by optimiser step, and how evenly it is shared.

    Args:
        path: the PNG to write.
        loads: for each expert its share by step.
        entropy: of the mean gate by step, as a fraction of its maximum.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.subplots()
    for expert, points in sorted(loads.items()):
        _line(axis, points, label=f"expert {expert}", color=colour_of(expert))
    if loads:
        axis.axhline(1 / len(loads), color="grey", linestyle=":", linewidth=1, label="even load")
    if entropy:
        _line(axis, entropy, label="entropy of gates\n(1: even)", color="black", linestyle="--", linewidth=1)
    if loads or entropy:
        axis.legend(fontsize=8, ncols=1 + len(loads) // 9, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axis.set(xlabel="optimiser step", ylabel="share of the load", ylim=(0, 1.02), title="Load of each expert")
    axis.grid(alpha=0.25)
    save_figure(figure, path)


def _line(axis: Axes, points: Points, **style: Any) -> None:
    marker = "o" if len(points) == 1 else None
    axis.plot([step for step, _ in points], [value for _, value in points], marker=marker, **style)


def write_specialisation(
    path: Path,
    *,
    experts: Sequence[int],
    numbers: Mapping[str, Sequence[float]],
    classes: Mapping[str, Sequence[str]],
    titles: Mapping[str, str],
) -> None:
    """One panel a property, one column an expert: a dot a protein, or how many proteins of each class.

    Args:
        path: the PNG to write.
        experts: the first expert of each protein.
        numbers: of each protein, NaN where unknown.
        classes: of each protein, "" where unknown; the ten most frequent are drawn.
        titles: of the panels, by property; a property without one is not drawn.
    """
    drawn = [name for name in (*numbers, *classes) if name in titles]
    if not drawn:
        return
    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    chosen, count = np.asarray(experts), max(experts) + 1
    for axis, name in zip(axes, drawn, strict=False):
        if name in numbers:
            _dots(axis, chosen, np.asarray(numbers[name], dtype=float))
        else:
            _counts(axis, chosen, list(classes[name]), count)
        axis.set_title(titles[name], fontsize=9)
        axis.set_xticks(range(count), [str(expert) for expert in range(count)], fontsize=8)
        axis.set_xlabel("expert", fontsize=8)
        axis.tick_params(labelsize=8)
    for axis in axes[len(drawn) :]:
        axis.set_visible(False)
    save_figure(figure, path)


def _dots(axis: Axes, experts: np.ndarray, values: np.ndarray) -> None:
    aside = np.random.default_rng(0).uniform(-0.22, 0.22, len(values))  # so that equal values stay visible
    axis.scatter(experts + aside, values, s=10, alpha=0.7, color="#4477aa", linewidths=0, zorder=3)
    for expert in np.unique(experts):
        own = values[(experts == expert) & np.isfinite(values)]
        if len(own):
            axis.hlines(own.mean(), expert - 0.35, expert + 0.35, color="#ee6677", linewidth=2)


def _counts(axis: Axes, experts: np.ndarray, labels: list[str], count: int) -> None:
    known = [label for label in labels if label]
    frequent = sorted(set(known), key=lambda label: (-known.count(label), label))[:10]
    table = np.zeros((len(frequent), count))
    for expert, label in zip(experts, labels, strict=True):
        if label in frequent:
            table[frequent.index(label), expert] += 1
    axis.imshow(table, cmap="Blues", aspect="auto", interpolation="nearest")
    for row, column in zip(*np.nonzero(table), strict=True):
        colour = "white" if table[row, column] > table.max() / 2 else "black"
        axis.text(column, row, f"{table[row, column]:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axis.set_yticks(range(len(frequent)), [label[:28] for label in frequent])
