"""Training, validation and test proteins that have nothing in common: no pair across splits is alike by sequence.

Proteins that are alike, directly or through others, form a group, and a group is never parted. Held out are, as in
the paper, proteins without any like them, as long as there are some.
"""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence

from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from moedsr.errors import InputError, JobError
from moedsr.store.similar_sequences import Likeness, SimilarPair, similar_pairs
from moedsr.structures.ensemble import SPLITS

PAPER_PROTEINS, PAPER_HELD_OUT = 1390, 50
PAPER_TEST = (
    *("6irx_A", "1tg7_A", "4ayg_B", "5jbg_A", "7p41_D", "1gte_D", "2wsi_A", "2inc_A", "1bkp_A", "2v4b_B"),
    "1bgf_A",
)
"""Proteins that the paper shows as test proteins."""

_ROUNDS = 5


def split_proteins(
    sequences: Mapping[str, str],
    likeness: Likeness,
    *,
    seed: int = 0,
    val: int | None = None,
    test: int | None = None,
    threads: int = 1,
) -> dict[str, str]:
    """Name to split, without any pair across splits that is alike; the same for the same seed.

    Args:
        sequences: name to sequence.
        likeness: when two count as alike.
        seed: of the drawing.
        val: number of validation proteins; default: 50 of 1,390, the same share of others, at least 1.
        test: number of test proteins, likewise.
        threads: of the search.

    Raises:
        InputError: MMseqs2 is missing; too few proteins, or too few that are not alike.
        JobError: MMseqs2 failed, or keeps finding more.
    """
    share = held_out_size(len(sequences))
    wanted = {"test": share if test is None else test, "val": share if val is None else val}
    pairs = similar_pairs(sequences, sequences, likeness, threads)
    for _ in range(_ROUNDS):
        split = draw(sorted(sequences), pairs, wanted, seed)
        # what is alike depends a little on what is searched in: the result is searched again by itself
        if not (found := leakage(split, sequences, likeness, threads)):
            return split
        pairs |= found
    raise JobError(f"MMseqs2 still finds {min(found)} across splits, after {_ROUNDS} drawings; nothing was written")


def held_out_size(proteins: int) -> int:
    """How many proteins the validation split has, and the test split as many: 50 of 1,390 and in proportion."""
    return max(1, round(proteins * PAPER_HELD_OUT / PAPER_PROTEINS))


def draw(names: Sequence[str], pairs: Collection[SimilarPair], wanted: Mapping[str, int], seed: int) -> dict[str, str]:
    """Name to split: whole groups, single proteins first; those that the paper names are test proteins.

    Args:
        names: all proteins.
        pairs: that are alike.
        wanted: number of proteins by held-out split, the one that is filled first first.
        seed: of the order.

    Raises:
        InputError: too few groups for the splits.
    """
    groups = _groups(names, pairs)
    splits = [split for split in ("train", *wanted) if wanted.get(split, 1) > 0]
    if len(groups) < len(splits):
        raise InputError(
            f"{len(names)} proteins form {len(groups)} groups of likes, but {', '.join(splits)} need one each; "
            "add other proteins, or allow more likeness (--identity)"
        )
    if sum(wanted.values()) >= len(names):
        raise InputError(
            f"{' and '.join(f'{count} for {split}' for split, count in wanted.items())} leave none of {len(names)} "
            "proteins to train on"
        )
    random.Random(seed).shuffle(groups)
    groups.sort(key=len)  # stable: groups of one size stay in random order
    groups.sort(key=lambda group: set(group).isdisjoint(PAPER_TEST))
    chosen: dict[str, str] = {}
    for split, left in zip(splits[1:], range(len(splits) - 1, 0, -1), strict=True):
        held = 0
        for group in list(groups):
            named = split == "test" and not set(group).isdisjoint(PAPER_TEST)
            if len(groups) > left and (named or not held or held + len(group) <= wanted[split]):
                chosen |= dict.fromkeys(group, split)
                groups.remove(group)
                held += len(group)
    return {name: chosen.get(name, "train") for name in names}


def leakage(
    split: Mapping[str, str], sequences: Mapping[str, str], likeness: Likeness, threads: int = 1
) -> set[SimilarPair]:
    """Pairs across splits that are alike, searched for from the held-out proteins.

    Raises:
        InputError, JobError: as similar_pairs.
    """
    held = {name: sequences[name] for name in sequences if split[name] != "train"}
    return set(crossing(split, similar_pairs(held, sequences, likeness, threads))) if held else set()


def crossing(split: Mapping[str, str], pairs: Iterable[SimilarPair]) -> list[SimilarPair]:
    """Pairs whose proteins are in different splits, sorted."""
    return sorted(pair for pair in pairs if split[pair.first] != split[pair.second])


def require_no_leakage(
    split: Mapping[str, str], sequences: Mapping[str, str], likeness: Likeness, threads: int = 1
) -> None:
    """Raises InputError, naming the first, where a split parts proteins that are alike."""
    if found := sorted(leakage(split, sequences, likeness, threads)):
        worst = max(found, key=lambda pair: pair.identity)
        raise InputError(
            f"{len(found)} pairs of different splits are alike, such as {worst}, in {split[worst.first]} and "
            f"{split[worst.second]}; nothing was written"
        )


def sizes(split: Mapping[str, str]) -> dict[str, int]:
    """Number of proteins by split."""
    return {name: sum(held == name for held in split.values()) for name in SPLITS}


def _groups(names: Sequence[str], pairs: Collection[SimilarPair]) -> list[list[str]]:
    place = {name: index for index, name in enumerate(names)}
    rows, columns = [place[pair.first] for pair in pairs], [place[pair.second] for pair in pairs]
    graph = coo_array(([1] * len(rows), (rows, columns)), shape=(len(names), len(names)))
    count, labels = connected_components(graph, directed=False)
    groups: list[list[str]] = [[] for _ in range(count)]
    for name, label in zip(names, labels, strict=True):
        groups[label].append(name)
    return groups
