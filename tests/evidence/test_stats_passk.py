from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import pass_at_k, pass_curve, pass_hat_k

tasks = st.lists(
    st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    min_size=1,
    max_size=12,
)


def test_by_hand() -> None:
    # n = 4, c = 2, k = 2: pass@2 = 1 - C(2,2)/C(4,2) = 5/6, pass^2 = C(2,2)/C(4,2) = 1/6
    assert pass_at_k([4], [2], k=2).estimate == pytest.approx(5 / 6)
    assert pass_hat_k([4], [2], k=2).estimate == pytest.approx(1 / 6)
    # n = 5, c = 1, k = 3: pass@3 = 1 - C(4,3)/C(5,3) = 1 - 4/10; pass^3 = 0
    assert pass_at_k([5], [1], k=3).estimate == pytest.approx(0.6)
    assert pass_hat_k([5], [1], k=3).estimate == 0.0


@pytest.mark.parametrize("n", range(1, 8))
def test_all_subsets(n: int) -> None:
    for c in range(n + 1):
        results = [1] * c + [0] * (n - c)
        for k in range(1, n + 1):
            subsets = list(combinations(results, k))
            some = sum(any(subset) for subset in subsets) / len(subsets)
            every = sum(all(subset) for subset in subsets) / len(subsets)
            assert pass_at_k([n], [c], k=k).estimate == pytest.approx(some, abs=1e-12)
            assert pass_hat_k([n], [c], k=k).estimate == pytest.approx(every, abs=1e-12)


def test_many_attempts_keep_their_precision() -> None:
    from fractions import Fraction
    from math import comb

    n, c, k = 10_000, 37, 5_000
    exact = float(1 - Fraction(comb(n - c, k), comb(n, k)))
    assert pass_at_k([n], [c], k=k).estimate == pytest.approx(exact, rel=1e-12)
    exact = float(Fraction(comb(n - 37, 10), comb(n, 10)))
    assert pass_hat_k([n], [n - 37], k=10).estimate == pytest.approx(exact, rel=1e-12)
    assert pass_at_k([n], [1], k=n).estimate == 1.0


def test_short_tasks_are_left_out_and_counted() -> None:
    rate = pass_at_k([1, 4, 4], [1, 0, 4], k=2)
    assert (rate.estimate, rate.n_tasks, rate.n_tasks_left_out) == (0.5, 2, 1)
    rate = pass_at_k([1, 1], [1, 0], k=2)
    assert rate == (2, None, None, None, 0, 2)


def test_empty_is_undefined() -> None:
    assert pass_hat_k([], [], k=1) == (1, None, None, None, 0, 0)
    assert pass_curve([], [], metric="pass@k") == ()
    assert pass_hat_k([0, 0], [0, 0], k=1) == (1, None, None, None, 0, 2)


def test_interval_is_students_over_tasks_cut_to_the_unit_interval() -> None:
    # values 0, 1/2, 1, 1/2: mean 1/2, sd √(1/6), se √(1/24) = 0.204124, t(3) = 3.182446
    rate = pass_at_k([2, 2, 2, 2], [0, 1, 2, 1], k=1)
    assert rate.low == 0.0  # 0.5 - 0.6496 cut
    assert rate.high == 1.0
    rate = pass_at_k([2] * 16, [0, 1, 2, 1] * 4, k=1)
    # sd² = 16/15 · 1/8, se = √(sd²/16) = 0.0912871, t(15) = 2.131450
    assert (rate.low, rate.high) == pytest.approx((0.305428, 0.694572), abs=1e-5)


def test_no_spread() -> None:
    # all ten tasks at 0: (1 - p)^10 = 0.025
    rate = pass_at_k([3] * 10, [0] * 10, k=1)
    assert (rate.low, rate.high) == (0.0, pytest.approx(1 - 0.025**0.1))
    rate = pass_hat_k([3] * 10, [3] * 10, k=3)
    assert (rate.low, rate.high) == (pytest.approx(0.025**0.1), 1.0)
    rate = pass_at_k([2] * 10, [1] * 10, k=1)
    assert (rate.estimate, rate.low, rate.high) == (0.5, None, None)


