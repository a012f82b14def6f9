"""What TPE is told of trials that did not come to their end."""

from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from moedsr_platform.search.forecast import ForecastSampler, foretold, gains

SPACE = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}


def trial(state: TrialState, curve: dict[int, float], value: float | None = None, x: float = 0.5) -> FrozenTrial:
    return create_trial(
        state=state, value=value, params={"x": x, "y": x}, distributions=SPACE, intermediate_values=curve
    )


def test_what_is_left_to_gain_is_added_up_from_the_trials_that_went_on() -> None:
    curves = [{10: 0.2, 20: 0.6, 40: 0.5}, {10: 0.4, 20: 0.6}, {10: 0.1}]
    # from 10 to 20 the two rose by 0.4 and 0.2; from 20 to 40 the best so far of the one did not
    assert gains(curves) == pytest.approx({10: 0.3, 20: 0.0, 40: 0.0})
    assert gains([{}, {}]) == {}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_stopped_and_running_trials_are_told_where_they_would_end(sign: float) -> None:
    told = foretold(
        [
            trial(TrialState.COMPLETE, {10: sign * 0.2, 20: sign * 0.6}, sign * 0.6),
            trial(TrialState.COMPLETE, {10: sign * 0.3}, sign * 0.35),  # stopped; the mean of several seeds
            trial(TrialState.FAIL, {10: sign * 0.9}),
            trial(TrialState.RUNNING, {10: sign * 0.1}),
            trial(TrialState.RUNNING, {}),
        ],
        sign=sign,
    )
    assert [one.state.name for one in told] == ["COMPLETE", "COMPLETE", "COMPLETE", "RUNNING"]
    assert [one.value for one in told[:3]] == pytest.approx([sign * 0.6, sign * 0.75, sign * 0.5])


def sampler() -> ForecastSampler:
    return ForecastSampler(TPESampler(seed=0, n_startup_trials=1, multivariate=False, constant_liar=True))


def study() -> optuna.Study:
    """A good neighbourhood at 0.2, stopped early, and a bad one at 0.8, complete."""
    one = optuna.create_study(direction="maximize", sampler=sampler())
    for number in range(10):
        x = 0.2 + 0.02 * number
        one.add_trial(trial(TrialState.COMPLETE, {10: 0.5}, 0.5, x=x))
        one.add_trial(trial(TrialState.COMPLETE, {10: 0.3, 100: 0.6}, 0.6, x=1 - x))
    return one


def test_what_was_stopped_early_is_not_taken_for_bad() -> None:
    """By the scores as they are, the complete ones are better; at the same step the others were far ahead."""

    def asked(chosen: Any) -> float:
        one = study()
        one.sampler = chosen
        found = one.ask(SPACE).params["x"]
        assert isinstance(found, float)
        return found

    assert asked(sampler()) < 0.5
    assert asked(TPESampler(seed=0, n_startup_trials=1, multivariate=False, constant_liar=True)) > 0.5


def test_a_point_that_a_killed_process_had_half_sampled_gets_the_values_that_it_would_have_had() -> None:
    whole = study().ask(SPACE).params
    torn = study()
    first = torn.ask()
    assert first.suggest_float("x", 0.0, 1.0) == whole["x"]
    torn.sampler = sampler()
    again = Trial(torn, first._trial_id)
    assert again.suggest_float("y", 0.0, 1.0) == whole["y"]
