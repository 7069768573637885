from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.fixed_effects import (
    WithinDesign,
    WithinEffects,
    pooled_effects,
    within_effects,
)


def _fit(
    present: list[int], failed: list[int], task: list[int], policy: list[int] | None = None
) -> WithinEffects:
    return within_effects(
        np.array(present, dtype=bool)[:, None],
        failed=np.array(failed, dtype=bool),
        task=np.array(task),
        policy=np.array(policy if policy is not None else [0] * len(task)),
    )


def test_three_pairs_worked_by_hand() -> None:
    # Demeaned x is (+-1/2), so sum(x^2) = 3 * 1/2. Tasks 0 and 1 agree, task 2 does not:
    # sum(xy) = 1/2 + 1/2 - 1/2 = 1/2, effect = 1/3. Scores: 1/2 - 1/6 = 1/3 twice, -2/3 once;
    # squares 1/9 + 1/9 + 4/9 = 2/3, times 3/2 for three clusters = 1; error = 1 / 1.5 = 2/3.
    found = _fit([1, 0, 1, 0, 1, 0], [1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 2, 2])
    assert found.effect[0] == pytest.approx(1 / 3)
    assert found.standard_error[0] == pytest.approx(2 / 3)
    # t = 0.5 with 2 degrees of freedom: p = 1 - t / sqrt(t^2 + 2) = 1 - 0.5 / 1.5.
    assert found.p_value[0] == pytest.approx(2 / 3)
    # 97.5 % point of t with 2 degrees of freedom is 4.302653.
    interval = found.interval()
    assert interval.high[0] == pytest.approx(1 / 3 + 4.302653 * 2 / 3, abs=1e-5)


def test_policy_levels_are_taken_out() -> None:
    # Policy 1 always fails and always shows the pattern: nothing of the pattern is left.
    confounded = _fit([0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2], [0, 1] * 3)
    assert np.isnan(confounded.effect[0])
    assert np.isnan(confounded.p_value[0])


def test_one_informative_task_has_no_p_value() -> None:
    # The trap: naively clustered, this has a tiny error and a huge z.
    n_tasks = 60
    present = np.zeros(4 * n_tasks, dtype=bool)
    present[0] = True
    failed = np.tile([True, False, False, True], n_tasks)
    found = within_effects(
        present[:, None],
        failed=failed,
        task=np.repeat(np.arange(n_tasks), 4),
        policy=np.tile(np.arange(4), n_tasks),
    )
    assert found.n_informative[0] == 1
    assert np.isnan(found.p_value[0])
    assert np.isnan(found.standard_error[0])
    assert np.isnan(found.interval().low[0])


