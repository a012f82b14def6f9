"""What the table of associations says of itself."""

import numpy as np

from moedsr_platform.reports.specialisation_table import NOTE, NOTHING, specialisation_table
from moedsr_platform.tracking.routing_report import Routing


def routing(experts: list[int]) -> Routing:
    names = tuple(f"p{place}" for place in range(len(experts)))
    sizes = {"residues": [float(20 + place) for place in range(len(experts))]}
    gates = np.eye(max(experts) + 1)[experts]
    return Routing(step=1, names=names, splits=("train",) * len(experts), gates=gates, numbers=sizes)


def test_few_proteins_are_said_to_be_few() -> None:
    note = specialisation_table(routing([0, 0, 1, 1, 1])).note
    assert "5 proteins on these experts are too few to find anything: p cannot be below 0.1" in note


def test_enough_proteins_and_none() -> None:
    assert specialisation_table(routing([0] * 6 + [1] * 6)).note == NOTE
    assert specialisation_table(routing([0, 0, 0])).note == NOTHING
