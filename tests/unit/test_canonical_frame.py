"""Frames that turn with the chain."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from moedsr.geometry.canonical_frame import canonical_frame


def is_rotation(frame: np.ndarray) -> bool:
    return np.allclose(frame @ frame.T, np.eye(3), atol=1e-12) and np.linalg.det(frame) > 0


def test_turns_with_the_chain() -> None:
    rng = np.random.default_rng(0)
    chain = np.cumsum(rng.standard_normal((30, 3)), axis=0)
    rotation = Rotation.random(random_state=1).as_matrix()
    frame = canonical_frame(chain)
    assert is_rotation(frame)
    np.testing.assert_allclose(canonical_frame(chain @ rotation.T + [5, -3, 80]), frame @ rotation.T, atol=1e-10)


@pytest.mark.parametrize(
    "chain",
    [
        np.zeros((1, 3)),
        np.full((5, 3), 7.0),
        [[0, 0, 0], [3.8, 0, 0]],
        np.outer(np.arange(9), [0, 0, 3.8]),
        np.outer(np.arange(9), [1, 1, 1]),
    ],
    ids=["one residue", "coincident", "two residues", "straight", "straight diagonal"],
)
def test_without_a_shape_there_still_is_a_frame(chain: np.ndarray) -> None:
    assert is_rotation(canonical_frame(chain))
