"""Splits without leakage: by groups, seeded, in proportion, and searched again before they are written."""

import csv
import json
import os
import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from moedsr.errors import InputError, JobError
from moedsr.store import similar_sequences
from moedsr.store import split as splitting
from moedsr.store.prepare import prepare_serially
from moedsr.store.similar_sequences import Likeness, SimilarPair, similar_pairs
from moedsr.store.split import PAPER_TEST, crossing, draw, held_out_size, leakage, sizes, split_proteins
from moedsr.store.store import SurfaceStore, check_store
from moedsr_platform.cli.data.split import split as command

_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "atlas_meta" / "atlas.csv"
ATLAS = Path(os.environ.get("MOEDSR_ATLAS_CSV", _BESIDE))  # lines `name,sequence`, as ATLAS offers them
RULE = Likeness()
needs_mmseqs = pytest.mark.skipif(shutil.which("mmseqs") is None, reason="MMseqs2 is not on PATH")


def pair(first: str, second: str) -> SimilarPair:
    return SimilarPair(first, second, 0.9, 0.9)


def random_sequence(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACDEFGHIKLMNPQRSTVWY", k=length))


def mutated(sequence: str, kept: float, seed: int) -> str:
    chance = random.Random(seed)
    return "".join(letter if chance.random() < kept else chance.choice("ACDEFGHIKLMNPQRSTVWY") for letter in sequence)


@pytest.mark.parametrize(("proteins", "held"), [(1390, 50), (695, 25), (100, 4), (40, 1), (3, 1)])
def test_held_out_share_is_the_papers(proteins: int, held: int) -> None:
    assert held_out_size(proteins) == held


def test_no_group_is_parted_whatever_the_likeness() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        names = [f"p{index:02}" for index in range(chance.randint(6, 40))]
        pairs = {pair(*sorted(chance.sample(names, 2))) for _ in range(chance.randint(0, len(names) // 2))}
        try:
            split = draw(names, pairs, {"test": chance.randint(1, 3), "val": chance.randint(1, 3)}, seed)
        except InputError:
            continue
        assert crossing(split, pairs) == []
        assert all(sizes(split).values())


def test_single_proteins_are_held_out_first_and_the_sizes_are_exact() -> None:
    names = [f"p{index}" for index in range(20)]
    pairs = [pair("p0", "p1"), pair("p1", "p2"), pair("p3", "p4")]
    for seed in range(20):
        split = draw(names, pairs, {"test": 3, "val": 2}, seed)
        assert sizes(split) == {"train": 15, "val": 2, "test": 3}
        assert {split[f"p{index}"] for index in range(5)} == {"train"}
    assert draw(names, pairs, {"test": 3, "val": 2}, 1) == draw(names, pairs, {"test": 3, "val": 2}, 1)
    assert len({tuple(draw(names, pairs, {"test": 3, "val": 2}, seed).values()) for seed in range(20)}) > 10


def test_proteins_that_the_paper_names_are_tested_on_with_all_that_are_like_them() -> None:
    names = sorted([*PAPER_TEST[:2], *(f"p{index}" for index in range(28))])
    split = draw(names, [pair(*sorted((PAPER_TEST[0], "p3")))], {"test": 4, "val": 1}, 0)
    assert split[PAPER_TEST[0]] == split[PAPER_TEST[1]] == split["p3"] == "test"
    assert sizes(split) == {"train": 25, "val": 1, "test": 4}


def test_tiny_stores() -> None:
    assert sizes(draw(["a", "b", "c"], [], {"test": 1, "val": 1}, 0)) == {"train": 1, "val": 1, "test": 1}
    assert sizes(draw(["a", "b", "c", "d"], [pair("a", "b")], {"test": 1, "val": 1}, 0))["train"] == 2
    assert sizes(draw(["a", "b"], [], {"test": 1, "val": 0}, 0)) == {"train": 1, "val": 0, "test": 1}
    with pytest.raises(InputError, match="3 proteins form 2 groups of likes, but train, test, val need one each"):
        draw(["a", "b", "c"], [pair("a", "b")], {"test": 1, "val": 1}, 0)
    with pytest.raises(InputError, match="2 for test and 2 for val leave none of 4"):
        draw(["a", "b", "c", "d"], [], {"test": 2, "val": 2}, 0)


def test_what_a_second_search_finds_is_taken_into_account(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = {f"p{index}": "A" for index in range(9)}
    blind = {pair("p0", "p1"), pair("p2", "p3")}

    def search(queries: dict[str, str], targets: dict[str, str], *rest: object) -> set[SimilarPair]:
        if len(queries) == len(targets):
            return set()
        return {found for found in blind if found.first in queries or found.second in queries}

    monkeypatch.setattr(splitting, "similar_pairs", search)
    for seed in range(10):
        assert crossing(split_proteins(sequences, RULE, seed=seed, val=2, test=2), blind) == []


def test_without_end_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "leakage", lambda *args: {pair("p0", "p1")})
    monkeypatch.setattr(splitting, "similar_pairs", lambda *args: set())
    with pytest.raises(JobError, match=r"still finds p0 and p1 \(90% identity over 90%\) across splits"):
        split_proteins({f"p{index}": "A" for index in range(9)}, RULE)


def test_without_mmseqs_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match=r"`mmseqs` is not on PATH: apt install mmseqs2, or conda"):
        similar_pairs({"a": "A"}, {"a": "A"}, RULE)


def test_failing_mmseqs_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "mmseqs"
    program.write_text("#!/bin/sh\necho 'no memory left' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(similar_sequences, "PROGRAM", str(program))
    with pytest.raises(JobError, match=r"failed with status 3: no memory left"):
        similar_pairs({"a": "A"}, {"a": "A"}, RULE)


@needs_mmseqs
def test_likes_are_found_by_identity_and_coverage_of_both() -> None:
    base = random_sequence(120, 1)
    sequences = {
        "base": base,
        "near": mutated(base, 0.7, 2),
        "far": mutated(base, 0.15, 3),
        "half": base[:60],
        "long": base + random_sequence(80, 4),
        "other": random_sequence(120, 5),
        "peptide": random_sequence(20, 6),
        "odd name|x y": mutated(random_sequence(20, 6), 0.9, 7),
    }
    found = {(held.first, held.second) for held in similar_pairs(sequences, sequences, RULE)}
    assert found == {("base", "near"), ("odd name|x y", "peptide")}
    lower = similar_pairs(sequences, sequences, RULE.model_copy(update={"coverage": 0.4}))
    assert ("base", "half") in {(held.first, held.second) for held in lower}


@needs_mmseqs
def test_families_stay_together() -> None:
    sequences = {
        f"f{family}m{member}": mutated(random_sequence(100, family), 0.75, 10 * family + member)
        for family in range(8)
        for member in range(family % 3 + 1)
    }
    split = split_proteins(sequences, RULE, seed=3, val=1, test=2)
    assert leakage(split, sequences, RULE) == set()
    assert sizes(split) == {"train": len(sequences) - 3, "val": 1, "test": 2}
    for family in range(8):
        assert len({split[name] for name in sequences if name.startswith(f"f{family}m")}) == 1


@pytest.mark.slow
@needs_mmseqs
@pytest.mark.skipif(not ATLAS.exists(), reason="MOEDSR_ATLAS_CSV names no table of ATLAS")
def test_atlas_is_split_as_in_the_paper() -> None:
    with ATLAS.open() as file:
        sequences = {row["name"]: row["seqres"] for row in csv.DictReader(file)}
    split = split_proteins(sequences, RULE, threads=2)
    assert sizes(split) == {"train": 1290, "val": 50, "test": 50}
    assert {split[name] for name in PAPER_TEST} == {"test"}
    assert leakage(split, sequences, RULE, threads=2) == set()


@pytest.fixture
def store(tiny_store: SurfaceStore, tmp_path: Path) -> SurfaceStore:
    return SurfaceStore.open(shutil.copytree(tiny_store.path, tmp_path / "store"))


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    error = result.exception
    told = f"{type(error).__name__}: {error}" if error and not isinstance(error, SystemExit) else ""
    return result.exit_code, result.output + told


@needs_mmseqs
def test_command_saves_the_split_with_the_store_and_prepare_keeps_it(store: SurfaceStore) -> None:
    before = {name: entry.split for name, entry in store.entries.items()}
    code, told = run(store.path, "--seed", "5", "--threads", "1")
    assert code == 0
    assert "train 2, val 1, test 1; no two across splits alike (40% over 80%, MMseqs2 " in told
    made = json.loads((store.path / "split.json").read_text())
    assert made["made"]["seed"] == 5
    assert made["made"]["coverage"] == 0.8
    again = check_store(store.path)
    assert again.fingerprint == store.fingerprint
    after = {name: entry.split for name, entry in again.entries.items()}
    assert after != before
    assert [again.names(split) for split in ("train", "val", "test")] == [made[s] for s in ("train", "val", "test")]
    names = list(after)
    prepared = prepare_serially("mini-atlas", store.settings, store.path, names)
    assert {name: entry.split for name, entry in prepared.entries.items()} == after


@needs_mmseqs
def test_command_checks_a_split_that_it_is_given(store: SurfaceStore, tmp_path: Path) -> None:
    lists = tmp_path / "lists.json"
    first, second, third, fourth = sorted(store.entries)
    lists.write_text(json.dumps({"train": [first], "val": [second], "test": [third, fourth]}))
    assert run(store.path, "--from", lists)[0] == 0
    assert SurfaceStore.open(store.path).names("test") == [third, fourth]
    lists.write_text(json.dumps({"train": [first], "val": [second], "test": [third]}))
    assert f"names {fourth} in no split, but must name all 4" in run(store.path, "--from", lists)[1]
    assert SurfaceStore.open(store.path).names("test") == [third, fourth]


def test_split_with_leakage_is_refused(store: SurfaceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(store.entries)
    monkeypatch.setattr(similar_sequences, "require_mmseqs", lambda: "14")
    monkeypatch.setattr(splitting, "similar_pairs", lambda *args: {pair(names[0], names[3])})
    lists = tmp_path / "lists.json"
    lists.write_text(json.dumps({"train": names[:2], "val": [names[2]], "test": [names[3]]}))
    table = (store.path / "proteins.parquet").read_bytes()
    told = run(store.path, "--from", lists)[1]
    assert f"InputError: 1 pairs of different splits are alike, such as {names[0]} and {names[3]} (90%" in told
    assert "in train and test; nothing was written" in told
    assert (store.path / "proteins.parquet").read_bytes() == table
    assert not (store.path / "split.json").exists()


def test_thresholds_are_checked(store: SurfaceStore) -> None:
    assert (
        "InputError: --identity 40.0: Input should be less than or equal to 1" in run(store.path, "--identity", "40")[1]
    )
