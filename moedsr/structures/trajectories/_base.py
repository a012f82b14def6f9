"""What every trajectory format gives: frames by number, one in memory at a time."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from moedsr.errors import InputError
from moedsr.structures.periodic_box import Box, Positions

LARGEST_FRAME = 100_000_000
"""Atoms; a file that claims more is damaged."""


def mapped(path: Path) -> Any:
    """Content of a file, memory-mapped: (size,) uint8, a buffer as well as an array."""
    return np.memmap(path, dtype=np.uint8, mode="r")


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame as the file holds it, in Å."""

    positions: Positions  # (file's atoms, 3)
    box: Box | None  # (3, 3), rows are cell vectors; None where the file has none


class TrajectoryFile(ABC):
    """An open trajectory. Headers are checked when it is opened, a frame's content when it is read."""

    name: str  # of the format
    atoms: int
    frames: int  # whole ones
    cut: bool  # whether a further frame begins but does not end

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def read(self, index: int) -> RawFrame:
        """Frame `index`, from 0, below `frames`; fastest in ascending order.

        Raises:
            InputError: damaged content.
        """

    def time(self, index: int) -> float | None:
        """Of frame `index` in ps; None where it is not known."""
        del index
        return None

    def close(self) -> None:  # noqa: B027 - most formats hold nothing open
        """Gives back what is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def unreadable(self, reason: object) -> InputError:
        """The error of a file that is not of its format."""
        words = str(reason).strip()
        return InputError(
            f"{self.path}: cannot be read as {self.name}: {words.splitlines()[0] if words else 'damaged'}"
        )
