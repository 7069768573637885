"""What winners do and losers do not: patterns shown by nearly every win, before its last step.

Where an attempt got further it also did more, so most patterns that winners show are signs of
progress and not its cause. A habit must therefore be shown by nearly every win at the tasks where
it occurs. It describes winners; only a trial can say whether following it helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twiceshy.memory.contrast.conditions import Pattern, is_negated
from twiceshy.memory.contrast.conditions_evidence import (
    Candidate,
    SearchSettings,
    excess_test,
    greedy,
    pooled_q,
)
from twiceshy.memory.contrast.conditions_table import Block, Bools, Ints, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """A pattern that won attempts show more often than failed ones at the same task."""

    pattern: Pattern
    n_won: int
    n_failed: int
    n_tasks: int
    n_informative_tasks: int
    """Tasks (by policy, where there are several) with both outcomes in which the pattern varies."""
    log_odds_ratio: float
    """Of winning, between attempts at one task that show the pattern and those that do not."""
    p_value: float
    q_value: float


def find_habits(
    blocks: Sequence[Block],
    *,
    task: Ints,
    stratum: Ints,
    won: Bools,
    settings: SearchSettings,
    clustered: bool = True,
) -> list[Habit]:
    """Return at most one habit per verb, strongest evidence first.

    Args:
        blocks: Steps by verb, from `conditions_table.build_blocks`.
        task: int64, shape (n_attempts,).
        stratum: int64, shape (n_attempts,); see `conditions_evidence.stratum_codes`.
        won: bool, shape (n_attempts,).
        settings: `fdr` and `habit_coverage` are used.
        clustered: As for `conditions_evidence.excess_test`.
    """
    shows = [_shown(block, won=won) for block in blocks]
    tests = [
        excess_test(columns, failed=won, stratum=stratum, clustered=clustered) for columns in shows
    ]
    best: list[Candidate] = []
    for block, columns, test, q in zip(blocks, shows, tests, pooled_q(tests), strict=True):
        usual = _coverage(columns, task=task, won=won) >= settings.habit_coverage
        candidates = [
            Candidate(
                block,
                column=int(column),
                test=test,
                q_value=float(q[column]),
                covered=columns[:, column] & won,
                against=columns[:, column] & ~won,
            )
            for column in np.flatnonzero((q <= settings.fdr) & usual & _is_positive(block))
        ]
        best += greedy(candidates, lambda each, n_new: _gain(each, n_new, won=won))[:1]
    return sorted((_habit(each, task) for each in best), key=lambda habit: habit.q_value)


def _is_positive(block: Block) -> Bools:
    """Which patterns say what holds; a habit of what does *not* hold is hard to follow."""
    return np.array(
        [not any(is_negated(literal) for literal in p.literals) for p in block.patterns]
    )


def _gain(candidate: Candidate, n_new: int, *, won: Bools) -> float:
    """Share of wins newly covered, less share of failures that show it."""
    return n_new / max(int(won.sum()), 1) - int(candidate.against.sum()) / max(int((~won).sum()), 1)


def _coverage(columns: Bools, *, task: Ints, won: Bools) -> NDArray[np.float64]:
    """Share of wins that show each pattern, among wins at tasks where some win shows it."""
    n_shown = np.zeros((int(task.max(initial=-1)) + 1, columns.shape[1]))
    np.add.at(n_shown, task[won], columns[won])
    n_wins = np.bincount(task[won], minlength=n_shown.shape[0])
    eligible = ((n_shown > 0) * n_wins[:, None]).sum(axis=0)
    return n_shown.sum(axis=0) / np.maximum(eligible, 1)


def _shown(block: Block, *, won: Bools) -> Bools:
    """As `shown`, without the last action of each win: the winning move is no advice.

    The last action of a failure stays. It may be what lost the attempt, and then it is the very
    thing that speaks against doing so; left out, only those who survived a move would be counted.
    """
    counted = ~(block.is_last & won[block.attempt])
    if not counted.any():
        return np.zeros((len(won), len(block.patterns)), dtype=np.bool_)
    return shown(block.at(counted), len(won))


def _habit(candidate: Candidate, task: Ints) -> Habit:
    column, test = candidate.column, candidate.test
    return Habit(
        pattern=candidate.block.patterns[column],
        n_won=int(candidate.covered.sum()),
        n_failed=int(candidate.against.sum()),
        n_tasks=len(np.unique(task[candidate.covered | candidate.against])),
        n_informative_tasks=int(test.n_informative[column]),
        log_odds_ratio=float(test.log_odds_ratio[column]),
        p_value=float(test.p_value[column]),
        q_value=candidate.q_value,
    )
