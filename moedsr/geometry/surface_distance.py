"""How far points are from a surface: exactly, to its triangles and not to samples of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moedsr.geometry.compiled import compiled
from moedsr.geometry.mesh import Mesh

Floats = NDArray[np.float64]

_LEAF = 2  # triangles in a leaf


@dataclass(frozen=True)
class ClosestPoints:
    """The points of a surface that are nearest to P given points."""

    distances: Floats  # (P,) in units of the mesh, infinite where there is none within the bound
    faces: NDArray[np.int64]  # (P,) triangles they lie on, -1 where there is none
    weights: Floats  # (P, 3) barycentric, of the triangles' corners


class TriangleTree:
    """A tree of boxes around the triangles of a mesh, which may be empty."""

    def __init__(self, mesh: Mesh) -> None:
        corners = np.ascontiguousarray(mesh.vertices[mesh.faces], dtype=np.float64)  # (T, 3, 3)
        self._order = np.argsort(_along_a_curve(corners), kind="stable")
        self._corners = corners[self._order]
        self._boxes = _boxes(self._corners)

    def closest(self, points: NDArray[np.floating], *, within: float = np.inf) -> ClosestPoints:
        """The nearest point of the surface to each of (P, 3), not farther than `within`."""
        if not len(self._corners):
            nothing = np.full(len(points), -1)
            return ClosestPoints(np.full(len(points), np.inf), nothing, np.zeros((len(points), 3)))
        given: Floats = np.ascontiguousarray(points, dtype=np.float64)
        squared, places, weights = _search(given, self._corners, self._boxes, float(within) ** 2)
        faces = np.where(places >= 0, self._order[places], -1)
        return ClosestPoints(np.where(faces >= 0, np.sqrt(squared), np.inf), faces, weights)


def distance_to(surface: Mesh, *, within: float = np.inf) -> Callable[[NDArray[np.floating]], Floats]:
    """From points (P, 3) to distances (P,) in units of the mesh, infinite beyond ``within`` and of an empty surface."""
    tree = TriangleTree(surface)
    return lambda points: tree.closest(points, within=within).distances


@compiled
def _along_a_curve(corners: Floats) -> NDArray[np.int64]:
    """Key (T,) of each triangle on a Morton curve: neighbours along it are neighbours in space."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for triangle in range(len(corners)):
        for axis in range(3):
            low[axis] = min(low[axis], corners[triangle, 0, axis])
            high[axis] = max(high[axis], corners[triangle, 0, axis])
    step = max((high - low).max(), 1e-300) / 1023
    keys = np.zeros(len(corners), dtype=np.int64)
    for triangle in range(len(corners)):
        for axis in range(3):
            place = int((corners[triangle, 0, axis] - low[axis]) / step)
            for bit in range(10):
                keys[triangle] |= ((place >> bit) & 1) << (3 * bit + axis)
    return keys


@compiled
def _boxes(corners: Floats) -> Floats:
    """Boxes (2m - 1, 2, 3), low and high corners, of a binary tree whose node n has the children 2n + 1 and 2n + 2.

    Its m leaves, a power of two, hold _LEAF triangles each, in order; the box of a leaf without any is infinitely far.
    """
    leaves = 1
    while leaves * _LEAF < len(corners):
        leaves *= 2
    boxes = np.empty((2 * leaves - 1, 2, 3))
    boxes[:, 0], boxes[:, 1] = np.inf, -np.inf
    for triangle in range(len(corners)):
        node = leaves - 1 + triangle // _LEAF
        for corner in range(3):
            for axis in range(3):
                boxes[node, 0, axis] = min(boxes[node, 0, axis], corners[triangle, corner, axis])
                boxes[node, 1, axis] = max(boxes[node, 1, axis], corners[triangle, corner, axis])
    for node in range(2 * leaves - 2, 0, -1):
        above = (node - 1) // 2
        for axis in range(3):
            boxes[above, 0, axis] = min(boxes[above, 0, axis], boxes[node, 0, axis])
            boxes[above, 1, axis] = max(boxes[above, 1, axis], boxes[node, 1, axis])
    return boxes


