from __future__ import annotations

from math import comb

import numpy as np
import pytest

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import power_within_task, tasks_needed
from twiceshy.evidence.stats.power import _mid_p

AIRLINE_MIX = [(4, 3)] * 12 + [(4, 2)] * 10 + [(4, 1)] * 4
"""The 26 mixed tasks of tau-bench airline: solved once, twice and three times of four."""


def brute_mid_p(tasks: list[tuple[int, int]], present: list[int], *, seen: int) -> float:
    pmf = np.ones(1)
    for (n, failures), m in zip(tasks, present, strict=True):
        ways = [
            comb(failures, x) * comb(n - failures, m - x) if m - x >= 0 else 0
            for x in range(failures + 1)
        ]
        pmf = np.convolve(pmf, np.array(ways) / sum(ways))
    low = pmf[:seen].sum() + pmf[seen] / 2
    return 2 * min(low, 1 - low)


def test_mid_p_by_hand() -> None:
    # one task, 2 attempts, 1 failure, 1 shows the pattern: it is the failing one with chance 1/2
    # seen there: lower mid-tail 1/2 + 1/4 = 3/4, upper 1/4, doubled 1/2
    p = _mid_p(np.array([[2, 1]]), in_failures=np.array([[1]]), present=np.array([[1]]))
    assert p == pytest.approx([0.5])


def test_mid_p_agrees_with_convolution() -> None:
    rng = np.random.default_rng(0)
    tasks = [(4, 1), (4, 2), (4, 3), (7, 2), (3, 1), (5, 4)]
    sizes = np.array(tasks)
    in_failures = rng.binomial(sizes[:, 1], 0.6, (200, len(tasks)))
    present = in_failures + rng.binomial(sizes[:, 0] - sizes[:, 1], 0.3, in_failures.shape)
    ours = _mid_p(sizes, in_failures=in_failures, present=present)
    theirs = [
        brute_mid_p(tasks, [int(m) for m in row], seen=int(x.sum()))
        for x, row in zip(in_failures, present, strict=True)
    ]
    assert ours == pytest.approx(np.array(theirs), abs=1e-12)


@pytest.mark.parametrize(
    ("odds_ratio", "prevalence", "alpha", "times", "published"),
    [
        (3, 0.4, 0.05, 1, 0.61),
        (3, 0.4, 0.0005, 1, 0.07),
        (5, 0.4, 0.05, 1, 0.89),
        (5, 0.4, 0.0005, 1, 0.37),
        (10, 0.4, 0.05, 1, 1.00),
        (10, 0.4, 0.0005, 1, 0.83),
        (3, 0.4, 0.0005, 4, 0.84),
        (2, 0.4, 0.0005, 4, 0.23),
        (5, 0.15, 0.0005, 1, 0.17),
        (5, 0.15, 0.0005, 4, 0.95),
    ],
)
def test_figures_of_an_independent_study(
    odds_ratio: float, prevalence: float, alpha: float, times: int, published: float
) -> None:
    power = power_within_task(
        AIRLINE_MIX * times,
        odds_ratio=odds_ratio,
        prevalence=prevalence,
        alpha=alpha,
        seed=0,
        draws=2000,
    )
    assert power == pytest.approx(published, abs=0.06)


def test_no_effect_is_found_at_about_alpha() -> None:
    power = power_within_task(
        AIRLINE_MIX, odds_ratio=1, prevalence=0.4, alpha=0.05, seed=0, draws=4000
    )
    assert power == pytest.approx(0.05, abs=0.015)


def test_tasks_that_are_not_mixed_add_nothing() -> None:
    some = power_within_task(AIRLINE_MIX, odds_ratio=4, prevalence=0.4, alpha=0.05, seed=3)
    more = power_within_task(
        [*AIRLINE_MIX, (4, 4), (4, 0)], odds_ratio=4, prevalence=0.4, alpha=0.05, seed=3
    )
    assert some == more
    assert power_within_task([(4, 0)], odds_ratio=4, prevalence=0.4, alpha=0.05, seed=3) is None
    assert tasks_needed([(4, 0)], odds_ratio=4, prevalence=0.4, alpha=0.05) is None


def test_a_rare_strict_search_needs_more_tasks_than_tau_bench_has() -> None:
    strict = tasks_needed(AIRLINE_MIX, odds_ratio=3, prevalence=0.4, alpha=0.0005)
    loose = tasks_needed(AIRLINE_MIX, odds_ratio=3, prevalence=0.4, alpha=0.05)
    assert strict is not None
    assert strict.n_tasks is not None
    assert loose is not None
    assert loose.n_tasks is not None
    assert 26 < loose.n_tasks < strict.n_tasks
    assert 80 <= strict.n_tasks <= 110
    assert strict.power >= 0.8


def test_the_search_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twiceshy.evidence.stats.power._MAX_TASKS", 40)
    result = tasks_needed([(4, 2)], odds_ratio=1.1, prevalence=0.4, alpha=0.001, draws=100)
    assert result is not None
    assert result.n_tasks is None
    assert result.power < 0.8


@pytest.mark.parametrize(
    ("odds_ratio", "prevalence", "alpha"), [(0, 0.4, 0.05), (3, 0, 0.05), (3, 0.4, 1)]
)
def test_out_of_range(odds_ratio: float, prevalence: float, alpha: float) -> None:
    with pytest.raises(BadInput, match="odds_ratio"):
        power_within_task(
            [(4, 2)], odds_ratio=odds_ratio, prevalence=prevalence, alpha=alpha, seed=0
        )
