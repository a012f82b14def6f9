"""Identity over a global alignment."""

import numpy as np
import pytest

from moedsr.store.sequence_identity import identity_matrix, sequence_identity


@pytest.mark.parametrize(
    ("first", "second", "identity"),
    [
        ("ACDEFGHIK", "ACDEFGHIK", 1.0),
        ("ACDEFGHIK", "ACDEWGHIK", 8 / 9),
        ("WWACDEFGHIKWW", "ACDEFGHIK", 1.0),  # the shorter one counts
        ("ACDEFGHIKLMNPQ", "ACDEFIKLMNPQ", 1.0),  # a gap inside
        ("AXA", "AXA", 2 / 3),  # an unknown residue is like no other
        ("", "ACD", 0.0),
    ],
)
def test_by_hand(first: str, second: str, identity: float) -> None:
    assert sequence_identity(first, second) == pytest.approx(identity)
    assert sequence_identity(second, first) == pytest.approx(identity)


def test_random_sequences_are_hardly_alike() -> None:
    rng = np.random.default_rng(0)
    sequences = ["".join(rng.choice(list("ARNDCQEGHILKMFPSTWYV"), 150)) for _ in range(6)]
    matrix = identity_matrix(sequences)
    assert (matrix == matrix.T).all()
    assert (matrix.diagonal() == 1).all()
    assert 0.1 < matrix[np.triu_indices(6, 1)].mean() < 0.3


def test_no_sequence() -> None:
    assert identity_matrix([]).shape == (0, 0)
