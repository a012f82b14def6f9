"""Placement groups of Ray Train runs that were killed: nobody else returns their CPUs and GPUs to the sweep.

Ray's own cleaner asks the dashboard whether a run's controller is alive, and does nothing where there is no dashboard.
A group has no name, so each trial's workers reserve a number of bytes of memory that no other trial's reserve: the
group is known by it.
"""

import secrets
import time
from collections.abc import Collection

from moedsr_platform.trial.trial import MARKED_BYTES


def new_mark() -> int:
    """Bytes that tell the group of one trial from all others of a cluster."""
    return secrets.randbelow(2**24)


def remove_groups(marks: Collection[int]) -> int:
    """Removes the placement groups of trials that have no process any more; says how many there were."""
    from ray import PlacementGroupID
    from ray.util import placement_group_table, remove_placement_group
    from ray.util.placement_group import PlacementGroup

    if not marks:
        return 0
    wanted = {MARKED_BYTES + mark for mark in marks}
    found = [
        number
        for number, group in placement_group_table().items()
        if group["state"] != "REMOVED" and wanted & {bundle.get("memory") for bundle in group["bundles"].values()}
    ]
    for number in found:
        remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(number))))
    return len(found)


AGAIN_SECONDS = 2.0
FORGOTTEN_SECONDS = 60.0


class Groups:
    """The groups of trials that have ended, removed until none can appear any more: a controller may be on its way.

    Args:
        used: whether trials are Ray Train runs at all.
    """

    def __init__(self, *, used: bool) -> None:
        self._used = used
        self._ended: dict[int, float] = {}  # marks, and until when their groups are looked for
        self._looked = 0.0

    def remove(self, mark: int) -> None:
        """Of a trial that has no process any more."""
        if self._used:
            remove_groups([mark])
            self._ended[mark] = time.monotonic() + FORGOTTEN_SECONDS

    def tick(self) -> None:
        """Time passes."""
        now = time.monotonic()
        if self._ended and now - self._looked > AGAIN_SECONDS:
            self._looked = now
            remove_groups(self._ended)
            self._ended = {mark: until for mark, until in self._ended.items() if until > now}
