"""What the colours of a surface say."""

import numpy as np
import pytest
import trimesh

from moedsr.geometry.mesh import Mesh, vertex_normals
from moedsr.inference.expert_colours import colour_of
from moedsr.inference.expert_territory import Territory
from moedsr.pictures.surface_views import by_disagreement, by_error, by_motion, by_nearest_expert, by_outermost_expert


def ball(radius: float) -> Mesh:
    sphere = trimesh.creation.icosphere(3, radius=radius)
    vertices, faces = np.asarray(sphere.vertices), np.asarray(sphere.faces, dtype=np.int64)
    return Mesh(vertices, faces, vertex_normals(vertices, faces))


def test_motion_is_since_the_start_and_error_of_the_same_frame() -> None:
    meshes = [ball(10.0), ball(12.0)]
    moved = by_motion("motion", meshes, meshes[0], since="P0")
    assert [values.mean() for values in moved.values] == pytest.approx([0.0, 2.0], abs=0.15)
    assert moved.note == "Å from P0"
    wrong = by_error("error", meshes, [ball(11.0), ball(11.5)], other="the truth")
    assert [values.mean() for values in wrong.values] == pytest.approx([1.0, 0.5], abs=0.15)


def test_experts_keep_their_colours_and_say_their_shares() -> None:
    meshes = [ball(10.0)] * 2
    count = len(meshes[0].vertices)
    near, far = np.full(count, 0.1), np.full(count, -0.3)
    territories = [
        Territory(experts=(6, 2), gates=(0.7, 0.3), signed=np.stack(signed).astype(np.float32))
        for signed in ((near, far), (far, near))
    ]
    nearest = by_nearest_expert("nearest", meshes, territories)
    assert [set(values.tolist()) for values in nearest.values] == [{0}, {1}]
    assert nearest.legend == [
        ("expert 6: gate 0.70, nearest on 50%", colour_of(6)), ("expert 2: gate 0.30, nearest on 50%", colour_of(2))
    ]  # fmt: skip
    outermost = by_outermost_expert("outermost", meshes, territories)
    assert [set(values.tolist()) for values in outermost.values] == [{1}, {0}]
    assert [text for text, _ in outermost.legend] == ["expert 6, gate 0.70", "expert 2, gate 0.30"]
    apart = by_disagreement("apart", meshes, territories)
    assert apart.legend == ()
    assert apart.values[0] == pytest.approx(0.4 * np.sqrt(0.7 * 0.3), abs=1e-6)
