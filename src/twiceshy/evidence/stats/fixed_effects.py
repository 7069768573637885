"""The effect of many binary patterns on P(failure) inside tasks, adjusted for policy.

Three ideas:

1. A linear probability model with a level per task and per policy. By Frisch, Waugh and Lovell the
   coefficient of a pattern is that of its residual after both sets of levels are taken out.
2. The residual depends on the pattern and the design, not on the labels. `WithinDesign` computes it
   once; fitting a (re-)labelling is then one product and one sum per task.
3. Only tasks with both outcomes enter. The others have nothing to say about the pattern and would
   pull the policy levels towards zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.stratified import mixed_rows

_RANK_TOLERANCE = 1e-9


class WithinEffects(NamedTuple):
    """One entry per pattern, all arrays of shape (n_patterns,); NaN is undefined."""

    effect: NDArray[np.float64]
    """Risk difference in P(failure), with minus without the pattern."""
    standard_error: NDArray[np.float64]
    """Task-clustered (CR1); robust to anything that happens inside a task."""
    plain_error: NDArray[np.float64]
    """As if errors were independent with one variance. Never zero by luck of a tiny sample; for
    shrinkage, not for tests."""
    p_value: NDArray[np.float64]
    """Two-sided, t with `n_effective` - 1 degrees of freedom; NaN below two informative tasks."""
    n_informative: NDArray[np.int64]
    """Tasks with both outcomes in which the pattern varies."""
    n_effective: NDArray[np.float64]
    """How many equally weighty tasks the estimate rests on, at most `n_informative`. Far below it
    when the pattern is nearly a mark of one policy: what is left of it then lies in a few tasks."""
    n_attempts: int
    """Attempts in mixed tasks, which are the ones used."""

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the task-clustered interval; undefined where the error is zero."""
        from scipy.special import stdtrit

        freedom = np.maximum(self.n_effective - 1.0, 1.0)
        reach = stdtrit(freedom, 0.5 + confidence / 2.0) * self.standard_error
        reach = np.where((self.n_informative >= 2) & (self.standard_error > 0), reach, np.nan)
        return Interval(self.effect - reach, self.effect + reach)


