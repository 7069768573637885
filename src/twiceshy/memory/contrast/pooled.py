"""The naive miner, kept to be shown beside the real one: all attempts in one pot.

It tests every event against failure with a chi-square over all attempts. What it finds is mostly
which *tasks* are hard; `mine_pooled` counts in how many ways each discovery is a trap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats.fdr import q_values
from twiceshy.evidence.tables import EventTable
from twiceshy.memory.contrast.mining import Mined, Pattern

FEW_TASKS = 3
"""A pattern that varies in fewer mixed tasks has no contrast to speak of."""


@dataclass(frozen=True, slots=True)
class PooledMining:
    """What pooling all attempts would claim, and what is wrong with it."""

    n_tested: int
    discoveries: tuple[Pattern, ...]
    """Patterns with q <= alpha, by the size of their pooled effect."""
    opposite: tuple[Pattern, ...]
    """Discoveries whose effect inside tasks has the opposite sign."""
    reversed: tuple[Pattern, ...]
    """Patterns (discovered or not) whose two intervals lie on opposite sides of zero."""
    n_few_tasks: int
    """Discoveries that vary in fewer than three mixed tasks."""
    n_within: int
    """Discoveries with p <= 0.05 inside tasks, not even adjusted for the search."""


def mine_pooled(table: EventTable, mined: Mined) -> PooledMining:
    """Search all attempts at once, as if every task were equally hard.

    Args:
        table: Events of scored attempts.
        mined: The within-task search of the same table, to compare with.
    """
    p_value = pooled_p_values(table.present, table.failed)
    q_value = np.nan_to_num(q_values(p_value), nan=1.0)
    discoveries = sorted(
        (mined.patterns[column] for column in np.flatnonzero(q_value <= mined.alpha)),
        key=lambda each: -abs(each.pooled.estimate or 0.0),
    )
    return PooledMining(
        n_tested=int(np.isfinite(p_value).sum()),
        discoveries=tuple(discoveries),
        opposite=tuple(each for each in discoveries if each.signs_differ),
        reversed=tuple(each for each in mined.patterns if each.clearly_reversed),
        n_few_tasks=sum(each.n_informative < FEW_TASKS for each in discoveries),
        n_within=sum(_holds_unadjusted(each) for each in discoveries),
    )


def pooled_p_values(
    present: NDArray[np.bool_] | NDArray[np.float32], failed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Pearson's chi-square of each pattern against failure, shape (n_patterns,); NaN if constant.

    Args:
        present: bool or 0 and 1, shape (n_attempts, n_patterns).
        failed: bool, shape (n_attempts,).

    Example:
        >>> present = np.array([[True], [True], [False], [False]])
        >>> pooled_p_values(present, np.array([True, True, False, False])).round(4).tolist()
        [0.0455]
    """
    from scipy.special import chdtrc

    n = failed.size
    as_numbers = present.astype(np.float32, copy=False)
    shown, bad = as_numbers.sum(axis=0).astype(np.float64), float(failed.sum())
    both = (failed.astype(np.float32) @ as_numbers).astype(np.float64)
    scale = shown * (n - shown) * bad * (n - bad)
    gap = both * n - shown * bad
    statistic = np.divide(n * gap**2, scale, out=np.full(shown.size, np.nan), where=scale > 0)
    return np.asarray(chdtrc(1.0, statistic), dtype=np.float64)


def _holds_unadjusted(pattern: Pattern) -> bool:
    p_value = pattern.within.p_value
    return p_value is not None and p_value <= 0.05
