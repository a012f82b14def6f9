"""The solvent-excluded surface of one and two spheres has a closed form; a helix-like chain has not."""

import numpy as np
import pytest
import trimesh
from scipy import ndimage
from scipy.spatial import KDTree

from moedsr.errors import InputError
from moedsr.geometry.surface import solvent_excluded_surface

RADIUS, PROBE = 1.7, 1.4


def chain(atoms=40, seed=0):
    """Overlapping atoms along a wound random walk, Å."""
    rng = np.random.default_rng(seed)
    angle = 1.75 * np.arange(atoms)
    helix = np.stack([2.3 * np.cos(angle), 2.3 * np.sin(angle), 0.6 * np.arange(atoms)], axis=1)
    return helix + rng.normal(0.0, 0.4, (atoms, 3)), rng.choice([1.2, 1.52, 1.7], atoms)


def as_trimesh(mesh):
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def accessible_dots(centres, radii, density=120.0):
    """Dots on the accessible surface by brute force."""
    kept = []
    for centre, radius in zip(centres, radii + PROBE, strict=True):
        count = int(density * 4 * np.pi * radius**2)
        height = 1 - 2 * (np.arange(count) + 0.5) / count
        turn = np.pi * (1 + 5**0.5) * np.arange(count)
        ring = np.sqrt(1 - height**2)
        dots = centre + radius * np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
        distance = np.linalg.norm(dots[:, None] - centres, axis=2) - (radii + PROBE)
        kept.append(dots[(distance > -1e-9).all(axis=1)])
    return np.concatenate(kept)


def test_sphere_area_volume_and_normals():
    surface = solvent_excluded_surface([[3.1, -2.3, 7.7]], [RADIUS], spacing=0.25)
    mesh = surface.mesh()
    radial = mesh.vertices - [3.1, -2.3, 7.7]
    assert mesh.area == pytest.approx(4 * np.pi * RADIUS**2, rel=0.01)
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.015)
    np.testing.assert_allclose(np.linalg.norm(radial, axis=1), RADIUS, atol=1e-6)
    np.testing.assert_allclose(mesh.normals, radial / RADIUS, atol=1e-6)


def test_two_spheres_have_a_reentrant_neck():
    half = 2.0
    surface = solvent_excluded_surface([[-half, 0, 0], [half, 0, 0]], [RADIUS, RADIUS], spacing=0.25)
    mesh = surface.mesh()
    ring = np.sqrt((RADIUS + PROBE) ** 2 - half**2)  # where the probe touches both
    neck = ring - PROBE
    assert 0 < neck < RADIUS
    across, along = np.hypot(mesh.vertices[:, 1], mesh.vertices[:, 2]), mesh.vertices[:, 0]
    middle = np.abs(along) < 0.1
    np.testing.assert_allclose(across[middle], neck, atol=0.02)
    # between the contact circles the surface is the inner side of a torus
    reentrant = np.abs(along) < half * PROBE / (RADIUS + PROBE) - 0.05
    np.testing.assert_allclose(np.hypot(across - ring, along)[reentrant], PROBE, atol=0.02)
    # and the normals turn towards the ring on which the probe's centre rolls
    expected = np.stack([-along, ring - across], axis=1)[reentrant] / PROBE
    outward = np.einsum("ij,ij->i", mesh.normals[:, 1:], mesh.vertices[:, 1:]) / across
    np.testing.assert_allclose(outward[reentrant], expected[:, 1], atol=0.02)
    np.testing.assert_allclose(mesh.normals[reentrant, 0], expected[:, 0], atol=0.02)
    assert len(trimesh.graph.connected_components(as_trimesh(mesh).edges)) == 1


def test_distant_spheres_are_two_surfaces():
    mesh = solvent_excluded_surface([[0, 0, 0], [9, 0, 0]], [RADIUS, RADIUS]).mesh()
    assert as_trimesh(mesh).body_count == 2
    assert mesh.volume == pytest.approx(2 * 4 / 3 * np.pi * RADIUS**3, rel=0.06)


@pytest.mark.parametrize("spacing", [1.0, 0.5])
def test_chain_agrees_with_brute_force(spacing):
    centres, radii = chain()
    surface = solvent_excluded_surface(centres, radii, spacing=spacing, keep_cavities=True)
    mesh = surface.mesh()
    distance, nearest = KDTree(dots := accessible_dots(centres, radii)).query(mesh.vertices)
    error = np.abs(distance - PROBE)
    assert error.mean() < 0.02
    assert np.quantile(error, 0.95) < 0.12 * spacing + 0.01
    towards = (dots[nearest] - mesh.vertices) / distance[:, None]
    angle = np.degrees(np.arccos(np.einsum("ij,ij->i", towards, mesh.normals).clip(-1, 1)))
    assert np.median(angle) < 3.0


def test_chain_is_watertight_and_looks_outward():
    centres, radii = chain()
    mesh = solvent_excluded_surface(centres, radii).mesh()
    body = as_trimesh(mesh)
    assert body.is_watertight
    assert body.is_winding_consistent
    assert body.volume > 0
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-9)
    agreement = np.einsum("ij,ij->i", body.face_normals, mesh.normals[mesh.faces].mean(axis=1))
    assert np.quantile(agreement, 0.01) > 0.5