class Interval(NamedTuple):
    """Lower and upper ends, each of shape (n_patterns,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


class TaskSums(NamedTuple):
    """What each task adds to the estimate; arrays of shape (n_mixed_tasks, n_patterns)."""

    cross: NDArray[np.float64]
    """Sum of residual pattern times residual label."""
    square: NDArray[np.float64]
    """Sum of squared residual pattern."""
    varies: NDArray[np.bool_]
    """Whether the pattern varies in the task."""
    task: NDArray[np.int64]
    """Shape (n_mixed_tasks,): the task codes."""


def within_effects(
    present: NDArray[np.bool_],
    *,
    failed: NDArray[np.bool_],
    task: NDArray[np.int64],
    policy: NDArray[np.int64],
) -> WithinEffects:
    """Estimate every pattern's effect on failure with task and policy fixed effects.

    failed_i = a[task_i] + b[policy_i] + effect * present_i + error_i over tasks with both outcomes;
    effect = sum(x y) / sum(x^2) with x, y the residuals after both sets of levels.

    Source: Frisch & Waugh 1933, Lovell 1963 (residual regression); Liang & Zeger 1986 (clustered
    variance); t with few clusters: Cameron & Miller 2015, section VI; tasks that weigh unequally
    counted as fewer: Kish's effective number, (sum of w)^2 / sum of w^2, w the task's share of
    sum(x^2), in the spirit of Carter, Schnepel & Steigerwald 2017. *Differs:* degrees of freedom
    are that number, at most the *informative* tasks, minus one, because a pattern that varies in
    one task has a tiny clustered error whatever the number of tasks; and p is never below
    2^(1 - informative tasks), the smallest value that turning the sign of whole tasks can give.

    *Falls short:* levels add up in probability. Where policies differ so much that one nearly
    always passes what another nearly always fails, and styles change with difficulty as well, what
    does not add up is laid at the door of patterns and the error rate exceeds its level.

    Args:
        present: bool, shape (n_attempts, n_patterns).
        failed: bool, shape (n_attempts,).
        task: int64 >= 0, shape (n_attempts,).
        policy: int64 >= 0, shape (n_attempts,).

    Raises:
        BadInput: When the shapes do not agree.

    Example:
        >>> present = np.array([[True], [False], [True], [False], [True], [False]])
        >>> failed = np.array([True, False, True, False, False, True])
        >>> task, policy = np.array([0, 0, 1, 1, 2, 2]), np.zeros(6, dtype=np.int64)
        >>> found = within_effects(present, failed=failed, task=task, policy=policy)
        >>> found.effect.round(3).tolist(), found.n_informative.tolist()
        ([0.333], [3])
    """
    return WithinDesign(present, failed=failed, task=task, policy=policy).fit(failed)


class PooledEffects(NamedTuple):
    """One entry per pattern, all arrays of shape (n_patterns,); NaN is undefined."""

    effect: NDArray[np.float64]
    """P(failure) with minus without the pattern, over all attempts."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    """95 % task-clustered interval, t with tasks - 1 degrees of freedom."""
    p_value: NDArray[np.float64]
    """Two-sided, from the same t."""


def pooled_effects(
    present: NDArray[np.bool_], *, failed: NDArray[np.bool_], task: NDArray[np.int64]
) -> PooledEffects:
    """Compare attempts with and without each pattern over all tasks; difficulty is *not* removed.

    Args:
        present: bool, shape (n_attempts, n_patterns).
        failed: bool, shape (n_attempts,).
        task: int64 >= 0, shape (n_attempts,). Only clusters the errors.
    """
    from scipy.special import stdtr, stdtrit

    n_tasks = np.unique(task).size
    if n_tasks == 0:
        nothing = np.full(present.shape[1], np.nan)
        return PooledEffects(nothing, nothing, nothing, nothing)
    centred = present - present.mean(axis=0)
    label = failed - failed.mean()
    square = (centred**2).sum(axis=0)
    square = np.where(square > _RANK_TOLERANCE, square, np.nan)
    effect = label @ centred / square
    scores = np.zeros((int(task.max()) + 1, present.shape[1]))
    np.add.at(scores, task, centred * (label[:, None] - effect * centred))
    correction = n_tasks / (n_tasks - 1) if n_tasks > 1 else np.nan
    error = np.sqrt(correction * (scores**2).sum(axis=0)) / square
    freedom = max(n_tasks - 1, 1)
    reach = float(stdtrit(freedom, 0.975)) * error
    ratio = np.divide(np.abs(effect), error, out=np.full(effect.size, np.nan), where=error > 0)
    return PooledEffects(effect, effect - reach, effect + reach, 2.0 * stdtr(freedom, -ratio))


class WithinDesign:
    """Patterns with task and policy levels taken out, ready to be fitted to many labellings.

    Args:
        present: bool, shape (n_attempts, n_patterns).
        failed: bool, shape (n_attempts,). Says which tasks have both outcomes.
        task: int64 >= 0, shape (n_attempts,).
        policy: int64 >= 0, shape (n_attempts,).

    Raises:
        BadInput: When the shapes do not agree.
    """

    def __init__(
        self,
        present: NDArray[np.bool_],
        *,
        failed: NDArray[np.bool_],
        task: NDArray[np.int64],
        policy: NDArray[np.int64],
    ) -> None:
        shapes = {failed.shape, task.shape, policy.shape}
        if present.ndim != 2 or shapes != {present.shape[:1]}:
            raise BadInput(
                "present (n, m) with failed, task and policy (n,)",
                got=f"{present.shape}, {failed.shape}, {task.shape}, {policy.shape}",
            )
        self.rows = mixed_rows(failed, task)
        codes = task[self.rows]
        self._starts = np.flatnonzero(np.diff(codes, prepend=-1))
        self.tasks = codes[self._starts]
        self._size = np.diff(np.append(self._starts, codes.size)).astype(np.float64)
        inside = present[self.rows].astype(np.float64)
        count = self._by_task(inside)
        self._varies = (count > 0) & (count < self._size[:, None])
        self.n_informative = self._varies.sum(axis=0)
        self._levels = self._policy_levels(policy[self.rows])
        self._residual = self._take_out(inside)
        self._square = self._by_task(self._residual**2)
        self._total_square = self._square.sum(axis=0)
        demeaned = self._total_square > _RANK_TOLERANCE * max(1.0, float(codes.size))
        self._estimable = demeaned & (self.n_informative > 0)
        self.n_effective = self._effective_tasks()

    def fit(self, failed: NDArray[np.bool_]) -> WithinEffects:
        """Fit one labelling, shape (n_attempts,), with the same mixed tasks as the first."""
        from scipy.special import stdtr

        label = self._take_out(failed[self.rows].astype(np.float64)[:, None])[:, 0]
        cross = self._cross(label)
        square = np.where(self._estimable, self._total_square, np.nan)
        effect = cross.sum(axis=0) / square
        score = cross - effect * self._square
        n_tasks = self.tasks.size
        correction = n_tasks / (n_tasks - 1) if n_tasks > 1 else np.nan
        error = np.sqrt(correction * (score**2).sum(axis=0)) / square
        enough = self.n_informative >= 2
        error = np.where(enough, error, np.nan)
        freedom = np.maximum(self.n_effective - 1.0, 1.0)
        ratio = np.divide(np.abs(effect), error, out=np.full(effect.size, np.inf), where=error > 0)
        p_value = np.maximum(2.0 * stdtr(freedom, -ratio), 2.0 ** (1.0 - self.n_informative))
        p_value = np.where(effect == 0.0, 1.0, p_value)
        p_value = np.where(np.isnan(error) | np.isnan(effect), np.nan, p_value)
        return WithinEffects(
            effect,
            error,
            self._plain_error(label, effect),
            p_value,
            self.n_informative,
            self.n_effective,
            label.size,
        )

    def task_sums(self, failed: NDArray[np.bool_]) -> TaskSums:
        """What each mixed task adds to numerator and denominator of the effects."""
        label = self._take_out(failed[self.rows].astype(np.float64)[:, None])[:, 0]
        return TaskSums(self._cross(label), self._square, self._varies, self.tasks)

    def _effective_tasks(self) -> NDArray[np.float64]:
        """(sum of w)^2 / sum of w^2 over tasks, w the sum of squared residuals; 0 if undefined."""
        spread = (self._square**2).sum(axis=0)
        usable = self._estimable & (spread > 0)
        found = np.zeros(spread.size)
        np.divide(self._total_square**2, spread, out=found, where=usable)
        return np.minimum(found, self.n_informative)

    def _cross(self, label: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of residual pattern times label in each task, shape (n_tasks, n_patterns)."""
        from scipy.sparse import csr_array

        ends = np.append(self._starts, label.size)
        shape = (self.tasks.size, label.size)
        return csr_array((label, np.arange(label.size), ends), shape=shape) @ self._residual

    def _plain_error(
        self, label: NDArray[np.float64], effect: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """sqrt(RSS / degrees of freedom / sum(x^2)), RSS = sum(y^2) - effect^2 sum(x^2)."""
        square = np.where(self._estimable, self._total_square, np.nan)
        freedom = label.size - self.tasks.size - self._levels.shape[1] - 1
        if freedom < 1:
            return np.full(effect.size, np.nan)
        rest = np.maximum((label**2).sum() - effect**2 * square, 0.0)
        return np.sqrt(rest / freedom / square)

    def _policy_levels(self, policy: NDArray[np.int64]) -> NDArray[np.float64]:
        """Orthonormal basis of the policy dummies after task means, shape (n_rows, rank)."""
        codes = np.unique(policy)
        if codes.size < 2 or policy.size == 0:
            return np.zeros((policy.size, 0))
        dummies = self._demean((policy[:, None] == codes[None, 1:]).astype(np.float64))
        basis, size, _ = np.linalg.svd(dummies, full_matrices=False)
        return basis[:, size > _RANK_TOLERANCE * max(float(size.max()), 1.0)]

    def _take_out(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        values = self._demean(values)
        return values - self._levels @ (self._levels.T @ values)

    def _demean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        mean = self._by_task(values) / self._size[:, None]
        return values - np.repeat(mean, self._size.astype(np.int64), axis=0)

    def _by_task(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if values.shape[0] == 0:
            return np.zeros((0, values.shape[1]))
        return np.add.reduceat(values, self._starts, axis=0)
