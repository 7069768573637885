"""How well scores rank failures above successes: within the task first, overall beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats.ranking import (
    Auc,
    SiblingPairs,
    TaskPairs,
    adjusted_over_pairs,
    auc_over_pairs,
    concordance,
    contrast_pairs,
    percentile_interval,
    policy_contrast,
    sibling_pairs,
    task_draws,
    weighted_auc,
)
from twiceshy.evidence.tables import EventTable

_OVERALL_DRAWS = 200
"""Bootstrap draws for the overall AUC, which is shown beside and decides nothing."""


class Validity(NamedTuple):
    """How a score ranks held-out attempts."""

    within: Auc
    """Failure-success pairs of the same task. The one to read."""
    adjusted: Auc | None
    """The same with each policy's level removed; None with a single policy."""
    overall: Auc
    """All pairs in the same test fold. Rewards knowing which tasks are hard."""


class Point(NamedTuple):
    """The two that count, without intervals; None when there is no pair."""

    within: float | None
    adjusted: float | None


class Ruler:
    """Measures scores of one table under any labels."""

    def __init__(self, table: EventTable, *, fold: NDArray[np.int64], seed: int) -> None:
        tested = np.asarray((fold >= 0).all(axis=0))
        self._siblings = _of_rows(sibling_pairs(table.task), tested)
        self._task, self._policy, self._fold, self._seed = table.task, table.policy, fold, seed
        self._several = np.unique(table.policy).size > 1

    def point(self, scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> Point:
        """Measure scores of shape (n_splits, n_attempts), averaged over splits."""
        pairs = contrast_pairs(self._siblings, labels)
        agreement = concordance(scores, pairs).mean(axis=0)
        within = float(agreement.mean()) if agreement.size else None
        return Point(within, self._adjusted(scores, pairs, n_draws=0).value)

    def validity(
        self, scores: NDArray[np.float64], labels: NDArray[np.bool_], *, n_draws: int
    ) -> Validity:
        """Measure with bootstrap intervals over tasks."""
        pairs = contrast_pairs(self._siblings, labels)
        agreement = concordance(scores, pairs).mean(axis=0)
        adjusted = self._adjusted(scores, pairs, n_draws=n_draws) if self._several else None
        return Validity(
            auc_over_pairs(agreement, pairs, n_draws=n_draws, seed=self._seed),
            adjusted,
            self._overall(scores, labels, n_draws=min(n_draws, _OVERALL_DRAWS)),
        )

    def _adjusted(self, scores: NDArray[np.float64], pairs: TaskPairs, *, n_draws: int) -> Auc:
        if not self._several:
            return Auc(None, None, None, 0, 0)
        gaps = scores[:, pairs.failure] - scores[:, pairs.success]
        contrast = policy_contrast(pairs, self._policy)
        return adjusted_over_pairs(gaps, pairs, contrast=contrast, n_draws=n_draws, seed=self._seed)

    def _overall(
        self, scores: NDArray[np.float64], labels: NDArray[np.bool_], *, n_draws: int
    ) -> Auc:
        n_tasks = int(self._task.max(initial=-1)) + 1
        once = np.ones((1, n_tasks))
        weights = np.concatenate((once, task_draws(n_tasks, n_draws=n_draws, seed=self._seed)))
        weights = weights[:, self._task]
        concordant, total, n_pairs = np.zeros(n_draws + 1), np.zeros(n_draws + 1), 0
        for split, fold in enumerate(self._fold):
            for left_out in range(int(fold.max(initial=-1)) + 1):
                rows = np.flatnonzero(fold == left_out)
                found = weighted_auc(
                    scores[split, rows], failed=labels[rows], weights=weights[:, rows]
                )
                concordant += found.concordant
                total += found.total
        if total[0] == 0:
            return Auc(None, None, None, 0, 0)
        n_pairs = round(float(total[0]) / self._fold.shape[0])
        area = np.divide(concordant, total, out=np.full(total.size, np.nan), where=total > 0)
        low, high = percentile_interval(area[1:])
        tested = np.unique(self._task[(self._fold >= 0).any(axis=0)])
        return Auc(float(area[0]), low, high, n_pairs, tested.size)


def _of_rows(pairs: SiblingPairs, tested: NDArray[np.bool_]) -> SiblingPairs:
    """Keep the pairs of tasks that are tested; a task's rows are all tested or all not."""
    kept = tested[pairs.first]
    return SiblingPairs(pairs.first[kept], pairs.second[kept], pairs.task[kept])
