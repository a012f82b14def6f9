"""Compiled loops over points, spheres and grid nodes. The only file that knows numba."""

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache

F = TypeVar("F", bound=Callable)

logger = logging.getLogger(__name__)


def compiled(function: F) -> F:
    """The function as machine code, made at its first call and kept for later processes where a folder allows."""
    made = numba.njit(function, nogil=True)
    try:
        made._cache = _Kept(function)
    except RuntimeError as error:  # neither the package's folder nor the user's cache can be written
        logger.debug("%s: compiled code is not kept: %s", function.__name__, error)
    return made


@cache
def sources() -> str:
    """Hash of the files whose functions call each other.

    Machine code holds that of the functions it calls, but numba's own cache notices a change in a function's own file
    alone: after one in another file the old code would go on being used.
    """
    state = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        state.update(path.read_bytes())
    return state.hexdigest()[:12]


class _Named(CompileResultCacheImpl):
    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        return f"{super().get_filename_base(fullname, abiflags)}.{sources()}"


class _Kept(FunctionCache):
    _impl_class = _Named