def test_a_flawless_pattern_is_not_infinitely_sure() -> None:
    # Five pairs, all agreeing: the clustered error is 0. All signs alike by chance: 2 / 2^5.
    found = _fit([1, 0] * 5, [1, 0] * 5, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    assert found.effect[0] == 1.0
    assert found.standard_error[0] == 0.0
    assert found.p_value[0] == pytest.approx(2 / 2**5)


def test_two_informative_tasks_use_one_degree_of_freedom() -> None:
    found = _fit([1, 0, 0, 1, 0, 0, 0, 0], [1, 0, 0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 1, 1, 2, 2])
    ratio = found.effect[0] / found.standard_error[0]
    # The t distribution with one degree of freedom is Cauchy's.
    cauchy = 1 - 2 * np.arctan(abs(ratio)) / np.pi
    assert found.p_value[0] == pytest.approx(max(cauchy, 0.5))


def _by_dummies(
    x: NDArray[np.bool_], y: NDArray[np.bool_], task: NDArray[np.int64], policy: NDArray[np.int64]
) -> tuple[float, float]:
    """Effect and clustered error from the full regression on dummies, mixed tasks only."""
    keep = np.array([0 < y[task == t].mean() < 1 for t in task])
    x, y, task, policy = x[keep], y[keep], task[keep], policy[keep]
    tasks, policies = np.unique(task), np.unique(policy)
    design = np.column_stack(
        [x.astype(float), task[:, None] == tasks, policy[:, None] == policies[1:]]
    )
    coefficients = np.linalg.pinv(design) @ y
    error = y - design @ coefficients
    bread = np.linalg.pinv(design.T @ design)
    scores = np.array([design[task == t].T @ error[task == t] for t in tasks])
    meat = scores.T @ scores * len(tasks) / (len(tasks) - 1)
    return float(coefficients[0]), float(np.sqrt((bread @ meat @ bread)[0, 0]))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_agrees_with_regression_on_dummies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Unbalanced: some tasks miss some policies, some have two attempts by one policy.
    task, policy = rng.integers(0, 9, 60), rng.integers(0, 3, 60)
    present, failed = rng.random((60, 3)) < 0.4, rng.random(60) < 0.5
    found = within_effects(present, failed=failed, task=task, policy=policy)
    for column in range(3):
        if found.n_informative[column] < 2:
            continue
        effect, error = _by_dummies(present[:, column], failed, task, policy)
        assert found.effect[column] == pytest.approx(effect, abs=1e-8)
        assert found.standard_error[column] == pytest.approx(error, abs=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_properties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    task, policy = np.repeat(np.arange(10), 4), np.tile(np.arange(4), 10)
    present, failed = rng.random((40, 4)) < 0.5, rng.random(40) < 0.5
    found = within_effects(present, failed=failed, task=task, policy=policy)
    absent = within_effects(~present, failed=failed, task=task, policy=policy)
    np.testing.assert_allclose(absent.effect, -found.effect, atol=1e-9)
    np.testing.assert_allclose(absent.p_value, found.p_value, atol=1e-9)
    passed = within_effects(present, failed=~failed, task=task, policy=policy)
    np.testing.assert_allclose(passed.effect, -found.effect, atol=1e-9)
    moved = within_effects(present, failed=failed, task=9 - task, policy=policy)
    np.testing.assert_allclose(moved.standard_error, found.standard_error, atol=1e-9)


def test_unmixed_tasks_change_nothing() -> None:
    rng = np.random.default_rng(2)
    task, policy = np.repeat(np.arange(12), 3), np.tile(np.arange(3), 12)
    present = rng.random((36, 5)) < 0.5
    failed = np.concatenate([np.tile([True, False, True], 8), np.ones(12, dtype=bool)])
    failed[:24] = np.concatenate([rng.permutation(part) for part in failed[:24].reshape(8, 3)])
    everything = within_effects(present, failed=failed, task=task, policy=policy)
    mixed = within_effects(present[:24], failed=failed[:24], task=task[:24], policy=policy[:24])
    np.testing.assert_allclose(everything.effect, mixed.effect, atol=1e-12)
    np.testing.assert_allclose(everything.p_value, mixed.p_value)


def test_false_alarms_of_the_t_test_stay_near_their_level() -> None:
    rng = np.random.default_rng(7)
    task, policy = np.repeat(np.arange(40), 4), np.tile(np.arange(4), 40)
    present = rng.random((160, 500)) < rng.uniform(0.1, 0.5, 500)
    failed = np.tile([True, False, False, True], 40)
    failed = np.concatenate([rng.permutation(part) for part in failed.reshape(40, 4)])
    found = within_effects(present, failed=failed, task=task, policy=policy)
    assert (found.n_informative >= 8).all()
    assert (found.p_value <= 0.05).mean() <= 0.08


def test_sums_by_task_give_the_effect_back() -> None:
    rng = np.random.default_rng(4)
    task, policy = np.repeat(np.arange(15), 4), np.tile(np.arange(4), 15)
    present, failed = rng.random((60, 3)) < 0.5, rng.random(60) < 0.5
    design = WithinDesign(present, failed=failed, task=task, policy=policy)
    sums = design.task_sums(failed)
    effect = sums.cross.sum(axis=0) / sums.square.sum(axis=0)
    np.testing.assert_allclose(effect, design.fit(failed).effect)


def test_pooled_effect_worked_by_hand() -> None:
    # 2 of 3 fail with, 1 of 3 without: 1/3. Residuals with: 1/3, 1/3, -2/3; without: -1/3, -1/3,
    # 2/3. x centred is +-1/2, sum of squares 3/2. Scores by task (0: rows 0, 3; 1: 1, 4; 2: 2, 5):
    # 1/6 + 1/6 = 1/3, 1/3, -2/3. Squares add to 2/3, times 3/2 = 1, error = 1 / 1.5 = 2/3.
    found = pooled_effects(
        np.array([1, 1, 1, 0, 0, 0], dtype=bool)[:, None],
        failed=np.array([1, 1, 0, 0, 0, 1], dtype=bool),
        task=np.array([0, 1, 2, 0, 1, 2]),
    )
    assert found.effect[0] == pytest.approx(1 / 3)
    assert found.high[0] == pytest.approx(1 / 3 + 4.302653 * 2 / 3, abs=1e-5)
    assert found.p_value[0] == pytest.approx(2 / 3)


def test_pooled_effect_of_a_constant_or_of_nothing_is_undefined() -> None:
    constant = pooled_effects(
        np.ones((4, 1), dtype=bool), failed=np.array([1, 0, 1, 0], dtype=bool), task=np.arange(4)
    )
    assert np.isnan(constant.effect[0])
    empty = pooled_effects(
        np.zeros((0, 1), dtype=bool),
        failed=np.zeros(0, dtype=bool),
        task=np.zeros(0, dtype=np.int64),
    )
    assert np.isnan(empty.effect[0])


def test_empty_input_is_undefined() -> None:
    found = within_effects(
        np.zeros((0, 2), dtype=bool),
        failed=np.zeros(0, dtype=bool),
        task=np.zeros(0, dtype=np.int64),
        policy=np.zeros(0, dtype=np.int64),
    )
    assert np.isnan(found.effect).all()
    assert found.n_informative.tolist() == [0, 0]


def test_shapes_are_checked() -> None:
    with pytest.raises(BadInput, match="failed, task and policy"):
        _fit([1, 0], [1, 0, 1], [0, 0, 0])
