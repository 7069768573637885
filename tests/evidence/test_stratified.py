from __future__ import annotations

from itertools import combinations, product
from math import comb, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t as student

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.stratified import (
    StratifiedNull,
    clustered_p_values,
    mixed_rows,
    stratified_test,
)


def _column(*values: int) -> NDArray[np.bool_]:
    return np.array(values, dtype=bool)[:, None]


def _labels(*values: int) -> NDArray[np.bool_]:
    return np.array(values, dtype=bool)


def test_two_tasks_worked_by_hand() -> None:
    # Task 0: 4 attempts, 2 failed, 2 show the pattern, both failures do: A in {0, 1, 2} with
    # probabilities 1/6, 4/6, 1/6. Task 1: 2 attempts, 1 failed, shown by the failure: A in {0, 1},
    # 1/2 each. Observed A = 3: P(A >= 3) = 1/6 * 1/2 = 1/12, two-sided 1/6, mid-p 1/12.
    # Mantel-Haenszel: sum(ad/N) = 2*2/4 + 1*1/2 = 1.5, sum(bc/N) = 0: log(2.0 / 0.5).
    test = stratified_test(
        _column(1, 1, 0, 0, 1, 0),
        failed=_labels(1, 1, 0, 0, 1, 0),
        stratum=np.array([0, 0, 0, 0, 1, 1]),
    )
    assert test.p_value[0] == pytest.approx(1 / 6)
    assert test.mid_p_value[0] == pytest.approx(1 / 12)
    assert test.log_odds_ratio[0] == pytest.approx(log(4.0))
    assert test.n_informative[0] == 2


def test_single_stratum_is_fishers_test_with_doubled_tail() -> None:
    # 10 attempts, 5 failed, 5 with the pattern, 4 of them failed. P(A >= 4) = (5*5 + 1) / 252.
    test = stratified_test(
        _column(1, 1, 1, 1, 0, 1, 0, 0, 0, 0),
        failed=_labels(1, 1, 1, 1, 1, 0, 0, 0, 0, 0),
        stratum=np.zeros(10, dtype=np.int64),
    )
    assert test.p_value[0] == pytest.approx(2 * (comb(5, 4) * 5 + 1) / comb(10, 5))


def test_unmixed_tasks_and_constant_patterns_say_nothing() -> None:
    failed = _labels(1, 1, 0, 0, 1, 0)
    stratum = np.array([0, 0, 1, 1, 2, 2])
    # Varies only in the all-failed and the all-passed task.
    outside = stratified_test(_column(1, 0, 1, 0, 1, 1), failed=failed, stratum=stratum)
    assert outside.n_informative[0] == 0
    assert np.isnan(outside.p_value[0])
    assert np.isnan(outside.log_odds_ratio[0])


def test_no_attempts_and_no_mixed_tasks_are_undefined() -> None:
    empty = stratified_test(
        np.zeros((0, 2), dtype=bool),
        failed=np.zeros(0, dtype=bool),
        stratum=np.zeros(0, dtype=np.int64),
    )
    assert np.isnan(empty.p_value).all()
    solved = stratified_test(
        _column(1, 0), failed=_labels(0, 0), stratum=np.zeros(2, dtype=np.int64)
    )
    assert np.isnan(solved.p_value).all()
    assert solved.n_informative.tolist() == [0]


def test_one_informative_task_never_looks_strong() -> None:
    # The trap: a pattern that varies in one task of four, always with the failure.
    n_tasks = 50
    failed = np.tile(_labels(1, 0, 0, 0), n_tasks)
    present = np.zeros((4 * n_tasks, 1), dtype=bool)
    present[0] = True
    test = stratified_test(present, failed=failed, stratum=np.repeat(np.arange(n_tasks), 4))
    assert test.n_informative[0] == 1
    assert test.p_value[0] == pytest.approx(0.5)


def test_patterns_of_different_support_share_one_call() -> None:
    # The rare pattern's mass must stay exact beside a pattern whose support is much wider.
    rng = np.random.default_rng(3)
    stratum = np.repeat(np.arange(12), 5)
    failed = rng.random(60) < 0.5
    present = np.stack([rng.random(60) < rate for rate in (0.03, 0.5, 0.95)], axis=1)
    together = stratified_test(present, failed=failed, stratum=stratum)
    for column in range(3):
        alone = stratified_test(present[:, column : column + 1], failed=failed, stratum=stratum)
        assert together.p_value[column] == pytest.approx(alone.p_value[0], nan_ok=True)


