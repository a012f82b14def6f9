"""Meshes and inside tests of a field: positive outside, negative inside, about as steep as a distance.

The only file that knows scikit-image.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from moedsr.geometry.mesh import Mesh, vertex_normals

Field = Callable[[NDArray[np.float64]], NDArray[np.floating]]
"""Values (P,) at points (P, 3)."""

_SLIVER = 1e-4  # of a grid edge: no vertex comes nearer to a node


@dataclass(frozen=True)
class LevelSet:
    """The surface {f = 0} inside a cube."""

    mesh: Mesh  # normalised units
    evaluations: int  # points at which the field was computed
    touches_border: bool  # whether the inside reaches the cube, where the mesh was closed


def extract_level_set(
    field: Field,
    *,
    resolution: int = 128,
    half_width: float = 1.0,
    lipschitz: float = 2.0,
    chunk: int = 65_536,
) -> LevelSet:
    """The zero level set on `resolution`³ nodes over [-half_width, half_width]³, always watertight.

    Coarse to fine: about 33 nodes per axis, then only blocks where a zero can be when the field changes by at
    most `lipschitz` per unit of length. Within that bound the mesh is exactly that of a dense evaluation; the
    default leaves a distance field (slope 1) a factor of two.

    Args:
        field: values (P,) at points (P, 3) float64, in calls of at most `chunk` points.
        resolution: nodes per axis, at least 2.
        half_width: half the cube's edge, normalised units.
        lipschitz: largest slope that is allowed for; infinity evaluates every node.
        chunk: most points in one call.
    """
    axis = np.linspace(-half_width, half_width, resolution)
    values, evaluations = _refine(field, axis, lipschitz, chunk)
    border = [values[0], values[-1], values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]]
    touches = any(bool((side < 0).any()) for side in border)
    mesh = zero_surface(values, origin=np.full(3, -half_width), spacing=float(axis[1] - axis[0]))
    return LevelSet(mesh, evaluations, touches)


def occupancy_on_grid(
    field: Field, nodes: int, stride: int = 1, *, lipschitz: float = 2.0, chunk: int = 65_536
) -> NDArray[np.bool_]:
    """Inside test f < 0 on every `stride`-th node of the metric grid, `nodes`³ over [-1, 1]³."""
    return values_on_metric_grid(field, nodes, stride, lipschitz=lipschitz, chunk=chunk) < 0


def values_on_metric_grid(
    field: Field, nodes: int, stride: int = 1, *, lipschitz: float = 2.0, chunk: int = 65_536
) -> NDArray[np.float32]:
    """Field (n, n, n) on every `stride`-th node of the metric grid, `nodes`³ over [-1, 1]³, coarse to fine.

    Exact near the level set, right in sign everywhere.
    """
    values, _ = _refine(field, np.linspace(-1.0, 1.0, nodes)[::stride], lipschitz, chunk)
    return values


def zero_surface(values: NDArray[np.floating], *, origin: NDArray[np.float64], spacing: float) -> Mesh:
    """Mesh of {values = 0} on a grid whose first node is at `origin`; closed where it reaches the border.

    A node without a number (NaN) counts as outside.
    """
    values = np.asarray(values, dtype=np.float32)
    if not np.isfinite(values).all():
        largest = np.abs(values[np.isfinite(values)]).max(initial=1.0)
        values = np.nan_to_num(values, nan=largest, posinf=largest, neginf=-largest)
    inside = values < 0
    if not inside.any():
        return Mesh.empty()
    steepness = _crossing_scale(values, inside)
    padded = np.pad(values, 1, constant_values=steepness)
    # a node exactly on the surface would make vertices of several edges coincide and tear the mesh
    sliver = np.float32(_SLIVER * steepness)
    np.copyto(padded, np.where(padded < 0, -sliver, sliver), where=np.abs(padded) < sliver)
    # Lewiner's variant, the default, leaves holes in some ambiguous cells; Lorensen's does not
    vertices, faces, _, _ = marching_cubes(padded, 0.0, gradient_direction="descent", method="lorensen")
    vertices = origin + spacing * (vertices.astype(np.float64) - 1.0)
    faces = faces.astype(np.int64)
    return Mesh(vertices, faces, vertex_normals(vertices, faces))


def _crossing_scale(values: NDArray[np.float32], inside: NDArray[np.bool_]) -> np.float32:
    """Largest step of the values over a grid edge that crosses the surface."""
    steps = [np.abs(np.diff(values, axis=axis))[np.diff(inside, axis=axis)].max(initial=0.0) for axis in range(3)]
    return np.float32(max(steps) or np.abs(values).max() or 1.0)


def _refine(field: Field, axis: NDArray[np.float64], lipschitz: float, chunk: int) -> tuple[NDArray[np.float32], int]:
    """Values (n, n, n) on the nodes of `axis` (n,), exact where a zero can be near; and the evaluations."""
    strides = _strides(len(axis)) if np.isfinite(lipschitz) else (1,)
    nodes = _every(len(axis), strides[0])
    wanted = np.ones((len(nodes),) * 3, dtype=bool)
    values = np.zeros(wanted.shape, dtype=np.float32)
    evaluations = _evaluate(field, axis[nodes], wanted, values, chunk)
    for stride in strides[1:]:
        finer = _every(len(axis), stride)
        counts = np.diff(np.searchsorted(finer, nodes))
        active = _active_blocks(values, np.diff(axis[nodes]), lipschitz)
        for dimension in range(3):
            active = active.repeat(counts, axis=dimension)
        source = np.searchsorted(nodes, finer, side="right") - 1
        known = np.isin(finer, nodes)
        values = values[np.ix_(source, source, source)]
        wanted = _corners_of(active) & ~(known[:, None, None] & known[:, None] & known)
        evaluations += _evaluate(field, axis[finer], wanted, values, chunk)
        nodes = finer
    return values, evaluations


def _strides(count: int) -> tuple[int, ...]:
    """Powers of two down to 1, the first so that about 33 nodes per axis are left, but at least 4."""
    coarsest = max(4, 1 << max(count // 32, 1).bit_length() - 1)
    return tuple(coarsest >> step for step in range(coarsest.bit_length())) if count > 8 else (1,)


def _every(count: int, stride: int) -> NDArray[np.int64]:
    """Indices 0, stride, 2 stride, … and always the last one."""
    return np.unique(np.append(np.arange(0, count, stride), count - 1))


def _evaluate(
    field: Field,
    axis: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    values: NDArray[np.float32],
    chunk: int,
) -> int:
    """Fills in the wanted nodes; returns their number."""
    index = np.flatnonzero(wanted)
    flat = values.reshape(-1)
    for start in range(0, len(index), chunk):
        part = index[start : start + chunk]
        points = axis[np.stack(np.unravel_index(part, wanted.shape), axis=1)]
        flat[part] = np.asarray(field(points)).reshape(len(part))
    return len(index)


def _active_blocks(values: NDArray[np.float32], edges: NDArray[np.float64], lipschitz: float) -> NDArray[np.bool_]:
    """Blocks (m, m, m) between nodes (m + 1, ...) where a field of at most this slope can change its sign.

    Every point of a block is within half its diagonal of a corner, and within the whole diagonal of each.
    """
    squares = edges**2
    diagonal = np.sqrt(squares[:, None, None] + squares[:, None] + squares)
    count = len(edges)
    corners = [values[x : x + count, y : y + count, z : z + count] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    sizes = [np.abs(corner) for corner in corners]
    negative = sum((corner < 0).astype(np.int8) for corner in corners)
    safe = (np.minimum.reduce(sizes) > 0.5 * lipschitz * diagonal) | (np.maximum.reduce(sizes) > lipschitz * diagonal)
    return ~(safe & ((negative == 0) | (negative == 8)))


def _corners_of(blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nodes (m + 1, ...) at the corners of the marked blocks (m, m, m)."""
    nodes = np.zeros(tuple(size + 1 for size in blocks.shape), dtype=bool)
    count = len(blocks)
    for x in (0, 1):
        for y in (0, 1):
            for z in (0, 1):
                nodes[x : x + count, y : y + count, z : z + count] |= blocks
    return nodes
