"""pass@k and pass^k, without bias, over tasks with unequal numbers of attempts.

pass@k asks whether *one* of k attempts would succeed, pass^k whether *all* k would. Both are means
over tasks of an unbiased estimate from all n attempts at the task. A task with fewer than k
attempts says nothing about k and is left out; the result tells how many were.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.intervals import bounded_mean, cluster_codes

PassMetric = Literal["pass@k", "pass^k"]


class PassRate(NamedTuple):
    """One metric at one k."""

    k: int
    estimate: float | None
    """None: no task has k attempts."""
    low: float | None
    high: float | None
    n_tasks: int
    """Tasks in the estimate; tasks, not attempts, are what the interval is clustered by."""
    n_tasks_left_out: int
    """Tasks with fewer than k attempts."""


def pass_at_k(n: ArrayLike, c: ArrayLike, *, k: int, level: float = 0.95) -> PassRate:
    """Return the chance that at least one of k attempts succeeds, averaged over tasks.

    pass@k = mean over tasks of 1 − C(n − c, k) / C(n, k)

    Source: Chen et al. (2021), equation 1. Differs: computed as a running product, which keeps
    full precision for n = 10⁴; tasks with n < k are left out and counted; an interval is added.

    Args:
        n: Scored attempts a task, shape (n_tasks,).
        c: Successes among them, shape (n_tasks,).
        k: Number of attempts allowed, at least 1.
        level: Confidence of the interval.

    Raises:
        BadInput: If counts are negative, not whole, c > n, or k < 1.

    Example:
        >>> pass_at_k([4, 4, 1], [2, 0, 1], k=2)[:2]
        (2, 0.4166666666666667)
    """
    return _at(n, c, metric="pass@k", k=k, level=level)


def pass_hat_k(n: ArrayLike, c: ArrayLike, *, k: int, level: float = 0.95) -> PassRate:
    """Return the chance that all k attempts succeed, averaged over tasks.

    pass^k = mean over tasks of C(c, k) / C(n, k)

    Source: Yao et al. (2024), τ-bench, section 3. Differs: as for `pass_at_k`.

    Example:
        >>> pass_hat_k([4, 4, 1], [2, 4, 1], k=2)[:2]
        (2, 0.5833333333333334)
    """
    return _at(n, c, metric="pass^k", k=k, level=level)


def pass_curve(
    n: ArrayLike,
    c: ArrayLike,
    *,
    metric: PassMetric,
    max_k: int | None = None,
    tasks: ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[PassRate, ...]:
    """Return the metric for k = 1, 2, … up to `max_k` (default: the largest n).

    The intervals are those of `bounded_mean`, clustered by task.

    Args:
        n: Scored attempts a row, shape (n_rows,).
        c: Successes among them, shape (n_rows,).
        metric: "pass@k" or "pass^k".
        max_k: Last k.
        tasks: Task of each row, shape (n_rows,), where several rows (policies) share tasks and
            the interval must be clustered. None: each row is a task.
        level: Confidence of the intervals.

    Example:
        >>> [rate.estimate for rate in pass_curve([2, 2], [1, 2], metric="pass^k")]
        [0.75, 0.5]
    """
    counts = _counts(n, c)
    last = int(counts[:, 0].max(initial=0)) if max_k is None else max_k
    task_of = cluster_codes(tasks, len(counts))
    n_all = int(task_of.max(initial=-1)) + 1
    pairs, row = np.unique(counts, axis=0, return_inverse=True)
    row = row.reshape(-1)
    rates: list[PassRate] = []
    for k, per_pair in enumerate(_task_values(pairs, metric=metric, max_k=last), start=1):
        enough = counts[:, 0] >= k
        spread = bounded_mean(per_pair[row[enough]], task_of[enough], level=level)
        rates.append(PassRate(k, *spread[:3], spread.n, n_all - spread.n))
    return tuple(rates)


def pass_at_k_by_task(n: ArrayLike, c: ArrayLike, *, k: int) -> NDArray[np.float64]:
    """Return each task's unbiased pass@k, NaN where it has fewer than k attempts, shape (n_tasks,).

    For paired comparisons; `pass_at_k` is the mean.

    Args:
        n: Scored attempts a task, shape (n_tasks,).
        c: Successes among them, shape (n_tasks,).
        k: Number of attempts allowed, at least 1.

    Example:
        >>> pass_at_k_by_task([4, 4, 1], [2, 0, 1], k=2).round(3).tolist()
        [0.833, 0.0, nan]
    """
    if k < 1:
        raise BadInput("k of at least 1", got=str(k), where="k")
    counts = _counts(n, c)
    values = _task_values(counts, metric="pass@k", max_k=k)[-1]
    return np.where(counts[:, 0] >= k, values, np.nan)


def _at(n: ArrayLike, c: ArrayLike, *, metric: PassMetric, k: int, level: float) -> PassRate:
    if k < 1:
        raise BadInput("k of at least 1", got=str(k), where="k")
    return pass_curve(n, c, metric=metric, max_k=k, level=level)[-1]


def _counts(n: ArrayLike, c: ArrayLike) -> NDArray[np.int64]:
    """Return attempts and successes as whole numbers, shape (n_rows, 2)."""
    raw_n, raw_c = np.asarray(n, dtype=float), np.asarray(c, dtype=float)
    if raw_n.ndim != 1 or raw_n.shape != raw_c.shape:
        raise BadInput("two flat lists of one length", got=f"{raw_n.shape}, {raw_c.shape}")
    whole = (raw_n == np.floor(raw_n)).all() and (raw_c == np.floor(raw_c)).all()
    if not whole or (raw_c < 0).any() or (raw_c > raw_n).any():
        raise BadInput("whole numbers with 0 <= c <= n for every task", where="n, c")
    return np.stack([raw_n, raw_c], axis=1).astype(np.int64)


def _task_values(
    pairs: NDArray[np.int64], *, metric: PassMetric, max_k: int
) -> list[NDArray[np.float64]]:
    """Return for each k the value of each (n, c) pair; meaningless where n < k.

    C(s, k) / C(n, k) = Π_{i<k} (s − i) / (n − i): each k costs one product more.
    """
    n = pairs[:, 0]
    streak = pairs[:, 1] if metric == "pass^k" else n - pairs[:, 1]
    product = np.ones(len(pairs))
    values: list[NDArray[np.float64]] = []
    for i in range(max_k):
        product = product * np.maximum(streak - i, 0) / np.maximum(n - i, 1)
        values.append(product if metric == "pass^k" else 1.0 - product)
    return values
