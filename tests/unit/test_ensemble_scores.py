"""Scores of distributions whose scores are known."""

import numpy as np
import pytest

from moedsr.evaluation import ensemble_scores
from moedsr.evaluation.ensemble_scores import Occupancies

RNG = np.random.default_rng(0)


def test_distances_are_those_of_whole_grids() -> None:
    """Nodes that are alike in all are left out, but for how many of them are inside."""
    whole = RNG.random((7, 300)) < 0.5
    whole[:, :40], whole[:, 40:90] = True, False
    different = whole.any(0) & ~whole.all(0)
    own = Occupancies(whole[:4, different], whole[4:, different], int(whole.all(0).sum()))
    to_frames, among = own.distances()
    for i in range(4):
        for j in range(3):
            either = np.count_nonzero(whole[i] | whole[4 + j])
            expected = 1 - np.count_nonzero(whole[i] & whole[4 + j]) / either
            assert to_frames[i, j] == pytest.approx(expected)
    np.testing.assert_allclose(np.diag(among), 0, atol=1e-12)
    np.testing.assert_allclose(among, among.T)


def test_energy_score_of_one_surface_is_its_distance() -> None:
    assert ensemble_scores.energy_scores(np.array([[0.3, 0.4]]), np.zeros((1, 1))).tolist() == [0.3, 0.4]


def test_the_true_distribution_has_the_lowest_energy_score() -> None:
    """Too narrow, too wide and displaced ensembles all score worse, on solids that are random intervals."""

    def solids(centre: float, width: float, count: int) -> np.ndarray:
        ends = RNG.normal(centre, width, (count, 1))
        return np.arange(400) < ends

    truth = solids(200, 20, 300)

    def score(centre: float, width: float) -> float:
        to_frames, among = Occupancies(solids(centre, width, 300), truth, 0).distances()
        return float(ensemble_scores.energy_scores(to_frames, among).mean())

    own = score(200, 20)
    assert own < min(score(200, 2), score(200, 80), score(240, 20))


def test_energy_score_depends_on_the_number_of_samples_by_chance_only() -> None:
    positions = RNG.normal(size=2000)
    few = np.mean([
        ensemble_scores.energy_scores(
            np.abs(part[:, None] - RNG.normal(size=500)), np.abs(part[:, None] - part)
        ).mean()
        for part in positions.reshape(500, 4)
    ])  # fmt: skip
    many = ensemble_scores.energy_scores(
        np.abs(positions[:, None] - RNG.normal(size=500)), np.abs(positions[:, None] - positions)
    ).mean()
    # E|X - Y| / 2 of standard normals
    assert few == pytest.approx(1 / np.sqrt(np.pi), abs=0.05)
    assert many == pytest.approx(1 / np.sqrt(np.pi), abs=0.05)


def test_crps_is_the_energy_score_of_numbers() -> None:
    samples, frames = RNG.normal(size=(9, 5)), RNG.normal(size=(4, 5))
    found = ensemble_scores.crps(samples, frames)
    for point in range(5):
        x, y = samples[:, point], frames[:, point]
        expected = ensemble_scores.energy_scores(np.abs(x[:, None] - y), np.abs(x[:, None] - x))
        np.testing.assert_allclose(found[:, point], expected)
    np.testing.assert_allclose(ensemble_scores.crps(samples[:1], frames), np.abs(samples[0] - frames))


def test_brier_score_of_right_frequencies_is_their_variance() -> None:
    frequency = RNG.uniform(size=50)
    frames = RNG.random((4000, 50)) < frequency
    assert ensemble_scores.brier_scores(frequency, frames).mean() == pytest.approx(
        (frequency * (1 - frequency)).mean(), abs=0.01
    )
    worse = ensemble_scores.brier_scores(np.round(frequency), frames).mean()
    assert worse > ensemble_scores.brier_scores(frequency, frames).mean() + 0.02


def test_reliability_of_right_frequencies_lies_on_the_diagonal() -> None:
    frequency = RNG.uniform(size=3000)
    frequency[:10] = 0.0
    bins = ensemble_scores.reliability(frequency, RNG.random((200, 3000)) < frequency)
    assert bins.shape == (ensemble_scores.BINS, 3)
    assert bins[:, 0].sum() == 200 * 2990
    np.testing.assert_allclose(bins[:, 2] / bins[:, 0], bins[:, 1] / bins[:, 0], atol=0.01)


def test_fluctuations_of_the_same_distribution_agree() -> None:
    width = RNG.uniform(0.1, 1.0, 200)
    samples, frames = (RNG.normal(size=(400, 200)) * width for _ in range(2))
    correlation, ratio = ensemble_scores.fluctuation(samples, frames)
    assert correlation > 0.97
    assert ratio == pytest.approx(1.0, abs=0.03)
    assert ensemble_scores.fluctuation(2 * samples, frames)[1] == pytest.approx(2 * ratio)
    assert np.isnan(ensemble_scores.fluctuation(samples[:1], frames)).all()


def test_coverage_falls_where_a_sample_is_missing_and_precision_where_one_is_wrong() -> None:
    near = np.full((3, 3), 0.5) - 0.4 * np.eye(3)
    assert ensemble_scores.coverage(near) == pytest.approx((0.9, 0.9))
    coverage, precision = ensemble_scores.coverage(near[:2])
    assert (coverage, precision) == pytest.approx(((0.9 + 0.9 + 0.5) / 3, 0.9))
    assert np.isnan(ensemble_scores.coverage(near[:1])).all()


def test_subspaces_of_the_same_distribution_overlap_and_of_others_do_not() -> None:
    residues, modes = 30, np.linalg.qr(RNG.normal(size=(90, 24)))[0].T
    variances = 2.0 ** -np.arange(12)

    def draw(directions: np.ndarray) -> np.ndarray:
        return ((RNG.normal(size=(2000, 12)) * np.sqrt(variances)) @ directions).reshape(-1, residues, 3)

    rmsip, overlap = ensemble_scores.subspace_overlap(draw(modes[:12]), draw(modes[:12]))
    assert rmsip > 0.95
    assert overlap > 0.9
    rmsip, overlap = ensemble_scores.subspace_overlap(draw(modes[:12]), draw(modes[12:]))
    assert rmsip < 0.15
    assert overlap < 0.05
    assert np.isnan(ensemble_scores.subspace_overlap(np.zeros((2, 5, 3)), np.zeros((9, 5, 3)))).all()
