from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from twiceshy.errors import BadInput
from twiceshy.frontier import (
    chance_of_contrast,
    chance_tail,
    failure_value,
    jeffreys_interval,
    lucky_share,
    p_lucky,
    probability_in_band,
    undeserved_rate,
    value_of_failures,
)
from twiceshy.frontier.rates import band_chances, unique_pairs
from twiceshy.frontier.value import verdict_trust

counts = st.integers(0, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))

SHARES = {  # p0: lucky share at p_r = .001, .01, .05, .2, .5
    0.25: (0.996, 0.961, 0.826, 0.500, 0.200),
    0.10: (0.990, 0.908, 0.655, 0.286, 0.091),
    0.02: (0.952, 0.664, 0.275, 0.074, 0.020),
    0.005: (0.833, 0.331, 0.087, 0.020, 0.005),
    0.001: (0.500, 0.090, 0.019, 0.004, 0.001),
}

POSTERIOR = {  # (r, n): P(lucky) at p0 = .001, .005, .02, .10, .25
    (1, 8): (0.02, 0.08, 0.25, 0.62, 0.80),
    (1, 40): (0.09, 0.32, 0.65, 0.90, 0.96),
    (4, 40): (0.01, 0.05, 0.23, 0.81, 0.94),
    (3, 72): (0.03, 0.15, 0.57, 0.93, 0.98),
    (1, 128): (0.26, 0.63, 0.87, 0.97, 0.99),
}
P0S = (0.001, 0.005, 0.02, 0.10, 0.25)


def on_linear_grid(r: int, n: int, p0: float) -> float:
    """The posterior behind the table: 4,000 points even in p_r from 1e-5, Jeffreys' density."""
    p = np.linspace(1e-5, 1 - 1e-5, 4000)
    s = p0 + (1 - p0) * p
    log_weight = -0.5 * np.log(p * (1 - p)) + r * np.log(s) + (n - r) * np.log1p(-s)
    weight = np.exp(log_weight - log_weight.max())
    return float((weight * (1 - p) * p0 / s).sum() / weight.sum())


def by_quadrature(r: int, n: int, p0: float) -> float:
    """The same posterior integrated adaptively, with p = sin²θ to remove the endpoint spikes."""

    def weight(theta: float) -> float:
        s = p0 + (1 - p0) * math.sin(theta) ** 2
        return float(stats.binom.pmf(r, n, s))

    def lucky(theta: float) -> float:
        p = math.sin(theta) ** 2
        return weight(theta) * (1 - p) * p0 / (p0 + (1 - p0) * p)

    return integrate.quad(lucky, 0, math.pi / 2)[0] / integrate.quad(weight, 0, math.pi / 2)[0]


@pytest.mark.parametrize("p0", SHARES)
def test_lucky_share_reproduces_the_published_table(p0: float) -> None:
    got = lucky_share([0.001, 0.01, 0.05, 0.2, 0.5], p0)
    np.testing.assert_allclose(got, SHARES[p0], atol=0.00051)


@pytest.mark.parametrize("pair", POSTERIOR)
def test_posterior_table_is_the_linear_grids_and_ours_is_the_integral(
    pair: tuple[int, int],
) -> None:
    # The table's grid is even in p_r, where Jeffreys' density is infinite at 0, so it puts too much
    # weight near 0. Its numbers come out on that grid; the integral differs by up to 0.07.
    r, n = pair
    ours = [float(p_lucky([r], [n], p0=p0)[0]) for p0 in P0S]
    np.testing.assert_allclose(
        [on_linear_grid(r, n, p0) for p0 in P0S], POSTERIOR[pair], atol=0.0051
    )
    np.testing.assert_allclose(ours, [by_quadrature(r, n, p0) for p0 in P0S], atol=1e-4)
    np.testing.assert_allclose(ours, POSTERIOR[pair], atol=0.071)


def test_every_cell_of_the_table_stays_on_its_side_of_one_half() -> None:
    for (r, n), row in POSTERIOR.items():
        for p0, told in zip(P0S, row, strict=True):
            assert (p_lucky([r], [n], p0=p0)[0] > 0.5) == (told > 0.5)


