from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import (
    Estimate,
    beta_interval,
    bootstrap,
    bounded_mean,
    clopper_pearson,
    clustered_mean,
    wilson,
)

ProportionInterval = Callable[[int, int], Estimate]
PROPORTIONS: list[ProportionInterval] = [wilson, clopper_pearson, beta_interval]


def test_wilson_by_hand() -> None:
    # p = 8/10, z = 1.959964, z² = 3.841459
    # middle = (0.8 + 3.841459/20) / 1.3841459 = 0.9920729/1.3841459 = 0.7167
    # half = 1.959964·√(0.016 + 3.841459/400) / 1.3841459 = 1.959964·0.160012/1.3841459 = 0.2266
    estimate = wilson(8, 10)
    assert estimate[:3] == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)


def test_clopper_pearson_by_hand() -> None:
    # none of n: the upper end solves (1 - p)^n = 0.025
    assert clopper_pearson(0, 5)[:3] == pytest.approx((0.0, 0.0, 1 - 0.025**0.2))
    assert clopper_pearson(5, 5)[:3] == pytest.approx((1.0, 0.025**0.2, 1.0))


@pytest.mark.parametrize("trials", range(1, 12))
def test_clopper_pearson_agrees_with_scipy(trials: int) -> None:
    for successes in range(trials + 1):
        theirs = scipy_stats.binomtest(successes, trials).proportion_ci(method="exact")
        assert clopper_pearson(successes, trials)[1:3] == pytest.approx(tuple(theirs))
        theirs = scipy_stats.binomtest(successes, trials).proportion_ci(method="wilson")
        assert wilson(successes, trials)[1:3] == pytest.approx(tuple(theirs), abs=1e-12)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.9])
def test_clopper_pearson_covers_at_least_its_level(p: float) -> None:
    n = 15
    covered = 0.0
    for x in range(n + 1):
        estimate = clopper_pearson(x, n)
        assert estimate.low is not None
        assert estimate.high is not None
        covered += scipy_stats.binom.pmf(x, n, p) * (estimate.low <= p <= estimate.high)
    assert covered >= 0.95


def test_uniform_prior_by_hand() -> None:
    # 0 of 1 under Beta(1,1): the posterior is Beta(1,2), P(p < x) = 1 - (1 - x)²
    estimate = beta_interval(0, 1, prior=(1, 1))
    assert estimate.high == pytest.approx(1 - math.sqrt(0.025))
    assert estimate.low == 0.0


@pytest.mark.parametrize("interval", PROPORTIONS)
@given(data=st.data())
def test_proportions_stay_inside_and_hold_their_estimate(
    interval: ProportionInterval, data: st.DataObject
) -> None:
    trials = data.draw(st.integers(1, 10_000))
    successes = data.draw(st.integers(0, trials))
    estimate = interval(successes, trials)
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 <= estimate.low <= successes / trials <= estimate.high <= 1
    mirror = interval(trials - successes, trials)
    assert mirror.low == pytest.approx(1 - estimate.high, abs=1e-9)


@pytest.mark.parametrize("interval", PROPORTIONS)
def test_no_trials_is_undefined(interval: ProportionInterval) -> None:
    assert interval(0, 0) == Estimate(None, None, None, 0)


@pytest.mark.parametrize("interval", PROPORTIONS)
@pytest.mark.parametrize("counts", [(3, 2), (-1, 2), (0, -1)])
def test_impossible_counts(interval: ProportionInterval, counts: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="successes"):
        interval(*counts)


def test_level_outside_its_range() -> None:
    with pytest.raises(BadInput, match="level"):
        wilson(1, 2, level=1.0)
    with pytest.raises(BadInput, match="prior"):
        beta_interval(1, 2, prior=(0, 1))


def test_clustered_mean_by_hand() -> None:
    # mean 3/4; cluster sums of residuals: a: -3/4 + 1/4 = -1/2, b: 1/4 + 1/4 = 1/2
    # se = √(2/1 · (1/4 + 1/4)) / 4 = 1/4; t(1) at 97.5 % is 12.7062
    estimate = clustered_mean([0, 1, 1, 1], ["a", "a", "b", "b"])
    assert estimate[:3] == pytest.approx((0.75, 0.75 - 12.7062 / 4, 0.75 + 12.7062 / 4), abs=1e-4)
    assert estimate.n == 2


def test_singletons_give_students_interval() -> None:
    values = [0.1, 0.4, 0.35, 0.8, 0.0]
    low, high = scipy_stats.t.interval(0.95, 4, loc=np.mean(values), scale=scipy_stats.sem(values))
    assert clustered_mean(values)[:3] == pytest.approx((np.mean(values), low, high))