@compiled
def _search(points: Floats, corners: Floats, boxes: Floats, bound: float) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Squared distance, place of the triangle (-1: none within the bound) and barycentric weights."""
    count, inner = len(points), len(boxes) // 2
    squared, places, weights = np.full(count, bound), np.full(count, -1), np.zeros((count, 3))
    nodes, gaps = np.zeros(128, dtype=np.int64), np.zeros(128)
    last = -1
    for index in range(count):
        x, y, z = points[index]
        best, found = bound, -1
        v, w = 0.0, 0.0
        if last >= 0:  # points come in an order in which the answer changes little
            v, w, reached = _closest_on(x, y, z, corners, last)
            if reached <= best:
                best, found = reached, last
        nodes[0], gaps[0], size = 0, 0.0, 1
        while size:
            size -= 1
            if gaps[size] >= best:
                continue
            node = nodes[size]
            if node < inner:
                left, right = 2 * node + 1, 2 * node + 2
                to_left, to_right = _to_box(x, y, z, boxes, left), _to_box(x, y, z, boxes, right)
                if to_left < to_right:  # the nearer one comes off the stack first
                    left, right, to_left, to_right = right, left, to_right, to_left
                if to_left < best:
                    nodes[size], gaps[size] = left, to_left
                    size += 1
                if to_right < best:
                    nodes[size], gaps[size] = right, to_right
                    size += 1
                continue
            start = (node - inner) * _LEAF
            for place in range(start, min(start + _LEAF, len(corners))):
                second, third, reached = _closest_on(x, y, z, corners, place)
                if reached < best:
                    best, found, v, w = reached, place, second, third
        squared[index], places[index] = best, found
        if found >= 0:
            last = found
            weights[index, 0], weights[index, 1], weights[index, 2] = 1.0 - v - w, v, w
    return squared, places, weights


@compiled
def _to_box(x: float, y: float, z: float, boxes: Floats, node: int) -> float:
    """Squared distance of a point from a box."""
    a = max(boxes[node, 0, 0] - x, x - boxes[node, 1, 0], 0.0)
    b = max(boxes[node, 0, 1] - y, y - boxes[node, 1, 1], 0.0)
    c = max(boxes[node, 0, 2] - z, z - boxes[node, 1, 2], 0.0)
    return a * a + b * b + c * c


@compiled
def _closest_on(x: float, y: float, z: float, corners: Floats, place: int) -> tuple[float, float, float]:
    """Weights of the second and third corner at the nearest point of a triangle, and its squared distance.

    By the region of the triangle's plane that the point lies over: C. Ericson, Real-Time Collision Detection, 5.1.5.
    """
    a0, a1, a2 = corners[place, 0, 0], corners[place, 0, 1], corners[place, 0, 2]
    b0, b1, b2 = corners[place, 1, 0] - a0, corners[place, 1, 1] - a1, corners[place, 1, 2] - a2
    c0, c1, c2 = corners[place, 2, 0] - a0, corners[place, 2, 1] - a1, corners[place, 2, 2] - a2
    p0, p1, p2 = x - a0, y - a1, z - a2
    bb, bc, cc = b0 * b0 + b1 * b1 + b2 * b2, b0 * c0 + b1 * c1 + b2 * c2, c0 * c0 + c1 * c1 + c2 * c2
    bp, cp = b0 * p0 + b1 * p1 + b2 * p2, c0 * p0 + c1 * p1 + c2 * p2
    # projections seen from each corner
    bp_b, cp_b, bp_c, cp_c = bp - bb, cp - bc, bp - bc, cp - cc
    v, w = 0.0, 0.0
    area_c, area_b, area_a = bp * cp_b - bp_b * cp, bp_c * cp - bp * cp_c, bp_b * cp_c - bp_c * cp_b
    if bp <= 0 and cp <= 0:
        pass
    elif bp_b >= 0 and cp_b <= bp_b:
        v = 1.0
    elif cp_c >= 0 and bp_c <= cp_c:
        w = 1.0
    elif area_c <= 0 and bp >= 0 and bp_b <= 0:
        v = bp / (bp - bp_b)
    elif area_b <= 0 and cp >= 0 and cp_c <= 0:
        w = cp / (cp - cp_c)
    elif area_a <= 0 and cp_b - bp_b >= 0 and bp_c - cp_c >= 0:
        w = (cp_b - bp_b) / ((cp_b - bp_b) + (bp_c - cp_c))
        v = 1.0 - w
    else:
        total = area_a + area_b + area_c
        if total > 0:
            v, w = area_b / total, area_c / total
    d0, d1, d2 = p0 - v * b0 - w * c0, p1 - v * b1 - w * c1, p2 - v * b2 - w * c2
    return v, w, d0 * d0 + d1 * d1 + d2 * d2
