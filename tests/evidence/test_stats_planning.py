from __future__ import annotations

import numpy as np
import pytest

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.planning import (
    arms_needed,
    betting_needed,
    detectable_difference,
    paired_needed,
)
from twiceshy.evidence.stats.sequential import BettingTest
from twiceshy.evidence.stats.shrinkage import Prior, fit_prior, shrink_towards

DETECTABLE = {
    0.1: [66, 47, 33, 21, 15, 7],
    0.2: [50, 35, 25, 16, 11, 5],
    0.5: [40, 28, 20, 13, 9, 4],
}
"""Points that n eligible retrievals find with a share held out; a table worked out before."""


def test_paired_tasks_of_the_table() -> None:
    found = [paired_needed(points / 100) for points in (3, 5, 10)]
    assert found == pytest.approx([2172, 777, 188], abs=1)


@pytest.mark.parametrize("share", DETECTABLE)
def test_detectable_differences_of_the_table(share: float) -> None:
    found = [
        round(100 * detectable_difference(n, first=1 - share, second=share))
        for n in (50, 100, 200, 500, 1000, 5000)
    ]
    assert found == DETECTABLE[share]


def test_needed_and_detectable_are_inverse() -> None:
    n = arms_needed(0.1, first=0.5, second=0.25, rate=0.4, explained=0.3)
    at = detectable_difference(n, first=0.5, second=0.25, rate=0.4, explained=0.3)
    before = detectable_difference(n - 1, first=0.5, second=0.25, rate=0.4, explained=0.3)
    assert at <= 0.1 < before


def test_a_bet_needs_what_the_betting_test_needs() -> None:
    needed = betting_needed([1.0, -1.0, 0.0], [0.2, 0.1, 0.7], at_once=300, seed=2)
    assert needed.n_tasks is not None
    rng = np.random.default_rng(9)
    reached = []
    for _ in range(100):
        test = BettingTest()
        for each in rng.choice([1.0, -1.0, 0.0], needed.n_tasks, p=[0.2, 0.1, 0.7]):
            test.add(each)
        reached.append(test.state.decided_at is not None)
    assert np.mean(reached) == pytest.approx(needed.power, abs=0.12)


def test_out_of_reach_is_none() -> None:
    assert betting_needed([1.0, -1.0], [0.5, 0.5], at_once=50).n_tasks is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: paired_needed(0.3, discordant=0.25),
        lambda: paired_needed(0.0),
        lambda: arms_needed(0.1, first=0.9, second=0.2),
        lambda: arms_needed(0.1, first=0.5, second=0.0),
        lambda: arms_needed(0.1, first=0.5, second=0.5, rate=1.0),
        lambda: detectable_difference(0, first=0.5, second=0.5),
        lambda: detectable_difference(9, first=0.5, second=0.5, explained=1.0),
    ],
)
def test_impossible_plans(call: object) -> None:
    assert callable(call)
    with pytest.raises(BadInput):
        call()


def test_prior_with_unequal_errors_by_hand() -> None:
    # w = 1, 1, 1/4; mean = (0 + 3 + 1.5) / 2.25 = 2; Q = 4 + 1 + 4 = 9
    # variance = (9 − 2) / (2.25 − 2.0625 / 2.25) = 7 / (4/3)
    prior = fit_prior([0.0, 3.0, 6.0], [1.0, 1.0, 2.0])
    assert prior is not None
    assert prior.mean == pytest.approx(2.0)
    assert prior.variance == pytest.approx(5.25)
    assert prior.n == 3


def test_no_more_spread_than_noise_pulls_all_the_way() -> None:
    prior = fit_prior([0.1, 0.2, 0.3], [1.0, 1.0, 1.0])
    assert prior is not None
    assert prior.variance == 0.0
    assert shrink_towards(prior, 0.9, error=1.0) == pytest.approx((0.2, 0.0))


def test_shrinking_by_hand() -> None:
    # share 4 / (4 + 12) = 1/4: 1 + (9 − 1) / 4, error √(4·12/16)
    shrunk = shrink_towards(Prior(1.0, 4.0, 5), 9.0, error=12**0.5)
    assert shrunk == pytest.approx((3.0, 3**0.5))
