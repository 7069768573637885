from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.ranking import (
    adjusted_over_pairs,
    contrast_pairs,
    overall_auc,
    percentile_interval,
    policy_adjusted_auc,
    policy_contrast,
    sibling_pairs,
    within_task_auc,
)


def test_overall_worked_by_hand() -> None:
    # Failures score 3 and 1, successes 2 and 1. Pairs: 3>2, 3>1, 1<2, 1=1: (1 + 1 + 0 + 0.5) / 4.
    failed = np.array([True, True, False, False])
    assert overall_auc(np.array([3.0, 1.0, 2.0, 1.0]), failed=failed) == 0.625


def test_difficulty_alone_ranks_overall_but_not_within() -> None:
    # The score knows only the task: 5 for the hard one (2 of 3 fail), 1 for the easy one (1 of 3).
    scores = np.array([5.0, 5.0, 5.0, 1.0, 1.0, 1.0])
    failed = np.array([True, True, False, True, False, False])
    task = np.array([0, 0, 0, 1, 1, 1])
    # 9 pairs: 2 x 2 across (hard failure above easy success), ties inside, 1 x 1 reversed.
    assert overall_auc(scores, failed=failed) == pytest.approx((4 + 0.5 * 4) / 9)
    assert within_task_auc(scores, failed=failed, task=task).value == 0.5


def test_within_counts_pairs_and_tasks() -> None:
    scores = np.array([2.0, 1.0, 0.0, 4.0, 7.0])
    failed = np.array([True, False, False, False, False])
    found = within_task_auc(scores, failed=failed, task=np.array([0, 0, 0, 1, 1]))
    assert (found.value, found.n_pairs, found.n_tasks) == (1.0, 2, 1)


def test_nothing_to_compare_is_undefined() -> None:
    nothing = within_task_auc(np.zeros(3), failed=np.ones(3, dtype=bool), task=np.zeros(3, int))
    assert nothing == (None, None, None, 0, 0)
    assert overall_auc(np.zeros(0), failed=np.zeros(0, dtype=bool)) is None
    assert overall_auc(np.zeros(2), failed=np.ones(2, dtype=bool)) is None
    assert percentile_interval(np.full(3, np.nan)) == (None, None)


def test_one_task_has_no_interval() -> None:
    found = within_task_auc(
        np.array([1.0, 0.0]), failed=np.array([True, False]), task=np.zeros(2, int), n_draws=50
    )
    assert found.value == 1.0
    assert found.low is None


def test_adjustment_removes_a_policys_own_level() -> None:
    # Policy 1 scores 10 higher everywhere and fails more often; inside it the score is right.
    scores = np.array([1.0, 10.0, 0.0, 11.0, 0.0, 11.0])
    failed = np.array([True, False, False, True, False, True])
    task, policy = np.repeat([0, 1, 2], 2), np.tile([0, 1], 3)
    # Unadjusted, the failure in task 0 (1 against 10) loses. Adjusted: d = score0 - score1 is -9
    # where policy 0 failed and -11 where policy 1 failed: fully right.
    assert within_task_auc(scores, failed=failed, task=task).value == pytest.approx(2 / 3)
    adjusted = policy_adjusted_auc(scores, failed=failed, task=task, policy=policy)
    assert adjusted.value == 1.0
    raised = scores + 100.0 * policy
    assert policy_adjusted_auc(raised, failed=failed, task=task, policy=policy).value == 1.0


def test_one_sided_policy_pair_cannot_be_adjusted() -> None:
    scores, failed = np.array([1.0, 0.0, 1.0, 0.0]), np.array([True, False, True, False])
    task, policy = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    found = policy_adjusted_auc(scores, failed=failed, task=task, policy=policy)
    assert found.value is None
    assert found.n_pairs == 2


def test_one_policy_needs_no_adjustment() -> None:
    rng = np.random.default_rng(0)
    scores, failed = rng.integers(0, 4, 40).astype(float), rng.random(40) < 0.5
    task = np.repeat(np.arange(10), 4)
    plain = within_task_auc(scores, failed=failed, task=task)
    adjusted = policy_adjusted_auc(scores, failed=failed, task=task, policy=np.zeros(40, int))
    assert adjusted.value == pytest.approx(plain.value)


def test_gaps_must_match_pairs() -> None:
    pairs = contrast_pairs(sibling_pairs(np.array([0, 0])), np.array([True, False]))
    with pytest.raises(BadInput, match="one gap per pair"):
        adjusted_over_pairs(
            np.zeros((1, 3)), pairs, contrast=policy_contrast(pairs, np.zeros(2, int))
        )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_agrees_with_looking_at_every_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 25
    scores, failed = rng.integers(0, 5, n).astype(float), rng.random(n) < 0.5
    task = rng.integers(0, 6, n)
    every = [
        (0.5 if scores[i] == scores[j] else float(scores[i] > scores[j]), task[i] == task[j])
        for i in range(n)
        for j in range(n)
        if failed[i] and not failed[j]
    ]
    inside = [agreed for agreed, same in every if same]
    assert overall_auc(scores, failed=failed) == (
        pytest.approx(np.mean([agreed for agreed, _ in every])) if every else None
    )
    assert within_task_auc(scores, failed=failed, task=task).value == (
        pytest.approx(np.mean(inside)) if inside else None
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_properties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, failed = rng.normal(size=60), rng.random(60) < 0.5
    task, policy = np.repeat(np.arange(15), 4), np.tile(np.arange(4), 15)
    found = within_task_auc(scores, failed=failed, task=task, n_draws=60, seed=1)
    turned = within_task_auc(-scores, failed=failed, task=task)
    assert found.value is not None
    assert turned.value == pytest.approx(1 - found.value)
    # A level per task changes nothing inside tasks; a level per policy nothing when adjusted.
    lifted = within_task_auc(scores + 100.0 * task, failed=failed, task=task)
    assert lifted.value == pytest.approx(found.value)
    adjusted = policy_adjusted_auc(scores, failed=failed, task=task, policy=policy, n_draws=60)
    moved = policy_adjusted_auc(scores + 50.0 * policy, failed=failed, task=task, policy=policy)
    assert moved.value == pytest.approx(adjusted.value)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.high


def test_bootstrap_resamples_tasks_not_attempts() -> None:
    # Ten copies of each attempt do not make the interval narrower.
    rng = np.random.default_rng(6)
    scores, failed = rng.normal(size=40), np.tile([True, False], 20)
    task = np.repeat(np.arange(20), 2)
    once = within_task_auc(scores, failed=failed, task=task, n_draws=400)
    many = within_task_auc(
        np.tile(scores, 3), failed=np.tile(failed, 3), task=np.tile(task, 3), n_draws=400
    )
    assert (many.low, many.high) == (once.low, once.high)
