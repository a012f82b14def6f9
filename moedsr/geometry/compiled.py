"""Compiled loops over points, spheres and grid nodes. The only file that knows numba."""

import logging
from collections.abc import Callable
from typing import TypeVar

import numba

F = TypeVar("F", bound=Callable)

logger = logging.getLogger(__name__)


def compiled(function: F) -> F:
    """The function as machine code, made at its first call and kept for later processes where a folder allows."""
    try:
        return numba.njit(function, cache=True, nogil=True)
    except RuntimeError as error:  # neither the package's folder nor the user's cache can be written
        logger.debug("%s: compiled code is not kept: %s", function.__name__, error)
        return numba.njit(function, nogil=True)