def test_volume_converges_faster_than_a_plain_distance_transform():
    """Raw grid depths make the body too large, less so on finer grids; exact depths do not."""
    centres, radii = chain()
    raw, exact = [], []
    for spacing in (1.0, 0.5, 0.25):
        surface = solvent_excluded_surface(centres, radii, spacing=spacing)
        grid = surface.grid
        nodes = grid.positions(np.arange(np.prod(grid.shape)))
        inside = np.full(len(nodes), False)
        for centre, radius in zip(centres, radii + PROBE, strict=True):
            inside |= ((nodes - centre) ** 2).sum(axis=1) < radius**2
        depth = ndimage.distance_transform_edt(inside.reshape(grid.shape)) * spacing
        raw.append((depth > PROBE).sum() * spacing**3)
        exact.append(surface.mesh().volume)
    assert raw[0] > raw[1] > raw[2] > exact[2]
    assert abs(exact[0] - exact[2]) < 0.25 * (raw[0] - exact[2])
    assert exact[1] == pytest.approx(exact[2], rel=0.01)


def test_occupancy_agrees_with_signed_distance():
    centres, radii = chain()
    surface = solvent_excluded_surface(centres, radii)
    centre, scale, nodes = centres.mean(axis=0), 20.0, 48
    axis = np.linspace(-1, 1, nodes) * scale
    points = centre + np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    occupancy = surface.occupancy(centre, scale, nodes)
    distance = surface.signed_distance(points).reshape(occupancy.shape)
    away = np.abs(distance) > 1e-5  # float32 against float64
    np.testing.assert_array_equal(occupancy[away], distance[away] < 0)
    assert occupancy.sum() * (2 * scale / (nodes - 1)) ** 3 == pytest.approx(surface.mesh().volume, rel=0.03)
    assert (distance[0] > PROBE).all()


def test_occupancy_of_a_grid_elsewhere_is_empty():
    surface = solvent_excluded_surface([[0, 0, 0]], [RADIUS])
    assert not surface.occupancy([100, 0, 0], 10.0, 16).any()
    assert surface.signed_distance([[100.0, 0, 0]])[0] == pytest.approx(100 - RADIUS, abs=1.5)


def test_occupancy_agrees_with_ray_parity_of_the_mesh():
    centres, radii = chain()
    surface = solvent_excluded_surface(centres, radii)
    middle, scale, nodes = centres.mean(axis=0), 18.0, 64
    occupancy = surface.occupancy(middle, scale, nodes)
    axis = np.linspace(-1, 1, nodes) * scale
    parity = np.zeros_like(occupancy)
    triangles = surface.mesh().vertices[surface.mesh().faces] - middle
    for corners in triangles:
        low, high = np.searchsorted(axis, corners.min(axis=0)), np.searchsorted(axis, corners.max(axis=0))
        for i in range(low[0], high[0]):
            for j in range(low[1], high[1]):
                columns = np.column_stack([corners[:, :2], np.ones(3)])
                if abs(np.linalg.det(columns)) < 1e-12:
                    continue
                weights = np.linalg.solve(columns.T, [axis[i], axis[j], 1.0])
                if (weights >= 0).all():
                    parity[i, j, axis > weights @ corners[:, 2]] ^= True
    assert (parity == occupancy).mean() > 0.999


def hollow_shell():
    """Atoms all over a sphere of 6 Å, and so a cavity that water cannot leave."""
    count = 150
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    ring = np.sqrt(1 - height**2)
    return 6.0 * np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1), np.full(count, RADIUS)


def test_cavities_are_dropped_unless_kept():
    centres, radii = hollow_shell()
    dropped = solvent_excluded_surface(centres, radii)
    kept = solvent_excluded_surface(centres, radii, keep_cavities=True)
    assert as_trimesh(dropped.mesh()).body_count == 1
    assert as_trimesh(kept.mesh()).body_count == 2
    assert dropped.signed_distance([[0.0, 0, 0]])[0] < 0 < kept.signed_distance([[0.0, 0, 0]])[0]
    assert dropped.mesh().volume > kept.mesh().volume


def test_moving_the_atoms_moves_the_surface():
    centres, radii = chain()
    shift = np.array([13.37, -4.2, 0.123])
    here, there = (solvent_excluded_surface(x, radii).mesh() for x in (centres, centres + shift))
    assert there.volume == pytest.approx(here.volume, rel=1e-6)
    np.testing.assert_allclose(there.vertices.mean(axis=0) - here.vertices.mean(axis=0), shift, atol=1e-4)


def test_duplicate_and_swallowed_atoms_change_nothing():
    one = solvent_excluded_surface([[0, 0, 0]], [RADIUS]).mesh()
    many = solvent_excluded_surface([[0, 0, 0], [0, 0, 0], [0.1, 0, 0]], [RADIUS, RADIUS, 1.2]).mesh()
    assert many.volume == pytest.approx(one.volume, rel=1e-6)


@pytest.mark.parametrize(
    ("positions", "radii", "options", "message"),
    [
        (np.zeros((0, 3)), [], {}, r"\(0, 3\).*N >= 1"),
        (np.zeros((2, 3)), [1.7], {}, r"\(2, 3\) and radii \(1,\)"),
        ([[0, 0, np.nan]], [1.7], {}, "atom 0 has position .*nan.* must be finite"),
        ([[0, 0, 0]], [0.0], {}, "atom 0 has radius 0, but must have one > 0"),
        ([[0, 0, 0]], [1.7], {"spacing": 0.0}, "spacing is 0.0, but must be a length > 0"),
        ([[0, 0, 0]], [1.7], {"probe_radius": -1.0}, "probe_radius is -1.0, but must be a length > 0"),
        ([[0, 0, 0], [9e3, 9e3, 9e3]], [1.7, 1.7], {}, "is the protein whole"),
    ],
)
def test_wrong_input_is_named(positions, radii, options, message):
    with pytest.raises(InputError, match=message):
        solvent_excluded_surface(positions, radii, **options)
