"""Does a score rank failures above successes, over all tasks and inside tasks?

Three ideas:

1. Overall AUC compares failures with successes of *other* tasks, so it rewards knowing which tasks
   are hard. Within-task AUC compares only attempts at the same task. Read the second.
2. With several policies "written by the weak one" predicts failure too. The policy-adjusted AUC
   compares score *differences* inside a pair of policies, where each policy's level cancels.
3. Attempts at one task are not independent: intervals resample tasks, not attempts.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput


class Auc(NamedTuple):
    """An area under the ROC curve; None when there is nothing to compare."""

    value: float | None
    low: float | None
    """Lower end of the 95 % percentile bootstrap over tasks; None when it was not asked for."""
    high: float | None
    n_pairs: int
    """Failure-success pairs compared."""
    n_tasks: int
    """Tasks that contribute at least one pair."""


class TaskPairs(NamedTuple):
    """All failure-success pairs of the same task, arrays of shape (n_pairs,)."""

    failure: NDArray[np.int64]
    """Row of the failing attempt."""
    success: NDArray[np.int64]
    """Row of the passing attempt."""
    task: NDArray[np.int64]


class SiblingPairs(NamedTuple):
    """All unordered pairs of attempts at the same task, arrays of shape (n_pairs,)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    task: NDArray[np.int64]


def sibling_pairs(task: NDArray[np.int64]) -> SiblingPairs:
    """List every pair of attempts at the same task once; labels are not needed.

    Example:
        >>> sibling_pairs(np.array([0, 1, 0, 0])).first.tolist()
        [0, 0, 2]
    """
    order = np.argsort(task, kind="stable").astype(np.int64)
    bounds = np.flatnonzero(np.diff(task[order], prepend=-1, append=-1))
    first: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    second: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for start, stop in pairwise(bounds):
        left, right = np.triu_indices(int(stop - start), k=1)
        first.append(order[start + left])
        second.append(order[start + right])
    rows = np.concatenate(first)
    return SiblingPairs(rows, np.concatenate(second), task[rows])


def contrast_pairs(siblings: SiblingPairs, failed: NDArray[np.bool_]) -> TaskPairs:
    """Keep the pairs with one failure and one success, the failure first.

    Example:
        >>> siblings = sibling_pairs(np.array([0, 0, 0]))
        >>> pairs = contrast_pairs(siblings, np.array([False, True, False]))
        >>> pairs.failure.tolist(), pairs.success.tolist()
        ([1, 1], [0, 2])
    """
    first_failed = failed[siblings.first]
    differ = first_failed != failed[siblings.second]
    first, second = siblings.first[differ], siblings.second[differ]
    first_failed = first_failed[differ]
    return TaskPairs(
        np.where(first_failed, first, second),
        np.where(first_failed, second, first),
        siblings.task[differ],
    )


def concordance(scores: NDArray[np.float64], pairs: TaskPairs) -> NDArray[np.float64]:
    """1 where the failure scores higher, 0 where lower, 0.5 at a tie; shape (..., n_pairs).

    Args:
        scores: float64, shape (..., n_attempts).
        pairs: Which rows to compare.
    """
    gap = scores[..., pairs.failure] - scores[..., pairs.success]
    return 0.5 + 0.5 * np.sign(gap)


def overall_auc(scores: NDArray[np.float64], *, failed: NDArray[np.bool_]) -> float | None:
    """P(a failure scores above a success) + half P(tie), over all pairs; None without a pair.

    Args:
        scores: float64, shape (n_attempts,).
        failed: bool, shape (n_attempts,).

    Example:
        >>> overall_auc(np.array([2.0, 1.0, 1.0]), failed=np.array([True, True, False]))
        0.75
    """
    found = weighted_auc(scores, failed=failed, weights=np.ones((1, scores.size)))
    return float(found.concordant[0] / found.total[0]) if found.total[0] > 0 else None


class WeightedPairs(NamedTuple):
    """Weight of failure-success pairs under each draw, arrays of shape (n_draws,)."""

    concordant: NDArray[np.float64]
    """Weight of the pairs in which the failure scores higher, ties half."""
    total: NDArray[np.float64]
    """Weight of all pairs; the AUC is `concordant / total` where it is positive."""