def test_large_counts_agree_with_the_integral() -> None:
    assert p_lucky([300], [20_000], p0=0.01)[0] == pytest.approx(
        by_quadrature(300, 20_000, 0.01), abs=2e-3
    )


def test_luck_is_undefined_without_a_success_and_nil_without_undeserved_reward() -> None:
    assert math.isnan(p_lucky([0], [8], p0=0.1)[0])
    assert p_lucky([3], [8], p0=0.0)[0] == 0.0


def test_a_checker_that_pays_everything_tells_nothing() -> None:
    # p0 = 1: four successes of four leave p_r at its prior mean, so half of them are lucky.
    assert p_lucky([4], [4], p0=1.0)[0] == pytest.approx(0.5, abs=1e-6)
    assert np.isfinite(p_lucky([1], [4], p0=1.0)[0])


@given(pair=counts, p0=st.floats(0, 1), tau=st.floats(0.1, 1))
def test_p_lucky_is_a_probability(pair: tuple[int, int], p0: float, tau: float) -> None:
    r, n = pair
    got = p_lucky([r], [n], p0=p0 * tau, tau=tau)[0]
    assert math.isnan(got) if r == 0 else 0 <= got <= 1


@given(n=st.integers(1, 40), p0=st.floats(0.001, 0.9))
def test_more_successes_are_never_luckier(n: int, p0: float) -> None:
    got = p_lucky(np.arange(1, n + 1), np.full(n, n), p0=p0)
    assert (np.diff(got) <= 1e-9).all()


@given(pair=counts, low=st.floats(0, 0.5), more=st.floats(0, 0.5))
def test_luck_grows_with_p0(pair: tuple[int, int], low: float, more: float) -> None:
    r, n = max(pair[0], 1), max(pair[1], 1)
    luck = p_lucky([r, r], [n, n], p0=[low, low + more])
    assert luck[1] >= luck[0] - 1e-9


@given(pair=counts, p0=st.floats(0.001, 0.999))
def test_tail_is_the_binomial_one(pair: tuple[int, int], p0: float) -> None:
    r, n = pair
    assert chance_tail([r], [n], p0=p0)[0] == pytest.approx(float(stats.binom.sf(r - 1, n, p0)))


def test_tail_gives_the_quoted_chances_of_a_first_success() -> None:
    got = [float(chance_tail([1], [n], p0=p0)[0]) for n, p0 in ((8, 0.02), (8, 0.1), (64, 0.02))]
    assert got == pytest.approx([0.149, 0.570, 0.726], abs=5e-4)


def test_fractional_counts_lie_between_whole_ones() -> None:
    whole = p_lucky([1, 2], [8, 8], p0=0.05)
    between = p_lucky([1.5], [8.0], p0=0.05)[0]
    assert whole[1] < between < whole[0]


@pytest.mark.parametrize(
    ("kwargs", "where"),
    [
        ({"p0": -0.1}, "p0"),
        ({"p0": 1.1}, "p0"),
        ({"p0": math.nan}, "p0"),
        ({"p0": 0.5, "tau": 0.4}, "p0"),
        ({"p0": 0.1, "tau": 0.0}, "tau"),
        ({"p0": 0.1, "prior": (0.1, 0.5)}, "prior"),
    ],
)
def test_luck_refuses_what_makes_no_sense(kwargs: dict[str, float], where: str) -> None:
    with pytest.raises(BadInput) as caught:
        p_lucky([1], [8], **kwargs)  # type: ignore[arg-type]
    assert caught.value.where == where


def test_undeserved_rate_adds_guesses_and_the_checkers_errors() -> None:
    assert undeserved_rate(guess=0.25) == 0.25
    # τ·g + φ·(1−g) = 0.9·0.1 + 0.2·0.9
    assert undeserved_rate(guess=0.1, false_positive=0.2, tau=0.9) == pytest.approx(0.27)
    with pytest.raises(BadInput):
        undeserved_rate(guess=1.5)


