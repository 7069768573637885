"""Split by task, mine on the training tasks, score the others; shuffle labels inside tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.tables import EventTable

_DECIMALS = 9
"""Scores are rounded so that equal sums in another order stay ties."""


class Miner(Protocol):
    """Learns one weight per event from some attempts."""

    def __call__(
        self, rows: NDArray[np.int64], failed: NDArray[np.bool_], /
    ) -> NDArray[np.float64]:
        """Return the weights, shape (n_events,); 0 leaves an event out, positive points to failure.

        Args:
            rows: The training rows of the table. Nothing else may be looked at.
            failed: bool, shape (n_attempts,) over all rows; only the training rows' are meant.
        """
        ...


class Run(NamedTuple):
    """One miner on all splits."""

    scores: NDArray[np.float64]
    """Shape (n_splits, n_attempts): each attempt scored by the weights of the other folds."""
    weights: NDArray[np.float64]
    """Shape (n_splits, n_folds, n_events)."""

    @property
    def n_selected(self) -> float:
        """Events with a weight, mean over training sets."""
        return float((self.weights != 0).sum(axis=2).mean())

    @property
    def share_empty(self) -> float:
        """Share of training sets in which no event got a weight."""
        return float((self.weights == 0).all(axis=2).mean())


def folds_by_task(
    task: NDArray[np.int64], *, n_folds: int, n_splits: int, seed: int
) -> NDArray[np.int64]:
    """Deal whole tasks into folds, afresh for every split; shape (n_splits, n_attempts).

    Example:
        >>> fold = folds_by_task(np.array([0, 0, 1, 1, 2]), n_folds=2, n_splits=1, seed=0)
        >>> bool(fold[0, 0] == fold[0, 1]), int(fold.max())
        (True, 1)
    """
    n_tasks = int(task.max(initial=-1)) + 1
    rng = np.random.default_rng([seed, 0])
    deals = [rng.permutation(n_tasks) % n_folds for _ in range(n_splits)]
    return np.stack(deals)[:, task].astype(np.int64)


def declared_folds(table: EventTable, test: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the one split a log declares, shape (1, n_attempts): 0 to test on, -1 only to mine.

    Raises:
        BadInput: When the shape is wrong or attempts at one task are on both sides.
    """
    if test.shape != table.task.shape:
        raise BadInput(f"one flag per attempt {table.task.shape}", got=str(test.shape))
    both = np.intersect1d(table.task[test], table.task[~test])
    if both.size:
        raise BadInput(
            "every task either mined from or tested on",
            got=f"task {table.task_names[both[0]]!r} in both splits",
            fix="Give all attempts at one task the same split.",
        )
    return np.where(test, 0, -1)[None, :].astype(np.int64)


def mine_and_score(
    table: EventTable,
    miners: Mapping[str, Miner],
    *,
    fold: NDArray[np.int64],
    labels: NDArray[np.bool_],
) -> dict[str, Run]:
    """Mine every training set under the given labels and score its held-out tasks."""
    n_splits, n_attempts = fold.shape
    n_folds, n_events = int(fold.max(initial=0)) + 1, table.present.shape[1]
    runs = {
        name: Run(np.zeros((n_splits, n_attempts)), np.zeros((n_splits, n_folds, n_events)))
        for name in miners
    }
    for split in range(n_splits):
        for left_out in range(n_folds):
            training = np.flatnonzero(fold[split] != left_out)
            test = np.flatnonzero(fold[split] == left_out)
            for name, miner in miners.items():
                weights = miner(training, labels)
                used = np.flatnonzero(weights)
                score = table.present[np.ix_(test, used)] @ weights[used]
                runs[name].scores[split, test] = np.round(score, _DECIMALS)
                runs[name].weights[split, left_out] = weights
    return runs


def shuffled_within_tasks(
    labels: NDArray[np.bool_], *, task: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Deal each task's labels to its attempts anew; the number of failures per task stays."""
    order = np.argsort(task, kind="stable")
    dealt = np.lexsort((rng.random(task.size), task))
    shuffled = np.empty_like(labels)
    shuffled[order] = labels[dealt]
    return shuffled
