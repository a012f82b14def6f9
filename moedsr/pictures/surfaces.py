"""Pictures of surfaces: predictions beside the truth, coloured by what is to be seen on them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy.ndimage import grey_closing
from scipy.spatial import cKDTree

from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface_distance import distance_to
from moedsr.pictures.figures import save_figure

VIEW = np.array([[0.80, -0.60, 0.0], [0.20, 0.27, 0.94], [-0.56, -0.75, 0.34]])
"""Rows: the directions on the page to the right, up, and towards the reader; orthonormal to two digits."""
LIGHT = np.array([-0.4, 0.6, 0.7]) / np.linalg.norm([-0.4, 0.6, 0.7])
WIDTH = 260  # pixels of one surface
SPLATS = 200_000
GREY = (0.74, 0.78, 0.83)
LARGEST_ERROR = 3.0  # Å; whatever is further off has one colour
ERROR_SCALE = ScalarMappable(
    Normalize(0, LARGEST_ERROR),
    LinearSegmentedColormap.from_list("error", [GREY, (0.98, 0.83, 0.35), (0.78, 0.12, 0.16)]),
)
"""Distance to the true surface in Å: grey where it fits, yellow, red where it is far off."""

Paint = Callable[[np.ndarray], np.ndarray]
"""From points (P, 3) to red, green and blue (P, 3), 0 to 1."""


def write_overview(
    path: Path,
    *,
    times: Sequence[float],
    truths: Sequence[Mesh],
    predictions: Sequence[Mesh],
    title: str,
) -> None:
    """One column a frame: the true surface above, the predicted one below, coloured by its error.

    Args:
        path: the PNG to write.
        times: normalised instants of the frames.
        truths: true surfaces, Å.
        predictions: predicted surfaces in the same coordinates, Å; an empty one is drawn as such.
        title: names the protein and, where it helps, its scores.
    """
    if not len(times) == len(truths) == len(predictions) > 0:
        raise ValueError(
            f"{len(times)} times, {len(truths)} truths, {len(predictions)} predictions: must be equal, >= 1"
        )
    columns = len(times)
    centre, half = _window([*truths, *predictions])
    figure = Figure(figsize=(1.65 * columns + 1.0, 3.3 * half[1] / half[0] + 1.1), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    for column, (time, truth, prediction) in enumerate(zip(times, truths, predictions, strict=True)):
        axes[0, column].imshow(_render(truth, _grey, centre, half))
        axes[1, column].imshow(_render(prediction, _error_from(truth), centre, half))
        axes[0, column].set_title(f"t = {time:+.2f}", fontsize=10)
        if prediction.is_empty:
            axes[1, column].text(
                0.5,
                0.5,
                "empty",
                ha="center",
                va="center",
                color="firebrick",
                transform=axes[1, column].transAxes,
            )
    for row, label in enumerate(("truth", "prediction")):
        axes[row, 0].set_ylabel(label, fontsize=10)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    figure.colorbar(ERROR_SCALE, ax=axes[1, :], shrink=0.85, label="Å from the truth", extend="max")
    figure.suptitle(title, fontsize=11)
    save_figure(figure, path)


def write_moving(path: Path, *, times: Sequence[float], meshes: Sequence[Mesh], title: str) -> None:
    """One surface a frame, coloured by its distance to the first.

    Args:
        path: the PNG to write.
        times: normalised instants of the frames.
        meshes: surfaces, Å.
        title: above.
    """
    centre, half = _window(meshes)
    figure = Figure(figsize=(2.3 * len(meshes) + 1.2, 2.3 * half[1] / half[0] + 0.8), layout="constrained")
    axes = figure.subplots(1, len(meshes), squeeze=False)[0]
    for axis, time, mesh in zip(axes, times, meshes, strict=True):
        axis.imshow(_render(mesh, _error_from(meshes[0]), centre, half))
        axis.set_title(f"t = {time:+.2f}", fontsize=10)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    figure.colorbar(ERROR_SCALE, ax=axes, shrink=0.85, label="Å from the first", extend="max")
    figure.suptitle(title, fontsize=11)
    save_figure(figure, path)


def write_coloured(
    path: Path,
    *,
    times: Sequence[float],
    meshes: Sequence[Mesh],
    colours: Sequence[np.ndarray],
    legend: Sequence[tuple[str, str]],
    title: str,
) -> None:
    """One surface a frame, in colours of its own.

    Args:
        path: the PNG to write.
        times: normalised instants of the frames.
        meshes: surfaces, Å.
        colours: of each one's vertices (V, 3), 0 to 1.
        legend: what the colours mean: names and colours as matplotlib knows them.
        title: above.
    """
    centre, half = _window(meshes)
    figure = Figure(figsize=(2.3 * len(meshes), 2.3 * half[1] / half[0] + 1.0), layout="constrained")
    axes = figure.subplots(1, len(meshes), squeeze=False)[0]
    for axis, time, mesh, own in zip(axes, times, meshes, colours, strict=True):
        axis.imshow(_render(mesh, _of_vertices(mesh, own), centre, half))
        axis.set_title(f"t = {time:+.2f}", fontsize=10)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    patches = [Patch(color=colour, label=name) for name, colour in legend]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=9, frameon=False)
    figure.suptitle(title, fontsize=11)
    save_figure(figure, path)


def _window(meshes: Sequence[Mesh]) -> tuple[np.ndarray, np.ndarray]:
    """Centre (3,), and half width and height (2,) of a rectangle on the page that holds every mesh, Å."""
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    if len(vertices) == 0:
        return np.zeros(3), np.ones(2)
    centre = (vertices.min(0) + vertices.max(0)) / 2
    return centre, np.abs((vertices - centre) @ VIEW[:2].T).max(0) * 1.05


def _grey(points: np.ndarray) -> np.ndarray:
    """(P, 3)."""
    return np.broadcast_to(np.array(GREY), points.shape)


def _error_from(truth: Mesh) -> Paint:
    """The distance to the true surface on the colour scale."""
    distance = distance_to(truth, within=LARGEST_ERROR)
    return lambda points: ERROR_SCALE.to_rgba(distance(points))[:, :3]


def _of_vertices(mesh: Mesh, colours: np.ndarray) -> Paint:
    """The colour (V, 3) of the nearest vertex."""
    nearest = cKDTree(mesh.vertices)
    return lambda points: colours[nearest.query(points)[1]]


def _render(mesh: Mesh, paint: Paint, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """RGB (height, WIDTH, 3): points scattered over the surface, the nearest one wins each pixel."""
    height = int(np.ceil(WIDTH * half[1] / half[0]))
    canvas = np.ones((height * WIDTH, 3))
    if mesh.is_empty:
        return canvas.reshape(height, WIDTH, 3)
    edges = np.diff(mesh.vertices[mesh.faces] @ VIEW[:2].T, axis=1)  # (T, 2, 2) on the page
    facing = np.linalg.det(edges) > 0  # counter-clockwise: all that is seen of a closed surface
    points, normals = replace(mesh, faces=mesh.faces[facing]).sample(SPLATS, np.random.default_rng(0))
    seen = (points - centre) @ VIEW.T
    pixel = ((seen[:, :2] / half + 1) / 2 * (WIDTH, height)).astype(int).clip(0, (WIDTH - 1, height - 1))
    index = (height - 1 - pixel[:, 1]) * WIDTH + pixel[:, 0]
    order = np.argsort(seen[:, 2], kind="stable")  # written last is nearest to the reader
    front = np.full(height * WIDTH, -1)
    front[index[order]] = np.arange(len(order))
    # a pixel that no point of the front happened to hit would show the far side: close such pinholes
    front = grey_closing(front.reshape(height, WIDTH), size=(3, 3)).reshape(-1)
    drawn = front >= 0
    chosen = order[front[drawn]]
    shade = 0.35 + 0.65 * np.clip(normals[chosen] @ VIEW.T @ LIGHT, 0, 1)
    canvas[drawn] = shade[:, None] * paint(points[chosen])
    return canvas.reshape(height, WIDTH, 3)
