"""Learning rates as functions of the step."""

import pytest
import torch

from moedsr.config import Config, TrainingConfig
from moedsr.models.moedsr import MoEDSR
from moedsr.training.optimisation import make_optimiser, set_learning_rate, update_average


def rates(step: int, config: TrainingConfig, model: MoEDSR) -> list[float]:
    optimiser = make_optimiser(model, config)
    set_learning_rate(optimiser, step, config)
    return [group["lr"] for group in optimiser.param_groups]


def test_cosine_after_the_warm_up(small_config: Config) -> None:
    model = MoEDSR(small_config, 2)
    config = TrainingConfig(
        steps=110, warmup_steps=10, learning_rate=0.1, latent_learning_rate=1.0, final_learning_rate=0.02
    )
    assert rates(0, config, model) == pytest.approx([0.01, 0.1])
    assert rates(9, config, model) == pytest.approx([0.1, 1.0])
    assert rates(10, config, model) == pytest.approx([0.1, 1.0])
    assert rates(60, config, model) == pytest.approx([0.051, 0.51])
    assert rates(110, config, model) == pytest.approx([0.002, 0.02])


def test_halved_at_even_distances(small_config: Config) -> None:
    """DSR: 1e-4 and 1e-3, halved after every 200 of 4000 rounds."""
    model = MoEDSR(small_config, 2)
    config = TrainingConfig(
        steps=4000, warmup_steps=0, learning_rate=1e-4, latent_learning_rate=1e-3, schedule="halving"
    )
    for step in range(4000):
        assert rates(step, config, model) == pytest.approx([1e-4 * 0.5 ** (step // 200), 1e-3 * 0.5 ** (step // 200)])


def test_no_average_is_the_last_weights(small_config: Config) -> None:
    average, model = MoEDSR(small_config, 2), MoEDSR(small_config, 2)
    update_average(average, model, 0, 0.0)
    torch.testing.assert_close(average.state_dict(), model.state_dict(), atol=0, rtol=0)