def weighted_auc(
    scores: NDArray[np.float64], *, failed: NDArray[np.bool_], weights: NDArray[np.float64]
) -> WeightedPairs:
    """Compare all failures with all successes; a pair weighs the product of its two attempts.

    Args:
        scores: float64, shape (n_attempts,).
        failed: bool, shape (n_attempts,).
        weights: float64 >= 0, shape (n_draws, n_attempts).
    """
    passed = np.sort(scores[~failed])
    order = np.argsort(scores[~failed], kind="stable")
    below = np.searchsorted(passed, scores[failed], side="left")
    not_above = np.searchsorted(passed, scores[failed], side="right")
    passed_weight = weights[:, ~failed][:, order]
    running = np.concatenate(
        (np.zeros((weights.shape[0], 1)), np.cumsum(passed_weight, axis=1)), axis=1
    )
    beaten = 0.5 * (running[:, below] + running[:, not_above])
    failed_weight = weights[:, failed]
    return WeightedPairs(
        (failed_weight * beaten).sum(axis=1), failed_weight.sum(axis=1) * running[:, -1]
    )


def within_task_auc(
    scores: NDArray[np.float64],
    *,
    failed: NDArray[np.bool_],
    task: NDArray[np.int64],
    n_draws: int = 0,
    seed: int = 0,
) -> Auc:
    """P(a failure scores above a success *of the same task*) + half P(tie).

    Every failure-success pair weighs the same, so tasks with an even split weigh most.

    Args:
        scores: float64, shape (n_attempts,).
        failed: bool, shape (n_attempts,).
        task: int64 >= 0, shape (n_attempts,).
        n_draws: Bootstrap draws over tasks for the interval; 0 for none.
        seed: Seed of the bootstrap.

    Example:
        >>> scores = np.array([1.0, 0.0, 5.0, 9.0])
        >>> failed = np.array([True, False, True, False])
        >>> within_task_auc(scores, failed=failed, task=np.array([0, 0, 1, 1])).value
        0.5
    """
    pairs = contrast_pairs(sibling_pairs(task), failed)
    return auc_over_pairs(concordance(scores, pairs), pairs, n_draws=n_draws, seed=seed)


def auc_over_pairs(
    agreement: NDArray[np.float64], pairs: TaskPairs, *, n_draws: int = 0, seed: int = 0
) -> Auc:
    """Average agreement over pairs, with a percentile bootstrap over tasks.

    Args:
        agreement: float64 in [0, 1], shape (n_pairs,).
        pairs: The pairs it belongs to.
        n_draws: Bootstrap draws; 0 for no interval.
        seed: Seed of the bootstrap.
    """
    if agreement.size == 0:
        return Auc(None, None, None, 0, 0)
    _, code = np.unique(pairs.task, return_inverse=True)
    n_tasks = int(code.max()) + 1
    total = np.bincount(code, weights=agreement).astype(np.float64)
    count = np.bincount(code).astype(np.float64)
    low, high = _ratio_interval(total, count, n_draws=n_draws, seed=seed)
    return Auc(float(total.sum() / count.sum()), low, high, agreement.size, n_tasks)


def task_draws(n_tasks: int, *, n_draws: int, seed: int) -> NDArray[np.float64]:
    """How often each task is drawn, shape (n_draws, n_tasks): bootstrap weights over tasks."""
    if n_tasks == 0:
        return np.zeros((n_draws, 0))
    rng = np.random.default_rng([seed, n_tasks])
    even = np.full(n_tasks, 1.0 / n_tasks)
    return rng.multinomial(n_tasks, even, size=n_draws).astype(np.float64)


