from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import (
    flips,
    mcnemar_exact,
    paired_difference,
    permutation_test,
    sign_test,
)

differences = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=9)


def test_paired_difference_by_hand() -> None:
    # differences 1/2, 1/2, -1/4, 1/4: mean 1/4, sum of squares about it 1/16+1/16+1/4+0 = 3/8
    # sd² = 1/8, se = √(1/32) = 0.176777, t(3) = 3.182446, half = 0.562582
    result = paired_difference([0, 0.5, 0.5, 0], [0.5, 1, 0.25, 0.25])
    assert result[:3] == pytest.approx((0.25, 0.25 - 0.562582, 0.25 + 0.562582), abs=1e-5)
    assert (result.before, result.after) == (0.25, 0.5)


def test_tasks_undefined_in_an_arm_are_counted() -> None:
    nan = math.nan
    result = paired_difference([0, nan, 1, nan], [1, 1, nan, nan])
    assert (result.difference, result.n_tasks, result.n_tasks_left_out) == (1.0, 1, 3)
    assert (result.low, result.high) == (None, None)
    assert paired_difference([nan], [1.0])[:5] == (None,) * 5
    assert paired_difference([], []).n_tasks == 0


def test_sign_test_by_hand() -> None:
    # 5 wins of 5: 2 · (1/2)^5; 4 wins, 1 loss: 2 · (1 + 5)/32
    assert sign_test([1] * 5).p == 2 / 32
    assert sign_test([1, 1, 1, 1, -1, 0, 0]) == (12 / 32, 5, 2)
    assert sign_test([1] * 5, alternative="greater").p == 1 / 32
    assert sign_test([1] * 5, alternative="less").p == 1.0
    assert sign_test([]) == (None, 0, 0)
    assert sign_test([0.0, 0.0]) == (None, 0, 2)


@pytest.mark.parametrize("wins", range(7))
@pytest.mark.parametrize("losses", range(7))
def test_mcnemar_agrees_with_scipy(wins: int, losses: int) -> None:
    if wins + losses == 0:
        assert mcnemar_exact(0, 0).p is None
        return
    theirs = scipy_stats.binomtest(wins, wins + losses, 0.5).pvalue
    assert mcnemar_exact(losses, wins).p == pytest.approx(theirs)
    theirs = scipy_stats.binomtest(wins, wins + losses, 0.5, alternative="greater").pvalue
    assert mcnemar_exact(losses, wins, alternative="greater").p == pytest.approx(theirs)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(BadInput):
        mcnemar_exact(-1, 2)


@given(differences)
def test_permutation_test_by_enumeration(values: list[float]) -> None:
    seen = sum(values)
    sums = [
        sum(s * v for s, v in zip(signs, values, strict=True))
        for signs in product((1, -1), repeat=len(values))
    ]
    expected = np.mean([abs(total) >= abs(seen) - 1e-9 for total in sums])
    assert permutation_test(values, seed=0).p == pytest.approx(expected)
    expected = np.mean([total >= seen - 1e-9 for total in sums])
    assert permutation_test(values, seed=0, alternative="greater").p == pytest.approx(expected)


@given(differences)
def test_permutation_p_is_valid_and_symmetric(values: list[float]) -> None:
    result = permutation_test(values, seed=0)
    mirrored = permutation_test([-v for v in values], seed=0)
    assert result.p == mirrored.p
    assert result.p is not None
    assert 0 < result.p <= 1


def test_permutation_test_with_many_tasks_is_random_and_never_zero() -> None:
    values = [1.0] * 40
    result = permutation_test(values, seed=1, draws=999)
    assert result.p == 1 / 1000
    balanced = permutation_test([1.0, -1.0] * 20, seed=1, draws=999)
    assert balanced.p == 1.0
    assert permutation_test([], seed=0).p is None
    assert permutation_test([0.0], seed=0) == (1.0, 0, 1)


def test_random_permutations_agree_with_the_exact_test() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(0.3, 1.0, 16)
    exact = permutation_test(values, seed=0).p
    padded = permutation_test([*values, 1e-12], seed=0, draws=20_000).p  # 17 values: random
    assert exact is not None
    assert padded == pytest.approx(exact, abs=0.015)


def test_flips_of_single_runs_are_the_plain_shares() -> None:
    result = flips(before_c=[1, 1, 0, 0], before_n=[1] * 4, after_c=[0, 1, 1, 0], after_n=[1] * 4)
    assert result[:3] == (0.25, 0.25, None)
    assert (result.n_tasks, result.n_tasks_rerun) == (4, 0)


def test_flips_by_hand() -> None:
    # task 1: p 3/4 -> 1/2: loses 3/8, wins 1/8, a re-run loses 3·1/(4·3) = 1/4
    # task 2: p 0 -> 1: loses 0, wins 1, a re-run loses 0
    result = flips(before_c=[3, 0], before_n=[4, 4], after_c=[2, 4], after_n=[4, 4])
    assert result[:3] == pytest.approx((3 / 16, 9 / 16, 1 / 8))


def test_a_stochastic_policy_flips_against_itself() -> None:
    rng = np.random.default_rng(2)
    p = rng.uniform(size=3000)
    result = flips(
        before_c=rng.binomial(2, p),
        before_n=np.full(3000, 2),
        after_c=rng.binomial(2, p),
        after_n=np.full(3000, 2),
    )
    # E[p(1-p)] of a uniform p is 1/2 - 1/3 = 1/6, in every column
    assert result[:3] == pytest.approx((1 / 6, 1 / 6, 1 / 6), abs=0.015)


def test_flips_leave_out_empty_tasks_and_refuse_nonsense() -> None:
    result = flips(before_c=[0, 1], before_n=[0, 2], after_c=[1, 1], after_n=[1, 1])
    assert (result.n_tasks, result.right_to_wrong) == (1, 0.0)
    assert flips(before_c=[], before_n=[], after_c=[], after_n=[])[:3] == (None, None, None)
    with pytest.raises(BadInput):
        flips(before_c=[2], before_n=[1], after_c=[1], after_n=[1])
    with pytest.raises(BadInput):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(BadInput):
        sign_test([math.nan])


def test_the_rerun_baseline_is_over_shared_tasks() -> None:
    # The third task flips half of the time by itself, and the after arm never saw it.
    result = flips(before_c=[2, 0, 1], before_n=[2, 2, 2], after_c=[2, 0, 0], after_n=[2, 2, 0])
    assert result.rerun_right_to_wrong == 0.0
    assert (result.n_tasks, result.n_tasks_rerun) == (2, 2)