def test_copies_inside_a_cluster_add_nothing() -> None:
    once = clustered_mean([0.0, 1.0, 0.5])
    thrice = clustered_mean([0.0, 1.0, 0.5] * 3, [1, 2, 3] * 3)
    assert thrice == pytest.approx(once)


def test_no_interval_without_spread_or_with_one_cluster() -> None:
    assert clustered_mean([]) == (None, None, None, 0)
    assert clustered_mean([0.3, 0.9], [1, 1]) == (pytest.approx(0.6), None, None, 1)
    assert clustered_mean([0.1, 0.1, 0.1]) == (pytest.approx(0.1), None, None, 3)


@pytest.mark.parametrize("bad", [[math.nan], [[1.0, 2.0]], [math.inf]])
def test_undefined_values_are_refused(bad: list[float]) -> None:
    with pytest.raises(BadInput, match="finite"):
        clustered_mean(bad)
    with pytest.raises(BadInput, match="cluster"):
        clustered_mean([1.0, 2.0], [1])


def test_percentile_bootstrap_by_enumeration() -> None:
    # three clusters 0, 0, 3: the mean is 0, 1, 2, 3 with chance 8/27, 12/27, 6/27, 1/27
    # so the 2.5 % point is 0, and the 97.5 % point is 3 (P(mean ≤ 2) = 26/27 = 0.963)
    assert bootstrap([0.0, 0.0, 3.0], np.mean, seed=3) == Estimate(1.0, 0.0, 3.0, 3)


def test_bca_agrees_with_scipy() -> None:
    rng = np.random.default_rng(5)
    values = rng.exponential(size=30)
    ours = bootstrap(values, np.mean, seed=1, draws=9999, method="bca")
    theirs = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=9999, method="BCa", random_state=2
    ).confidence_interval
    assert ours[1:3] == pytest.approx((theirs.low, theirs.high), abs=0.03)
    plain = bootstrap(values, np.mean, seed=1, draws=9999)
    assert ours.low is not None
    assert plain.low is not None
    assert ours.low > plain.low  # right-skewed data: BCa moves the interval up


def test_bootstrap_of_a_ratio_over_clusters() -> None:
    rows = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]])  # successes, trials
    estimate = bootstrap(rows, lambda r: float(r[:, 0].sum() / r[:, 1].sum()), seed=0)
    assert estimate.value == pytest.approx(4 / 7)
    assert estimate.low == 0.0
    assert estimate.high == pytest.approx(0.75)


def test_bootstrap_is_repeatable_and_degenerate_cases_are_plain() -> None:
    assert bootstrap([1.0, 2.0], np.mean, seed=7) == bootstrap([1.0, 2.0], np.mean, seed=7)
    assert bootstrap([], np.mean, seed=0) == (None, None, None, 0)
    assert bootstrap([2.0], np.mean, seed=0) == (2.0, None, None, 1)
    assert bootstrap([2.0, 2.0], np.mean, seed=0, method="bca") == (2.0, 2.0, 2.0, 2)
    assert bootstrap([2.0, 1.0], lambda _: math.nan, seed=0) == (None, None, None, 2)


def test_bounded_mean_is_the_clustered_mean_cut() -> None:
    values, tasks = [0.0, 0.5, 0.5, 1.0], ["a", "a", "b", "b"]
    wide = clustered_mean(values, tasks)
    assert wide.low is not None
    assert wide.low < 0
    assert bounded_mean(values, tasks) == Estimate(0.5, 0.0, 1.0, 2)


def test_bounded_mean_without_spread() -> None:
    # all ten at 1: the least mean m with m^10 = 0.025
    assert bounded_mean([1.0] * 10) == (1.0, pytest.approx(0.025**0.1), 1.0, 10)
    # the same ten values in two clusters are worth two
    assert bounded_mean([1.0] * 10, [0, 1] * 5).low == pytest.approx(math.sqrt(0.025))
    assert bounded_mean([0.5] * 10) == (0.5, None, None, 10)
    assert bounded_mean([]) == (None, None, None, 0)
    with pytest.raises(BadInput, match=r"\[0, 1\]"):
        bounded_mean([0.5, 1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_bounded_mean_properties(values: list[float]) -> None:
    found = bounded_mean(values)
    assert found.value is not None
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.high <= 1
    assert bounded_mean(values[::-1]).value == pytest.approx(found.value)
