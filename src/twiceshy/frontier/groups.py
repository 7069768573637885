"""Groups as counts: who solved what how often, and what state that leaves each task in.

Counts live in columns (`Tallies`), so the same functions serve fifty tasks and a quarter million.
Only successes and failures make a state; broken and unscored attempts are counted beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.frontier.rates import IntArray

ObjectArray = NDArray[np.object_]


class GroupState(StrEnum):
    """What the scored attempts of one group look like together."""

    MIXED = "mixed"
    """At least one success and one failure: the only state that holds a contrast."""
    ALL_RIGHT = "all_right"
    """Two or more successes, no failure."""
    ALL_WRONG = "all_wrong"
    """Two or more failures, no success."""
    SINGLE = "single"
    """One scored attempt: too few to call it either."""
    BROKEN = "broken"
    """Nothing is left to score, because attempts broke."""
    UNSCORED = "unscored"
    """Nobody judged any attempt."""


STATES: tuple[GroupState, ...] = tuple(GroupState)
"""The order that `group_states` codes follow."""


@dataclass(frozen=True, slots=True)
class Tallies:
    """Outcome counts by group, one row a (task, policy), all columns of shape (n_groups,).

    Attributes:
        task: Task names (str).
        policy: Policy names (str).
        n_success: Successes.
        n_failure: Failures that are the policy's doing.
        n_broken: Attempts set aside because the world failed.
        n_unscored: Attempts nobody judged.
        n_recorded_success: Successes as the log's own scoring counts them.
        n_recorded_failure: Failures as the log's own scoring counts them, broken ones among them.
    """

    task: ObjectArray
    policy: ObjectArray
    n_success: IntArray
    n_failure: IntArray
    n_broken: IntArray
    n_unscored: IntArray
    n_recorded_success: IntArray
    n_recorded_failure: IntArray

    def __len__(self) -> int:
        return len(self.task)

    @property
    def n_scored(self) -> IntArray:
        """Attempts that may enter a rate, shape (n_groups,)."""
        return self.n_success + self.n_failure

    @property
    def states(self) -> IntArray:
        """Codes into `STATES` after broken attempts are set aside."""
        return group_states(self.n_success, self.n_failure, n_broken=self.n_broken)

    @property
    def states_as_recorded(self) -> IntArray:
        """Codes into `STATES` as the log's own scoring has it."""
        return group_states(self.n_recorded_success, self.n_recorded_failure)


def group_states(
    n_success: ArrayLike, n_failure: ArrayLike, *, n_broken: ArrayLike = 0
) -> IntArray:
    """Return each group's state as a code into `STATES`.

    The state depends on counts of raw verdicts alone, never on the spread of a reward: a shaped
    reward varies inside an all-wrong group and would pass such a gate (NeMo-RL #2431).

    Args:
        n_success: Successes, shape (n_groups,).
        n_failure: Failures, shape (n_groups,).
        n_broken: Attempts set aside, shape (n_groups,) or a scalar.

    Example:
        >>> [STATES[code].value for code in group_states([1, 4, 0, 0], [3, 0, 4, 1])]
        ['mixed', 'all_right', 'all_wrong', 'single']
    """
    right, wrong, broken = np.broadcast_arrays(
        np.asarray(n_success), np.asarray(n_failure), np.asarray(n_broken)
    )
    conditions = [
        (right > 0) & (wrong > 0),
        right + wrong == 1,
        right > 1,
        wrong > 1,
        broken > 0,
    ]
    states = [
        GroupState.MIXED,
        GroupState.SINGLE,
        GroupState.ALL_RIGHT,
        GroupState.ALL_WRONG,
        GroupState.BROKEN,
    ]
    codes = [STATES.index(state) for state in states]
    return np.select(conditions, codes, STATES.index(GroupState.UNSCORED)).astype(np.int64)


def count_states(codes: IntArray) -> dict[str, int]:
    """Return how many groups are in each state; every state has a key.

    Example:
        >>> count_states(group_states([1, 2], [1, 0]))["mixed"]
        1
    """
    counts = np.bincount(codes, minlength=len(STATES))
    return {state.value: int(count) for state, count in zip(STATES, counts, strict=True)}


def across_policies(tallies: Tallies) -> dict[str, int]:
    """Return how many tasks are in each state when all policies' attempts at them are pooled.

    Where each policy tried a task once, no group is mixed, yet tasks may be: a contrast between
    policies, which has to be adjusted for the policy.
    """
    code: dict[str, int] = {}
    tasks = np.array([code.setdefault(t, len(code)) for t in tallies.task.tolist()], dtype=np.int64)
    columns = (tallies.n_success, tallies.n_failure, tallies.n_broken)
    right, wrong, broken = (np.bincount(tasks, weights=c, minlength=len(code)) for c in columns)
    return count_states(group_states(right, wrong, n_broken=broken))


def tally_attempts(attempts: Iterable[Attempt]) -> Tallies:
    """Return the counts of each (task, policy), in order of first appearance.

    Args:
        attempts: Attempts in any order; read once.
    """
    outcomes = ((a.task, a.policy, a.outcome, a.verdict.as_recorded) for a in attempts)
    return tally_outcomes(outcomes)


def tally_outcomes(rows: Iterable[tuple[str, str, Outcome, Outcome]]) -> Tallies:
    """Return the counts of rows (task, policy, outcome, outcome as recorded)."""
    column = {outcome: place for place, outcome in enumerate(Outcome)}
    counts: dict[tuple[str, str], list[int]] = {}
    for task, policy, outcome, recorded in rows:
        cell = counts.setdefault((task, policy), [0] * 6)
        cell[column[outcome]] += 1
        if recorded.is_scored:
            cell[4 if recorded is Outcome.SUCCESS else 5] += 1
    return _from_cells(counts)


def _from_cells(counts: Mapping[tuple[str, str], list[int]]) -> Tallies:
    table = np.array(list(counts.values()), dtype=np.int64).reshape(len(counts), 6)
    names = np.empty((len(counts), 2), dtype=object)
    for row, key in enumerate(counts):
        names[row] = key
    return Tallies(names[:, 0], names[:, 1], *(table[:, place] for place in range(6)))