def percentile_interval(values: NDArray[np.float64]) -> tuple[float, float] | tuple[None, None]:
    """Return the 2.5 % and 97.5 % points of the finite values, or (None, None) without any."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return None, None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def _ratio_interval(
    total: NDArray[np.float64], count: NDArray[np.float64], *, n_draws: int, seed: int
) -> tuple[float, float] | tuple[None, None]:
    if n_draws == 0 or total.size < 2:
        return None, None
    weights = task_draws(total.size, n_draws=n_draws, seed=seed)
    return percentile_interval((weights @ total) / (weights @ count))


class PolicyContrast(NamedTuple):
    """Pairs of the same task sorted by which two policies made them."""

    gap_sign: NDArray[np.float64]
    """+1 where the failure belongs to the first policy of the pair, -1 where to the second."""
    block: NDArray[np.int64]
    """Code of the unordered policy pair."""
    same: NDArray[np.bool_]
    """Whether both attempts are by one policy."""


def policy_contrast(pairs: TaskPairs, policy: NDArray[np.int64]) -> PolicyContrast:
    """Sort same-task pairs into blocks by their two policies."""
    of_failure, of_success = policy[pairs.failure], policy[pairs.success]
    low, high = np.minimum(of_failure, of_success), np.maximum(of_failure, of_success)
    _, block = np.unique(low * (int(policy.max(initial=0)) + 1) + high, return_inverse=True)
    return PolicyContrast(
        np.where(of_failure == low, 1.0, -1.0), block.astype(np.int64), low == high
    )


def policy_adjusted_auc(
    scores: NDArray[np.float64],
    *,
    failed: NDArray[np.bool_],
    task: NDArray[np.int64],
    policy: NDArray[np.int64],
    n_draws: int = 0,
    seed: int = 0,
) -> Auc:
    """Within-task AUC with each policy's own score level removed.

    For two policies a and b take the tasks where exactly one failed and d = score(a) - score(b).
    The block's AUC is P(d where a failed > d where b failed) + half P(tie); a constant added to one
    policy's scores does not change it. Pairs by one policy count as in `within_task_auc`. Blocks
    are averaged with their number of pairs as weight; a block in which only one of the two ever
    fails cannot be adjusted and is left out.

    Args:
        scores: float64, shape (n_attempts,).
        failed: bool, shape (n_attempts,).
        task: int64 >= 0, shape (n_attempts,).
        policy: int64 >= 0, shape (n_attempts,).
        n_draws: Bootstrap draws over tasks; 0 for no interval.
        seed: Seed of the bootstrap.

    Example:
        >>> scores = np.array([9.0, 0.0, 8.0, 1.0])
        >>> failed = np.array([True, False, False, True])
        >>> task, policy = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        >>> policy_adjusted_auc(scores, failed=failed, task=task, policy=policy).value
        1.0
    """
    pairs = contrast_pairs(sibling_pairs(task), failed)
    gap = scores[pairs.failure] - scores[pairs.success]
    return adjusted_over_pairs(
        gap[None], pairs, contrast=policy_contrast(pairs, policy), n_draws=n_draws, seed=seed
    )


def adjusted_over_pairs(
    gaps: NDArray[np.float64],
    pairs: TaskPairs,
    *,
    contrast: PolicyContrast,
    n_draws: int = 0,
    seed: int = 0,
) -> Auc:
    """Policy-adjusted AUC, averaged over several scorings of the same attempts.

    Args:
        gaps: Score of the failure minus score of the success, shape (n_scorings, n_pairs).
        pairs: The pairs they belong to.
        contrast: The same pairs sorted by policies.
        n_draws: Bootstrap draws over tasks; 0 for no interval.
        seed: Seed of the bootstrap.

    Raises:
        BadInput: When gaps and pairs do not match.
    """
    if gaps.ndim != 2 or gaps.shape[1:] != pairs.task.shape:
        raise BadInput("one gap per pair", got=f"{gaps.shape} for {pairs.task.shape}")
    if gaps.size == 0:
        return Auc(None, None, None, 0, 0)
    tasks, code = np.unique(pairs.task, return_inverse=True)
    centre = float(_adjusted(gaps, contrast, weights=np.ones((1, pairs.task.size)))[0])
    low, high = None, None
    if n_draws and tasks.size > 1:
        draws = task_draws(tasks.size, n_draws=n_draws, seed=seed)
        low, high = percentile_interval(_adjusted(gaps, contrast, weights=draws[:, code]))
    value = None if np.isnan(centre) else centre
    return Auc(value, low, high, pairs.task.size, tasks.size)


def _adjusted(
    gaps: NDArray[np.float64], contrast: PolicyContrast, *, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Adjusted AUC under each row of pair weights, shape (n_draws,); NaN without a usable block."""
    total = np.zeros(weights.shape[0])
    weight = np.zeros(weights.shape[0])
    for block in range(int(contrast.block.max(initial=-1)) + 1):
        inside = contrast.block == block
        mass = weights[:, inside]
        size = mass.sum(axis=1)
        area = _block_areas(gaps[:, inside], contrast, inside=inside, mass=mass)
        usable = np.isfinite(area)
        total[usable] += (area * size)[usable]
        weight[usable] += size[usable]
    return np.divide(total, weight, out=np.full(total.size, np.nan), where=weight > 0)


def _block_areas(
    gaps: NDArray[np.float64],
    contrast: PolicyContrast,
    *,
    inside: NDArray[np.bool_],
    mass: NDArray[np.float64],
) -> NDArray[np.float64]:
    """AUC inside one policy pair, mean over scorings, shape (n_draws,)."""
    size = mass.sum(axis=1)
    if contrast.same[inside][0]:
        agreed = mass @ (0.5 + 0.5 * np.sign(gaps)).mean(axis=0)
        return np.divide(agreed, size, out=np.full(size.size, np.nan), where=size > 0)
    sign = contrast.gap_sign[inside]
    areas = np.zeros(size.size)
    for gap in gaps:
        found = weighted_auc(gap * sign, failed=sign > 0, weights=mass)
        undefined = np.full(size.size, np.nan)
        areas += np.divide(found.concordant, found.total, out=undefined, where=found.total > 0)
    return areas / gaps.shape[0]
