"""What surfaces over time are worth being coloured by: how far they moved, how wrong they are, which expert wins."""

from collections.abc import Sequence

import numpy as np

from moedsr.geometry.mesh import Mesh
from moedsr.geometry.surface_distance import distance_to
from moedsr.inference.expert_colours import colour_of
from moedsr.inference.expert_territory import Territory
from moedsr.pictures.surface_player import View


def by_motion(name: str, meshes: Sequence[Mesh], start: Mesh, *, since: str) -> View:
    """Coloured by the distance to where it started.

    Args:
        name: of the view.
        meshes: one a frame, Å.
        start: the surface to be compared with.
        since: what that is.
    """
    distance = distance_to(start)
    return View(name=name, meshes=meshes, values=[distance(mesh.vertices) for mesh in meshes], note=f"Å from {since}")


def by_error(name: str, meshes: Sequence[Mesh], others: Sequence[Mesh], *, other: str) -> View:
    """Coloured by the distance to another surface of the same frame."""
    values = [distance_to(there)(here.vertices) for here, there in zip(meshes, others, strict=True)]
    return View(name=name, meshes=meshes, values=values, note=f"Å from {other}")


def by_nearest_expert(name: str, meshes: Sequence[Mesh], territories: Sequence[Territory]) -> View:
    """True surfaces coloured by the expert that is right there; all territories are of one protein."""
    return View(
        name=name,
        meshes=meshes,
        values=[territory.nearest for territory in territories],
        note="Expert whose own surface is nearest to the truth",
        legend=expert_legend(territories),
    )


def by_outermost_expert(name: str, meshes: Sequence[Mesh], territories: Sequence[Territory]) -> View:
    """Predicted surfaces coloured by the expert that would have them furthest out."""
    of = territories[0]
    entries = [f"expert {expert}, gate {gate:.2f}" for expert, gate in zip(of.experts, of.gates, strict=True)]
    return View(
        name=name,
        meshes=meshes,
        values=[territory.outermost for territory in territories],
        note="Expert whose own surface reaches furthest out",
        legend=[(text, colour_of(expert)) for text, expert in zip(entries, of.experts, strict=True)],
    )


def by_disagreement(name: str, meshes: Sequence[Mesh], territories: Sequence[Territory]) -> View:
    """Predicted surfaces coloured by how far the experts' own surfaces lie apart."""
    values = [territory.disagreement for territory in territories]
    return View(name=name, meshes=meshes, values=values, note="Å, spread of the experts' own surfaces")


def expert_legend(territories: Sequence[Territory]) -> list[tuple[str, str]]:
    """Text and colour of each expert: its gate, and on how much of the surfaces it is the nearest."""
    of, shares = territories[0], np.mean([territory.shares for territory in territories], axis=0)
    return [
        (f"expert {expert}: gate {gate:.2f}, nearest on {share:.0%}", colour_of(expert))
        for expert, gate, share in zip(of.experts, of.gates, shares, strict=True)
    ]
