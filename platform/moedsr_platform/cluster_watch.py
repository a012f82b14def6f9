"""Notices that Ray is gone from this machine, so that a sweep ends with a word instead of waiting for ever.

When the whole cluster's head is gone, Ray itself ends the driver after a minute.
"""

import time
from collections.abc import Callable

EVERY_SECONDS = 5.0


class ClusterWatch:
    """Looks now and then.

    Args:
        here: whether the cluster still counts this machine's node (its raylet) as alive.
    """

    def __init__(self, here: Callable[[], bool]) -> None:
        self._here = here
        self._looked = time.monotonic()

    def lost(self) -> str | None:
        """What is gone for good; None as far as is known."""
        now = time.monotonic()
        if now - self._looked < EVERY_SECONDS:
            return None
        self._looked = now
        return None if self._here() else "Ray on this machine is gone"


def watch_cluster() -> ClusterWatch:
    """A watch of the cluster that this process is connected to."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return ClusterWatch(lambda: any(found["Alive"] for found in ray.nodes() if found["NodeID"] == node))
