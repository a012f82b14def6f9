"""Which proteins of a set are alike by sequence, as MMseqs2 finds them.

M. Steinegger, J. Söding, Nat. Biotechnol. 35, 1026 (2017).
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from moedsr.config import Fraction, PositiveFloat, Section
from moedsr.errors import InputError, JobError

PROGRAM = "mmseqs"
_TAIL = 300  # characters of its last words


class Likeness(Section):
    """When two sequences count as alike."""

    identity: Annotated[float, Field(gt=0, le=1)] = Field(0.4, description="equal residues over aligned ones, at least")
    coverage: Fraction = Field(0.8, description="aligned part of each of the two sequences, at least")
    e_value: PositiveFloat = Field(1e-3, description="expected by chance, at most")
    sensitivity: Annotated[float, Field(ge=1, le=7.5)] = Field(7.5, description="of the search; 7.5 is the highest")


@dataclass(frozen=True, order=True)
class SimilarPair:
    """Two proteins that are alike; `first` comes first by name."""

    first: str
    second: str
    identity: float
    coverage: float  # the smaller of the two

    def __str__(self) -> str:
        return f"{self.first} and {self.second} ({self.identity:.0%} identity over {self.coverage:.0%})"


def require_mmseqs() -> str:
    """Version of MMseqs2.

    Raises:
        InputError: not found, or not running.
    """
    if shutil.which(PROGRAM) is None:
        raise InputError(
            f"MMseqs2 is needed, but `{PROGRAM}` is not on PATH: apt install mmseqs2, or conda install -c bioconda "
            "mmseqs2, or a build from https://mmseqs.com"
        )
    return _run([PROGRAM, "version"]).strip()


def similar_pairs(
    queries: Mapping[str, str], targets: Mapping[str, str], likeness: Likeness, threads: int = 1
) -> set[SimilarPair]:
    """Pairs of a query and another target that are alike.

    Args:
        queries: name to sequence, one letter a residue.
        targets: the same.
        likeness: thresholds.
        threads: of the search.

    Raises:
        InputError: MMseqs2 is missing.
        JobError: it failed.
    """
    require_mmseqs()
    with tempfile.TemporaryDirectory(prefix="moedsr-mmseqs-") as temporary:
        folder = Path(temporary)
        asked, held = list(queries), list(targets)
        # numbers for names: the program takes parts of a name for its own
        for file, names, sequences in (("queries", asked, queries), ("targets", held, targets)):
            text = "".join(f">{number}\n{sequences[name]}\n" for number, name in enumerate(names))
            (folder / f"{file}.fasta").write_text(text, encoding="ascii")
        _run(
            [
                *(PROGRAM, "easy-search", str(folder / "queries.fasta"), str(folder / "targets.fasta")),
                *(str(folder / "hits.tsv"), str(folder / "tmp")),
                *("-s", str(likeness.sensitivity), "-e", str(likeness.e_value)),
                *("--min-seq-id", str(likeness.identity), "-c", str(likeness.coverage), "--cov-mode", "0"),
                *("--max-seqs", str(max(300, len(held))), "--threads", str(threads), "-v", "2"),
                *("--format-output", "query,target,fident,qcov,tcov"),
            ]
        )
        lines = (folder / "hits.tsv").read_text(encoding="ascii").splitlines()
    pairs: dict[tuple[str, str], SimilarPair] = {}
    for line in lines:
        query, target, *values = line.split("\t")
        first, second = sorted((asked[int(query)], held[int(target)]))
        if first != second:
            identity, *coverages = (float(value) for value in values)
            pairs[first, second] = SimilarPair(first, second, identity, min(coverages))
    return set(pairs.values())


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        last = " ".join((done.stderr + done.stdout).split())[-_TAIL:]
        raise JobError(f"`{' '.join(command[:2])}` failed with status {done.returncode}: {last or 'it said nothing'}")
    return done.stdout
