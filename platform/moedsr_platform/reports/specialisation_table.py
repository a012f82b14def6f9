"""What sets the experts' proteins apart, as a table."""

from moedsr_platform.display.tables import Table, number
from moedsr_platform.tracking.routing_report import Routing

NOTE = (
    "value: how far the property follows the first expert of a protein (variance explained: 0 to 1; mutual "
    "information: from 0; within less between: the mean pairwise value inside experts less that across them). "
    "by chance: its mean over random reassignments; p: how often those do as well; adjusted: Holm's p for all rows."
)
TELLING = 0.05
"""Where even the smallest p-value that is possible lies above it, nothing could be found."""
NOTHING = "Nothing to test: it takes two experts in use, more proteins than experts, and a property that differs."


def specialisation_table(routing: Routing) -> Table:
    """One row a property that could be tested."""
    rows = tuple(
        (
            one.property,
            one.measure,
            str(one.proteins),
            number(one.value),
            number(one.expected),
            f"{one.p_value:.2g}",
            f"{one.adjusted:.2g}",
        )
        for one in routing.associations
    )
    heads = ("property", "measure", "proteins", "value", "by chance", "p", "adjusted")
    return Table("Specialisation of the experts", heads, rows, _note(routing))


def _note(routing: Routing) -> str:
    tested = routing.associations
    if not tested:
        return NOTHING
    least = min(one.least for one in tested)
    if len(tested) * least <= TELLING:
        return NOTE
    fewest = min(one.proteins for one in tested)
    return (
        f"{NOTE} {fewest} proteins on these experts are too few to find anything: p cannot be below {least:.2g}, "
        f"adjusted for {len(tested)} rows not below {min(1.0, len(tested) * least):.2g}."
    )
