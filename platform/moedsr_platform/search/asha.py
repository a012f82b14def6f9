"""Asynchronous successive halving: who goes on when a trial has come to a rung."""


class Halving:
    """A trial goes on if it is among the best of those that came to its rung before it: one in ``reduction_factor``.

    Trials are judged by the best that each reached so far, as their results will be: a score that dips just at a rung
    does not end a trial whose checkpoint is ahead of the others.

    Ray's AsyncHyperBandScheduler lets more through while a rung holds few trials (it compares with a quantile of the
    others that lies between them), and a short search is nothing but such a beginning. The best so far always goes on:
    a search, however short, trains one trial to the end.

    Args:
        rungs: optimiser steps, ascending.
        reduction_factor: one in so many goes on.
    """

    def __init__(self, rungs: tuple[int, ...], reduction_factor: int) -> None:
        self._factor = reduction_factor
        self._rungs: dict[int, dict[str, float]] = {rung: {} for rung in rungs}

    def behind(self, trial_id: str, step: int, best: float) -> bool:
        """Whether a trial has to stop; more is better. It is judged once at each rung to which it comes."""
        rung = max((rung for rung in self._rungs if rung <= step), default=None)
        if rung is None or trial_id in self._rungs[rung]:
            return False
        known = self._rungs[rung]
        known[trial_id] = best
        better = sum(other > best for other in known.values())
        return better >= max(1, len(known) // self._factor)
