"""What the store's integers keep, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moedsr.errors import InputError
from moedsr.store.encoding import (
    decode_normals,
    decode_occupancy,
    decode_positions,
    encode_normals,
    encode_occupancy,
    encode_positions,
    round_positions,
)


def test_positions_are_kept_to_half_a_hundredth() -> None:
    positions = np.random.default_rng(0).uniform(-327, 327, (1000, 3))
    assert np.abs(decode_positions(encode_positions(positions, "here")) - positions).max() <= 0.005 + 2e-5


def test_rounding_twice_changes_nothing() -> None:
    once = round_positions(np.random.default_rng(1).normal(0, 30, (1000, 3)), "here")
    assert np.array_equal(round_positions(once, "here"), once)


@pytest.mark.parametrize("value", [327.68, -400.0, np.nan, np.inf])
def test_positions_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(InputError, match=r"frame 3 reaches .* Å from the centre of P0, at most 328 Å fits"):
        encode_positions([[0.0, value, 0.0]], "frame 3")


def test_normals_are_kept_to_one_degree_and_unit() -> None:
    normals = np.random.default_rng(2).normal(size=(20_000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    decoded = decode_normals(encode_normals(normals))
    assert np.allclose(np.linalg.norm(decoded, axis=1), 1, atol=1e-6)
    angle = np.degrees(2 * np.arcsin(np.linalg.norm(decoded - normals, axis=1) / 2))
    assert angle.max() < 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_occupancy_comes_back(nodes: int, seed: int, filled: float) -> None:
    occupancy = np.random.default_rng(seed).random((nodes,) * 3) < filled
    assert np.array_equal(decode_occupancy(encode_occupancy(occupancy), nodes), occupancy)


@pytest.mark.parametrize("corner", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
def test_runs_longer_than_their_integers_come_back(corner: bool, inverted: bool) -> None:
    occupancy = np.zeros((64,) * 3, dtype=bool)
    occupancy[40, 10:20, 10:20] = True
    occupancy[0, 0, 0] = corner
    occupancy ^= inverted
    runs = encode_occupancy(occupancy)
    assert runs.dtype == np.uint16
    assert np.array_equal(decode_occupancy(runs, 64), occupancy)
