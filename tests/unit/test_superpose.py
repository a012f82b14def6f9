import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from moedsr.errors import InputError
from moedsr.structures.superpose import superpose


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(3, 60))
def test_recovers_any_rigid_motion(seed, count):
    rng = np.random.default_rng(seed)
    mobile = rng.normal(0, 10, (count, 3))
    rotation, shift = Rotation.random(rng=rng).as_matrix(), rng.normal(0, 50, 3)
    found, translation = superpose(mobile, mobile @ rotation.T + shift)
    np.testing.assert_allclose(found, rotation, atol=1e-8)
    np.testing.assert_allclose(mobile @ found.T + translation, mobile @ rotation.T + shift, atol=1e-8)


def test_no_rotation_nearby_fits_better():
    rng = np.random.default_rng(1)
    mobile, target = rng.normal(size=(2, 30, 3))
    rotation, translation = superpose(mobile, target)
    best = ((mobile @ rotation.T + translation - target) ** 2).sum()
    for _ in range(50):
        turn = Rotation.from_rotvec(rng.normal(0, 0.1, 3)).as_matrix() @ rotation
        moved = (mobile - mobile.mean(axis=0)) @ turn.T + target.mean(axis=0)
        assert ((moved - target) ** 2).sum() > best


@pytest.mark.parametrize("flattened", [False, True])
def test_a_mirror_image_is_never_produced(flattened):
    mobile = np.random.default_rng(2).normal(size=(20, 3))
    if flattened:
        mobile[:, 2] = 0.0
    rotation, _ = superpose(mobile, mobile * [1, 1, -1])
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


def test_a_single_point_is_only_shifted():
    rotation, translation = superpose([[1, 2, 3]], [[4, 6, 8]])
    np.testing.assert_allclose(rotation @ [1, 2, 3] + translation, [4, 6, 8])
    assert np.linalg.det(rotation) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("mobile", "target", "message"),
    [
        (np.zeros((4, 3)), np.zeros((5, 3)), r"\(4, 3\) on \(5, 3\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "N >= 1"),
        (np.zeros((4, 2)), np.zeros((4, 2)), r"must be \(N, 3\)"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), "NaN or infinite"),
    ],
)
def test_wrong_input_is_named(mobile, target, message):
    with pytest.raises(InputError, match=message):
        superpose(mobile, target)
