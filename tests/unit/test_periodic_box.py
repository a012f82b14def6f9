"""Cells, and complexes whose chains a box has parted."""

import mdtraj
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from moedsr.structures.periodic_box import bring_together, cell_vectors, make_whole, usable


def test_cell_vectors_are_those_of_the_library() -> None:
    lengths, angles = (31.0, 42.0, 53.0), (80.0, 95.0, 105.0)
    expected = np.array(mdtraj.utils.lengths_and_angles_to_box_vectors(*lengths, *angles))
    assert np.allclose(cell_vectors(lengths, angles), expected)


@pytest.mark.parametrize("box", [None, np.zeros((3, 3)), np.full((3, 3), np.nan), np.eye(3) * 1e9])
def test_what_is_no_box_is_none(box: np.ndarray | None) -> None:
    assert usable(box) is None
    assert usable(cell_vectors((30, 30, 30), (90, 90, 0))) is None


def test_chains_come_together_as_in_p0() -> None:
    random = np.random.default_rng(0)
    steps = random.normal(size=(40, 3))
    walk = np.cumsum(3.8 * steps / np.linalg.norm(steps, axis=1, keepdims=True), axis=0)
    reference = np.concatenate([walk[:20] - walk[:20].mean(0), walk[20:] - walk[20:].mean(0) + [25.0, 0, 0]])
    reference = reference @ Rotation.random(random_state=1).as_matrix().T
    chain = np.repeat([0, 1], 20)
    box = np.diag([60.0, 60.0, 60.0])
    for shift in random.uniform(-100, 100, (6, 3)):
        moved = reference + shift
        wrapped = moved - np.floor(moved / 60.0) * 60.0
        whole = make_whole(wrapped, np.arange(40), np.arange(40), box)
        together = bring_together(whole, reference, chain, box)
        assert np.allclose(together - together[0], reference - reference[0])
