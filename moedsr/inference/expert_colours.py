"""One colour an expert, the same in every picture and on every page."""

EXPERT_COLOURS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#994455",
    "#004488", "#ddaa33", "#44aa99", "#882255", "#999933", "#cc6677", "#332288", "#117733",
)  # fmt: skip
"""In turn; told apart also by those who see few colours."""


def colour_of(expert: int) -> str:
    """As #rrggbb."""
    return EXPERT_COLOURS[expert % len(EXPERT_COLOURS)]
