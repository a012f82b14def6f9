"""Which frames of the replicas are kept, and at which normalised time."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from moedsr.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlannedFrame:
    """One frame to read."""

    replica: int  # from 1
    index: int  # in the replica's trajectory, from 0
    time: float  # in (-1, 1]; P0 alone stands at -1


def plan_frames(
    counts: Sequence[int], frames: int, time_mode: Literal["concat", "replica"], *, name: str = "ensemble"
) -> list[PlannedFrame]:
    """Evenly spread frames over all replicas, in order of replica and index.

    ``concat`` (the paper): K frames of the replicas laid one after another, the k-th of K at t = 2k/K - 1;
    time does not restart where a replica ends. ``replica``: K/R frames of each replica, every one spanning
    (-1, 1]. The k-th frame closes the k-th stretch: of 30,000 frames and K = 100 they are the 300th, 600th, …
    30,000th.

    Args:
        counts: frames in each replica's trajectory.
        frames: K, wanted over all replicas; when fewer exist all are kept and a log line says so.
        time_mode: as above.
        name: of the ensemble, for messages.

    Raises:
        InputError: fewer wanted frames than replicas with ``replica``.
    """
    if time_mode == "replica":
        share = frames // len(counts)
        if share == 0:
            raise InputError(
                f"{name}: frames is {frames}, but must be at least {len(counts)}, one for each replica, "
                "with time_mode replica"
            )
        return [
            PlannedFrame(replica, index, time)
            for replica, count in enumerate(counts, start=1)
            for index, time in _spread(count, share, f"{name}, replica {replica}")
        ]
    owners = [(replica, index) for replica, count in enumerate(counts, start=1) for index in range(count)]
    return [PlannedFrame(*owners[place], time) for place, time in _spread(len(owners), frames, name)]


def _spread(available: int, wanted: int, name: str) -> list[tuple[int, float]]:
    if available < wanted:
        logger.warning("%s: has %d frames, fewer than the %d wanted; all are kept", name, available, wanted)
    kept = min(available, wanted)
    return [(k * available // kept - 1, 2 * k / kept - 1) for k in range(1, kept + 1)]
