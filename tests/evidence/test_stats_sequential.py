from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import BettingTest, betting_test
from twiceshy.evidence.stats.paired import Alternative

steps = st.lists(st.floats(-1, 1), max_size=40)


def test_by_hand() -> None:
    # one difference d: e = 1 + d · (mean bet), and the mean of 0.05 … 0.95 is 1/2
    assert betting_test([1.0]).e_value == pytest.approx(1.5)
    assert betting_test([-0.5]).e_value == pytest.approx(0.75)
    # two of 1: mean of (1 + λ)² = 1 + 2·(1/2) + mean λ² = 2 + (0.05²·2470)/19 = 2.325
    assert betting_test([1.0, 1.0]).e_value == pytest.approx(2.325)
    # two-sided: after +1 the sides hold 1.5 and 0.5; after +1, +1 they hold 2.325 and 0.325
    assert betting_test([1.0], alternative="two-sided").e_value == pytest.approx(1.0)
    assert betting_test([1.0, 1.0], alternative="two-sided").e_value == pytest.approx(1.325)


def test_p_value_is_from_the_largest_capital_so_far() -> None:
    up_and_down = betting_test([1.0, 1.0, -1.0, -1.0])
    assert up_and_down.p_value == pytest.approx(1 / 2.325)
    assert up_and_down.e_value < 1


def test_decision_stays_once_made() -> None:
    test = BettingTest(alpha=0.05)
    for _ in range(10):
        test.add(1.0)
    decided = test.state.decided_at
    assert decided == 7
    for _ in range(50):
        test.add(-1.0)
    assert test.state.decided_at == decided
    assert test.state.e_value < 1


def test_long_runs_neither_overflow_nor_divide_by_zero() -> None:
    assert math.isfinite(betting_test([1.0] * 5000).e_value)
    assert betting_test([-1.0] * 5000).e_value < 1e-100


@given(steps)
def test_nonnegative_and_valid_p(differences: list[float]) -> None:
    for alternative in ("greater", "less", "two-sided"):
        state = betting_test(differences, alternative=alternative)
        assert state.e_value >= 0
        assert 0 < state.p_value <= 1
        assert state.n == len(differences)


@given(steps)
def test_sides_mirror(differences: list[float]) -> None:
    mirrored = betting_test([-d for d in differences], alternative="less")
    assert mirrored.e_value == pytest.approx(betting_test(differences).e_value)


@given(steps, st.randoms())
def test_the_final_capital_does_not_depend_on_the_order(
    differences: list[float], random: Random
) -> None:
    shuffled = sorted(differences, key=lambda _: random.random())
    assert betting_test(shuffled).e_value == pytest.approx(betting_test(differences).e_value)


@pytest.mark.parametrize("outcomes", [(-1.0, 1.0), (-1.0, 0.0, 1.0), (-0.25, 0.25)])
def test_fair_bet_exactly(outcomes: tuple[float, ...]) -> None:
    # every path of length 4 under the null is equally likely: the mean capital is exactly 1
    from itertools import product

    paths = list(product(outcomes, repeat=4))
    for alternative in ("greater", "less", "two-sided"):
        mean = np.mean([betting_test(path, alternative=alternative).e_value for path in paths])
        assert mean == pytest.approx(1.0)


@pytest.mark.parametrize("alternative", ["greater", "two-sided"])
def test_stopping_at_will_keeps_the_error_rate(alternative: Alternative) -> None:
    # peek after each of 300 tasks and stop at the first decision
    rng = np.random.default_rng(1)
    paths = rng.choice([-1.0, 0.0, 0.0, 1.0], (500, 300))
    decided = [
        betting_test(path, alpha=0.1, alternative=alternative).decided_at is not None
        for path in paths
    ]
    assert np.mean(decided) <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / 500)


def test_a_real_effect_is_found() -> None:
    rng = np.random.default_rng(3)
    paths = rng.choice([-1.0, 0.0, 1.0], (100, 200), p=[0.1, 0.6, 0.3])
    decided = [betting_test(path).decided_at is not None for path in paths]
    assert np.mean(decided) > 0.8


@pytest.mark.parametrize("bad", [1.5, -1.01, math.nan])
def test_a_refused_difference_leaves_the_test_as_it_was(bad: float) -> None:
    test = BettingTest()
    test.add(0.5)
    before = test.state
    with pytest.raises(BadInput, match="difference"):
        test.add(bad)
    assert test.state == before
    with pytest.raises(BadInput, match="alpha"):
        BettingTest(alpha=0)
