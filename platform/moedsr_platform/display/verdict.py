"""How the best model of a sweep did against doing nothing, in one plain sentence."""

from collections.abc import Mapping

EQUAL = 5e-4
"""Scores that differ by less are the same in the three digits that are printed."""


def verdict(scores: Mapping[str, float], metric: str, mode: str, who: str = "the best model") -> str | None:
    """The sentence, or None where the baselines were not scored.

    Args:
        scores: all metrics of the best validation.
        metric: the objective, such as ``val/iou``.
        mode: ``max`` or ``min``.
        who: whose scores they are.
    """
    if metric not in scores:
        return None
    model = scores[metric]
    if metric == "val/gap_closed":
        nothing, static = 0.0, 1.0
    else:
        kind = metric.removeprefix("val/")
        if f"naive/{kind}" not in scores:
            return None
        nothing, static = scores[f"naive/{kind}"], scores.get(f"oracle/{kind}", float("nan"))
    gain = model - nothing if mode == "max" else nothing - model
    how = "no better and no worse" if abs(gain) < EQUAL else "better" if gain > 0 else "worse"
    by = "" if abs(gain) < EQUAL else f", by {abs(gain):.3f}"
    ceiling = f"; the best static surface scores {static:.3f}" if static == static else ""
    return (
        f"{metric}: doing nothing (P0 for every frame) scores {nothing:.3f}, {who} {model:.3f}: "
        f"{how} than doing nothing{by}{ceiling}"
    )
