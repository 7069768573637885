"""The ways of choosing lessons that a held-out proof compares.

`both` is what `mine` claims: patterns that pass Benjamini-Hochberg inside tasks, weighted by their
shrunk effect. `failure_only` and `success_only` keep the half that points to failure or away from
it. `ranking` takes every testable pattern, shrunk, with no threshold: what to try, not what to
claim. `pooled` is the naive miner, to be seen falling into its traps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.held_out import Miner
from twiceshy.evidence.stats.fdr import q_values
from twiceshy.evidence.tables import EventTable
from twiceshy.memory.contrast.mining import TrainingTests
from twiceshy.memory.contrast.pooled import pooled_p_values

Side = Literal["both", "failure", "success"]

NAIVE = frozenset({"pooled"})
"""Arms whose null is none: they feed on task difficulty, which shuffling within tasks keeps."""


@dataclass(frozen=True, slots=True)
class WithinMiner:
    """Weights from the within-task search."""

    tests: TrainingTests
    alpha: float | None
    """Keep patterns with q <= alpha; None keeps every testable one."""
    side: Side = "both"

    def __call__(
        self, rows: NDArray[np.int64], failed: NDArray[np.bool_], /
    ) -> NDArray[np.float64]:
        """Return shrunk effects of the selected patterns, 0 elsewhere."""
        fit = self.tests.fit(rows, failed)
        keep = np.isfinite(fit.p_value)
        if self.alpha is not None:
            keep &= np.nan_to_num(fit.q_value, nan=1.0) <= self.alpha
        if self.side != "both":
            keep &= (fit.shrunk > 0) == (self.side == "failure")
        return np.where(keep, fit.shrunk, 0.0)


@dataclass(frozen=True, slots=True)
class PooledMiner:
    """Weights from pooling all attempts, as if every task were equally hard."""

    present: NDArray[np.float32]
    """1 where the attempt shows the event, shape (n_attempts, n_events)."""
    alpha: float

    def __call__(
        self, rows: NDArray[np.int64], failed: NDArray[np.bool_], /
    ) -> NDArray[np.float64]:
        """Return pooled risk differences of the patterns with q <= alpha, 0 elsewhere."""
        present, labels = self.present[rows], failed[rows].astype(np.float32)
        q_value = q_values(pooled_p_values(present, failed[rows]))
        shown = present.sum(axis=0)
        both = labels @ present
        with_pattern = both / np.maximum(shown, 1)
        without = (labels.sum() - both) / np.maximum(labels.size - shown, 1)
        return np.where(np.nan_to_num(q_value, nan=1.0) <= self.alpha, with_pattern - without, 0.0)


def arms(
    table: EventTable, *, alpha: float = 0.05, min_informative: int | None = None
) -> dict[str, Miner]:
    """Return the miners by name, the one whose lessons are claimed first.

    Args:
        table: Events of scored attempts.
        alpha: False discovery rate of selection.
        min_informative: Informative tasks an event needs; None takes `mining.MIN_INFORMATIVE`.
    """
    tests = TrainingTests(table, min_informative=min_informative)
    return {
        "both": WithinMiner(tests, alpha),
        "failure_only": WithinMiner(tests, alpha, "failure"),
        "success_only": WithinMiner(tests, alpha, "success"),
        "ranking": WithinMiner(tests, None),
        "pooled": PooledMiner(table.present.astype(np.float32), alpha),
    }