@given(pair=counts)
def test_interval_holds_the_rate_and_is_undefined_over_nothing(pair: tuple[int, int]) -> None:
    r, n = pair
    got = jeffreys_interval([r], [n])
    if n == 0:
        assert all(math.isnan(column[0]) for column in got)
    else:
        assert 0 <= got.low[0] <= got.rate[0] <= got.high[0] <= 1


def test_zero_of_eight_still_allows_a_quarter() -> None:
    assert jeffreys_interval([0], [8]).high[0] == pytest.approx(
        float(stats.beta.ppf(0.975, 0.5, 8.5))
    )


@given(a=st.floats(0.5, 50), b=st.floats(0.5, 50), lo=st.floats(0, 0.4), width=st.floats(0.1, 0.6))
def test_band_chances_sum_to_one(a: float, b: float, lo: float, width: float) -> None:
    band = band_chances([a], [b], band=(lo, lo + width))
    assert sum(float(part[0]) for part in band) == pytest.approx(1)
    expected = stats.beta.cdf(lo + width, a, b) - stats.beta.cdf(lo, a, b)
    got = probability_in_band([a], [b], lo, lo + width)[0]
    assert got == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize("band", [(0.5, 0.5), (0.8, 0.2), (-0.1, 0.5), (0.2, 1.1)])
def test_a_band_must_be_one(band: tuple[float, float]) -> None:
    with pytest.raises(BadInput):
        band_chances([1], [1], band=band)


@pytest.mark.parametrize(("r", "n"), [([2], [1]), ([-1], [1]), ([1], [math.inf]), ([1, 2], [3])])
def test_impossible_counts_are_refused(r: list[float], n: list[float]) -> None:
    with pytest.raises(BadInput):
        jeffreys_interval(r, n)


@given(st.lists(counts, max_size=30))
def test_unique_pairs_map_back(pairs: list[tuple[int, int]]) -> None:
    r, n = [p[0] for p in pairs], [p[1] for p in pairs]
    got = unique_pairs(r, n)
    assert got.successes[got.index].tolist() == r
    assert got.trials[got.index].tolist() == n
    assert len(got.trials) == len(set(pairs))


def test_contrast_chance_is_the_mean_over_the_posterior() -> None:
    # Beta(1, 1), m = 3: 1 − 2·∫p³ = 1 − 2/4
    assert chance_of_contrast([1.0], [1.0], more=3)[0] == pytest.approx(0.5)


@settings(max_examples=25)
@given(a=st.floats(0.5, 20), b=st.floats(0.5, 20))
def test_failure_value_is_the_posterior_mean(a: float, b: float) -> None:
    expected = stats.beta(a, b).expect(lambda p: p * (1 - p) ** 2)
    assert failure_value([a], [b])[0] == pytest.approx(float(expected), rel=1e-5)


def test_failure_value_is_highest_near_a_third_and_knows_certainty() -> None:
    p = np.linspace(0.01, 0.99, 99)
    assert p[np.argmax(failure_value(p * 1e6, (1 - p) * 1e6))] == pytest.approx(0.33)
    assert failure_value([1e6], [2e6])[0] == pytest.approx(1 / 3 * (2 / 3) ** 2, abs=1e-5)


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=12))
def test_a_wrong_mode_is_worth_one_representative(modes: list[str | None]) -> None:
    got = value_of_failures(
        [0.1] * len(modes), [1] * len(modes), groups=[0] * len(modes), modes=modes
    )
    distinct = len({mode for mode in modes if mode is not None})
    assert got.sum() == pytest.approx(0.1 * (distinct + modes.count(None)))


def test_equal_answers_at_different_tasks_are_not_duplicates() -> None:
    got = value_of_failures([0.1, 0.1], [1, 1], groups=[0, 1], modes=["7", "7"])
    assert got.tolist() == [0.1, 0.1]


def test_a_failure_that_was_cut_off_is_worth_nothing() -> None:
    assert verdict_trust(reliability=None, truncated=True) == 0
    assert verdict_trust(reliability=0.7, truncated=None) == 0.7
