"""Notices that Ray is gone from this machine, so that a sweep ends with a word instead of waiting for ever.

When the whole cluster's head is gone, Ray itself ends the driver after a minute, unless the last trial ends before.
"""

import contextlib
import threading
import time
from collections.abc import Callable

EVERY_SECONDS = 5.0


class ClusterWatch:
    """Looks now and then, in the background: a head that is gone does not answer.

    Args:
        here: whether the cluster still counts this machine's node (its raylet) as alive.
    """

    def __init__(self, here: Callable[[], bool]) -> None:
        self._here = here
        self._looked = time.monotonic()
        self._look = threading.Thread(target=self._ask, daemon=True)  # the latest
        self._gone = False

    def lost(self) -> str | None:
        """What is gone for good; None as far as is known."""
        now = time.monotonic()
        if now - self._looked >= EVERY_SECONDS and not self._look.is_alive():
            self._looked = now
            self._look = threading.Thread(target=self._ask, daemon=True)
            self._look.start()
        return "Ray on this machine is gone" if self._gone else None

    def _ask(self) -> None:
        with contextlib.suppress(Exception):  # no answer is none to go by
            self._gone = not self._here()


def watch_cluster() -> ClusterWatch:
    """A watch of the cluster that this process is connected to."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return ClusterWatch(lambda: any(found["Alive"] for found in ray.nodes() if found["NodeID"] == node))