def _brute_force(present: NDArray[np.bool_], failed: NDArray[np.bool_], sizes: list[int]) -> float:
    """Two-sided p by walking through every relabelling with the same failures per task."""
    bounds = np.cumsum([0, *sizes])
    ways = [
        [
            int(present[[start + place for place in chosen]].sum())
            for chosen in combinations(range(size), int(failed[start : start + size].sum()))
        ]
        for start, size in zip(bounds[:-1], sizes, strict=True)
        if 0 < failed[start : start + size].sum() < size
    ]
    parts = np.split(failed, bounds[1:-1])
    mixed = np.concatenate([np.full(part.size, part.any() and not part.all()) for part in parts])
    seen = int((present & failed & mixed).sum())
    totals = np.array([sum(way) for way in product(*ways)])
    return min(1.0, 2 * min(float((totals <= seen).mean()), float((totals >= seen).mean())))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_agrees_with_every_relabelling(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    present, failed = rng.random(n) < 0.5, rng.random(n) < 0.5
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    test = stratified_test(present[:, None], failed=failed, stratum=stratum)
    if test.n_informative[0] == 0:
        assert np.isnan(test.p_value[0])
    else:
        assert test.p_value[0] == pytest.approx(_brute_force(present, failed, sizes))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_properties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stratum = rng.integers(0, 6, 30)
    present, failed = rng.random((30, 5)) < 0.4, rng.random(30) < 0.5
    test = stratified_test(present, failed=failed, stratum=stratum)
    defined = test.n_informative > 0
    assert ((test.p_value[defined] >= 0) & (test.p_value[defined] <= 1)).all()
    assert (test.mid_p_value[defined] <= test.p_value[defined] + 1e-12).all()
    # The absent pattern is the same statement with the sign turned.
    absent = stratified_test(~present, failed=failed, stratum=stratum)
    np.testing.assert_allclose(absent.p_value, test.p_value)
    np.testing.assert_allclose(absent.log_odds_ratio, -test.log_odds_ratio, atol=1e-12)
    # The order of attempts and the names of tasks do not matter.
    order = rng.permutation(30)
    moved = stratified_test(present[order], failed=failed[order], stratum=5 - stratum[order])
    np.testing.assert_allclose(moved.p_value, test.p_value)


def test_valid_under_the_null() -> None:
    rng = np.random.default_rng(11)
    stratum = np.repeat(np.arange(30), 4)
    present = rng.random((120, 400)) < 0.4
    failed = rng.random(120) < 0.5
    p_value = stratified_test(present, failed=failed, stratum=stratum).p_value
    assert (p_value <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_null_is_reused_for_shuffled_labels_and_refuses_others() -> None:
    rng = np.random.default_rng(5)
    stratum = np.repeat(np.arange(8), 4)
    present, failed = rng.random((32, 6)) < 0.5, np.tile(_labels(1, 0, 1, 0), 8)
    null = StratifiedNull(present, failed=failed, stratum=stratum)
    shuffled = np.concatenate([rng.permutation(part) for part in failed.reshape(8, 4)])
    again = stratified_test(present, failed=shuffled, stratum=stratum)
    np.testing.assert_allclose(null.test(shuffled).p_value, again.p_value)
    with pytest.raises(BadInput, match="same failures per stratum"):
        null.test(~_labels(*([1] * 32)))


def test_shapes_are_checked() -> None:
    with pytest.raises(BadInput, match="expected present"):
        stratified_test(_column(1, 0), failed=_labels(1, 0, 1), stratum=np.zeros(3, dtype=np.int64))


def test_mixed_rows_are_sorted_by_task() -> None:
    rows = mixed_rows(_labels(1, 1, 0, 0, 1), np.array([2, 0, 2, 0, 1]))
    assert rows.tolist() == [1, 3, 0, 2]


def test_clustered_p_worked_by_hand() -> None:
    # Pairs of a failure and a success; the pattern is in the failure 5 times of 6. Each U is +-1/2:
    # z = 2 / sqrt(6 / 4) = 4 / sqrt(6) with 5 degrees of freedom.
    failed = np.tile([True, False], 6)
    present = np.array([True, False] * 5 + [False, True])[:, None]
    stratum = np.repeat(np.arange(6), 2)
    found = clustered_p_values(present, failed=failed, stratum=stratum)
    assert found[0] == pytest.approx(2 * student.sf(4 / np.sqrt(6), 5))
    # Copies of every row change nothing; the exact test they convince.
    rows = np.repeat(np.arange(12), 10)
    again = clustered_p_values(present[rows], failed=failed[rows], stratum=stratum[rows])
    assert again[0] == pytest.approx(found[0])
    exact = stratified_test(present[rows], failed=failed[rows], stratum=stratum[rows])
    assert exact.p_value[0] < 1e-6


def test_clustered_p_needs_two_informative_strata() -> None:
    present = np.array([[True, False], [False, False], [False, True], [False, True]])
    failed, stratum = np.array([True, False, True, False]), np.array([0, 0, 1, 1])
    assert np.isnan(clustered_p_values(present, failed=failed, stratum=stratum)).all()
    nothing = np.zeros(0, dtype=np.int64)
    empty = clustered_p_values(present[:0], failed=failed[:0], stratum=nothing)
    assert np.isnan(empty).all()
    assert empty.shape == (2,)


def test_clustered_p_is_valid_for_copies() -> None:
    rng = np.random.default_rng(8)
    kind = np.repeat(np.arange(60), 6) * 3 + rng.integers(0, 3, 360)
    present, failed = rng.random((180, 1000)) < 0.4, rng.random(180) < 0.5
    stratum = np.repeat(np.arange(60), 6)
    found = clustered_p_values(present[kind], failed=failed[kind], stratum=stratum)
    exact = stratified_test(present[kind], failed=failed[kind], stratum=stratum)
    assert (found <= 0.05).mean() <= 0.08
    assert (exact.p_value <= 0.05).mean() >= 0.15
