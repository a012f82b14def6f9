"""What sets the experts' proteins apart, as a table."""

from moedsr_platform.routing_report import Routing
from moedsr_platform.tables import Table, number

NOTE = (
    "value: how far the property follows the first expert of a protein (variance explained: 0 to 1; mutual "
    "information: from 0; within less between: the mean pairwise value inside experts less that across them). "
    "by chance: its mean over random reassignments; p: how often those do as well; adjusted: Holm's p for all rows."
)
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
    return Table("Specialisation of the experts", heads, rows, NOTE if rows else NOTHING)
