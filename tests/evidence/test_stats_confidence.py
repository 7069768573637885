from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.confidence import log_capital_path, running_mean
from twiceshy.evidence.stats.sequential import BETS, BettingTest


def test_capital_worked_by_hand() -> None:
    # bound 1, so the scale is 2 and gains are s / 2: factors 1 + bet/2, then 1 - bet/4
    path = log_capital_path(np.array([1.0, -0.5]), bounds=1.0)
    first = np.mean([1 + bet / 2 for bet in BETS])
    second = np.mean([(1 + bet / 2) * (1 - bet / 4) for bet in BETS])
    assert path == pytest.approx([math.log(first), math.log(second)])


def test_the_capital_is_that_of_the_betting_test() -> None:
    differences = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], 50, p=[0.2, 0.5, 0.3])
    test = BettingTest()
    for difference in differences:
        test.add(difference)
    path = log_capital_path(2 * differences, bounds=np.ones(50))  # the scale, 2, halves them again
    assert math.exp(path[-1]) == pytest.approx(test.state.e_value)


def test_weighted_mean_by_hand() -> None:
    # scales 2 and 4, so weights 1/2 and 1/4: (1/2·1 + 1/4·(−1)) / (3/4)
    assert running_mean([1.0, -1.0], bounds=[1.0, 3.0]).value == pytest.approx(1 / 3)


def test_the_ends_are_where_the_capital_crosses() -> None:
    s = np.array([1.0, 0.0, -1.0, 1.0] * 60)
    mean = running_mean(s, bounds=1.0, level=0.9)
    assert mean.low is not None
    assert mean.high is not None
    at_low = log_capital_path(s, bounds=1.0, mean=mean.low)[-1]
    at_high = log_capital_path(-s, bounds=1.0, mean=-mean.high)[-1]
    assert at_low == pytest.approx(math.log(20), abs=1e-5)
    assert at_high == pytest.approx(math.log(20), abs=1e-5)


def test_nothing_and_little() -> None:
    assert running_mean([], bounds=1.0) == (None, None, None, None, 1.0, 1.0, 0)
    one = running_mean([0.5], bounds=1.0)
    assert (one.value, one.low, one.high, one.error) == (0.5, -1.0, 1.0, None)


@pytest.mark.parametrize(
    ("scores", "bounds"), [([2.0], 1.0), ([math.nan], 1.0), ([[1.0]], 1.0), ([1.0], math.inf)]
)
def test_bad_scores(scores: object, bounds: float) -> None:
    with pytest.raises(BadInput):
        running_mean(scores, bounds=bounds)  # pyrefly: ignore[bad-argument-type]


def test_bad_level() -> None:
    with pytest.raises(BadInput, match="confidence level"):
        running_mean([0.0], bounds=1.0, level=1.0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-2, 2), min_size=1, max_size=40),
    st.floats(0.5, 0.95),
)
def test_the_interval_holds_the_mean_and_widens_with_the_level(
    scores: list[float], level: float
) -> None:
    narrow, wide = (running_mean(scores, bounds=2.0, level=each) for each in (level, 0.99))
    assert narrow.value is not None
    assert narrow.low is not None
    assert narrow.high is not None
    assert wide.low is not None
    assert wide.high is not None
    assert wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high


def test_it_is_seldom_wrong_at_any_look_also_when_the_mean_moves() -> None:
    """Scores as lopsided as inverse propensities make them, and a mean that swings with n."""
    rng, n, sequences = np.random.default_rng(11), 400, 400
    means = np.where(np.arange(n) % 80 < 40, 0.3, -0.1)[:, None]
    treated = rng.random((n, sequences)) < 0.1
    scores = np.where(treated, (rng.random((n, sequences)) < 0.5 + means) / 0.1, 0.0)
    scores -= 5.0 * treated  # minus what is foreseen, 0.5, over the propensity
    running = np.cumsum(np.broadcast_to(means, scores.shape), axis=0)
    running /= np.arange(1, n + 1)[:, None]
    wrong = np.zeros(sequences, dtype=bool)
    for look in range(20, n + 1, 20):
        for sign in (1.0, -1.0):
            own, mean = sign * scores[:look], sign * running[look - 1]
            wrong |= log_capital_path(own, bounds=10.0, mean=mean)[-1] >= math.log(40)
    assert wrong.mean() <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / sequences)
