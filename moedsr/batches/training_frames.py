"""Which frames of a protein are trained on, and whose latent code they have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moedsr.config import Config
from moedsr.store.protein_file import StoredProtein


def training_frames(protein: StoredProtein, config: Config) -> list[int]:
    """Indices of the frames to train on: P0 first, then those of the wanted replicas, evenly spread."""
    wanted = config.data.replicas
    available = [i for i in range(1, len(protein.times)) if wanted is None or int(protein.replicas[i]) in wanted]
    return [0, *spread(available, config.data.frames)]


def spread(items: Sequence[int], count: int | None) -> list[int]:
    """``count`` of the items, evenly spread, the last always among them; all when there are fewer."""
    if count is None or count >= len(items):
        return list(items)
    return [items[(k + 1) * len(items) // count - 1] for k in range(count)]


@dataclass(frozen=True)
class Trajectory:
    """Frames of one protein that share a latent code."""

    protein: StoredProtein
    frames: list[int]  # P0 first
    replica: int | None = None  # the one that they are from; None: from any

    @property
    def code(self) -> str:
        """Name of its latent code."""
        return self.protein.name if self.replica is None else _code(self.protein.name, self.replica)


def trajectories(proteins: Sequence[StoredProtein], config: Config) -> list[Trajectory]:
    """What is trained on, in the order of the latent codes: each protein whole, or each of its replicas with P0."""
    whole = [Trajectory(protein, training_frames(protein, config)) for protein in proteins]
    if config.expert.latent_per == "protein":
        return whole
    return [part for trajectory in whole for part in _by_replica(trajectory)]


def _by_replica(whole: Trajectory) -> list[Trajectory]:
    initial, *later = whole.frames
    of = {frame: int(whole.protein.replicas[frame]) for frame in later}
    # P0 alone belongs to the first
    return [
        Trajectory(whole.protein, [initial, *(frame for frame in later if of[frame] == replica)], replica)
        for replica in sorted(set(of.values())) or [1]
    ]


def code_row(codes: Mapping[str, int], protein: str, replica: int) -> int:
    """Row of the latent code of a frame; -1 for a protein without one.

    Args:
        codes: row by name of the code.
        protein: name.
        replica: that the frame is from; 0 for P0, which has the code of the first one.
    """
    names = [protein, _code(protein, replica)]
    if replica == 0:
        names += [name for name in codes if name.startswith(_code(protein, ""))]
    return next((codes[name] for name in names if name in codes), -1)


def _code(protein: str, replica: int | str) -> str:
    return f"{protein}/{replica}"