def test_rows_of_one_task_are_one_cluster() -> None:
    apart = pass_curve([2] * 4, [0, 2, 0, 2], metric="pass@k")[0]
    together = pass_curve([2] * 4, [0, 2, 0, 2], metric="pass@k", tasks=list("abab"))[0]
    assert apart.estimate == together.estimate == 0.5
    assert (apart.n_tasks, together.n_tasks) == (4, 2)


@given(tasks, st.integers(1, 30))
def test_order_bounds_and_monotonicity(counts: list[tuple[int, int]], k: int) -> None:
    n, c = zip(*counts, strict=True)
    k = min(k, max(n))
    keep = [i for i in range(len(n)) if n[i] >= k]
    n, c = [n[i] for i in keep], [c[i] for i in keep]
    at, hat = pass_at_k(n, c, k=k), pass_hat_k(n, c, k=k)
    assert at.estimate is not None
    assert hat.estimate is not None
    one = pass_at_k(n, c, k=1).estimate
    assert one is not None
    assert -1e-12 <= hat.estimate <= one + 1e-12
    assert one - 1e-12 <= at.estimate <= 1 + 1e-12
    for rate in (at, hat):
        if rate.low is not None and rate.high is not None and rate.estimate is not None:
            assert 0 <= rate.low <= rate.estimate + 1e-12
            assert rate.estimate - 1e-12 <= rate.high <= 1
    if k > 1:
        less_at, less_hat = pass_at_k(n, c, k=k - 1), pass_hat_k(n, c, k=k - 1)
        assert less_at.estimate is not None
        assert less_hat.estimate is not None
        assert less_at.estimate <= at.estimate + 1e-12
        assert less_hat.estimate >= hat.estimate - 1e-12


@given(tasks, st.randoms())
def test_the_order_of_tasks_does_not_matter(counts: list[tuple[int, int]], random: Random) -> None:
    shuffled = sorted(counts, key=lambda _: random.random())
    for metric in ("pass@k", "pass^k"):
        one = pass_curve(*zip(*counts, strict=True), metric=metric)
        two = pass_curve(*zip(*shuffled, strict=True), metric=metric)
        assert [r.estimate for r in one] == pytest.approx([r.estimate for r in two])


@given(st.integers(2, 20).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_one_more_success_never_hurts(counts: tuple[int, int]) -> None:
    n, c = counts
    for metric in ("pass@k", "pass^k"):
        worse = pass_curve([n], [c], metric=metric)
        better = pass_curve([n], [c + 1], metric=metric)
        assert all(
            (w.estimate or 0) <= (b.estimate or 0) + 1e-12
            for w, b in zip(worse, better, strict=True)
        )


def test_unbiased_by_simulation() -> None:
    rng = np.random.default_rng(0)
    c = rng.binomial(6, 0.3, 40_000)
    rate = pass_at_k(np.full(40_000, 6), c, k=3)
    assert rate.estimate == pytest.approx(1 - 0.7**3, abs=0.005)


@pytest.mark.parametrize(
    ("n", "c"), [([2], [3]), ([2], [-1]), ([2.5], [1]), ([2, 2], [1]), ([float("nan")], [0])]
)
def test_impossible_counts(n: list[float], c: list[float]) -> None:
    with pytest.raises(BadInput):
        pass_at_k(n, c, k=1)


def test_k_below_one() -> None:
    with pytest.raises(BadInput, match="k"):
        pass_at_k([1], [1], k=0)


def test_the_published_tau_bench_table(tau_file: Path) -> None:
    records = json.loads(tau_file.read_bytes())
    wins = Counter(record["task_id"] for record in records if record["reward"] == 1)
    names = sorted({record["task_id"] for record in records})
    curve = pass_curve([4] * 50, [wins[name] for name in names], metric="pass^k")
    assert [round(rate.estimate or 0, 3) for rate in curve] == [0.420, 0.273, 0.220, 0.200]
    assert curve[0].estimate == 0.42
