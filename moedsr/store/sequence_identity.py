"""How much alike protein sequences are: identity over a global alignment."""

import itertools
from collections.abc import Sequence

import numpy as np
from Bio.Align import PairwiseAligner, substitution_matrices
from numpy.typing import NDArray


def sequence_identity(first: str, second: str) -> float:
    """Equal residues of the best global alignment, over the length of the shorter sequence; X equals nothing.

    BLOSUM62, 11 for the first residue of a gap and 1 for each further one, at the ends, too. By this measure two
    unrelated proteins of ATLAS are 25 % alike on average. Empty: 0.
    """
    shorter = min(len(first), len(second))
    if shorter == 0:
        return 0.0
    alignment = _ALIGNER.align(first, second)[0]
    equal = 0
    for (start, end), (other, _) in zip(*alignment.aligned, strict=True):
        equal += sum(a == b != "X" for a, b in zip(first[start:end], second[other : other + end - start], strict=True))
    return equal / shorter


def identity_matrix(sequences: Sequence[str]) -> NDArray[np.float64]:
    """(n, n), symmetric, ones on the diagonal."""
    matrix = np.eye(len(sequences))
    for i, j in itertools.combinations(range(len(sequences)), 2):
        matrix[i, j] = matrix[j, i] = sequence_identity(sequences[i], sequences[j])
    return matrix


_ALIGNER = PairwiseAligner(
    mode="global",
    substitution_matrix=substitution_matrices.load("BLOSUM62"),
    open_gap_score=-11,
    extend_gap_score=-1,
)
