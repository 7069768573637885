"""Terminal credit as a miner of event weights, so that its rules can be tested on held-out tasks.

A held-out proof mines thousands of times (splits × folds × shuffles), so here the two exact tests
of `conditions_search` are replaced by their normal approximations, and everything that does not
depend on labels is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt
from twiceshy.errors import BadInput
from twiceshy.evidence.stats.fdr import q_values
from twiceshy.evidence.tables import EventTable
from twiceshy.memory.contrast.conditions import Pattern, holds, parse_pattern, verb_of
from twiceshy.memory.contrast.conditions_evidence import Floats, SearchSettings, endings_of
from twiceshy.memory.contrast.conditions_table import Bools, Ints

Singles: TypeAlias = "NDArray[np.float32]"


class TerminalMiner:
    """A miner for `evidence.held_out.prove`: weights of the few rules that cover most losses.

    Attempts that ran out of steps have no fatal step and are left out of its training rows; among
    the others labels shuffled within tasks stay exchangeable, so that they give no rule but by
    chance. A rule's weight is its Mantel-Haenszel log odds ratio of being lost; every other event
    weighs 0.

    z = (A − E) / √V over tasks (by policy, where there are several), with A the lost attempts that
    end on the pattern, once against attempts at the same task and once against steps with the same
    verb in the same task; a rule needs both. V is the larger of the one for independent draws and
    the clustered one, Σ (a − e)². Source: Mantel & Haenszel (1959), with their continuity
    correction of 0.5; Liang & Zeger (1986).

    Args:
        attempts: The attempts the table was built from, in any order, with their ids.
        table: Events of `conditions.Conditions`.
        settings: `fdr`, `min_hazard`, `min_attempts` and `win_cost` are used; None for the
            defaults.

    Raises:
        BadInput: The table has a row whose attempt was not given.
    """

    def __init__(
        self,
        attempts: Sequence[Attempt],
        table: EventTable,
        *,
        settings: SearchSettings | None = None,
    ) -> None:
        rows = _in_order(attempts, table)
        self._settings = settings or SearchSettings()
        self._ended = ~endings_of(rows).timed_out
        self._table = table
        self._stratum = table.task * (int(table.policy.max(initial=0)) + 1) + table.policy
        self._counts = _count(rows, [parse_pattern(name) for name in table.names])
        self._length = np.array([len(parse_pattern(name).literals) for name in table.names])
        self._kept: dict[bytes, _Margins] = {}

    def __call__(self, rows: Ints, failed: Bools, /) -> Floats:
        """Return one weight per event, shape (n_events,).

        Args:
            rows: Training rows of the table.
            failed: bool, shape (n_attempts,) over all rows; only those of training rows are used.
        """
        margins = self._margins(rows)
        lost = failed[margins.rows]
        tests = _test(margins, lost)
        q = q_values(tests.p_value)
        return self._cover(margins, lost, tests=tests, allowed=q <= self._settings.fdr)

    def _margins(self, rows: Ints) -> _Margins:
        key = rows.tobytes()
        if key not in self._kept:
            if len(self._kept) >= _N_KEPT:
                del self._kept[next(iter(self._kept))]
            used = rows[self._ended[rows]]
            used = used[np.argsort(self._stratum[used], kind="stable")]
            self._kept[key] = _margins(self._counts, used, stratum=self._stratum[used])
        return self._kept[key]

    def _cover(self, margins: _Margins, lost: Bools, *, tests: _Tests, allowed: Bools) -> Floats:
        """Choose rules as `conditions_search` does, and weigh them."""
        weights = np.zeros(len(self._table.names))
        hazard = tests.n_fatal / np.maximum(margins.n_steps, 1)
        usual = tests.n_fatal >= self._settings.min_attempts
        columns = np.flatnonzero(allowed & usual & (hazard >= self._settings.min_hazard))
        covers = margins.ends[:, columns] * lost[:, None]
        n_won = (~lost) @ self._table.present[np.ix_(margins.rows, columns)]
        cost = self._settings.win_cost * n_won + self._length[columns]
        free = np.ones(lost.size, dtype=np.float32)
        while columns.size:
            gains = (free @ covers) * hazard[columns] - cost
            best = int(np.argmax(gains))
            if gains[best] <= 0:
                break
            weights[columns[best]] = tests.log_odds_ratio[columns[best]]
            free[covers[:, best] > 0] = 0
        return weights


_N_KEPT = 64
"""Training sets whose label-free counts are kept."""


class _Counts(NamedTuple):
    """What does not depend on labels; one row per attempt."""

    ends: Singles
    """Shape (n_attempts, n_events): 1 where the attempt ends on the pattern."""
    steps: Singles
    """Shape (n_attempts, n_events): steps that match the pattern."""
    verb_steps: Singles
    """Shape (n_attempts, n_verbs)."""
    last_verb: Singles
    """Shape (n_attempts, n_verbs): 1 for the verb the attempt ends on."""
    verb_of_event: Ints


def _in_order(attempts: Sequence[Attempt], table: EventTable) -> list[Attempt]:
    by_id = {each.id: each for each in attempts}
    missing = [identifier for identifier in table.attempt_ids if identifier not in by_id]
    if missing:
        raise BadInput("the attempts of every row of the table", got=f"none with id {missing[0]!r}")
    return [by_id[identifier] for identifier in table.attempt_ids]


def _count(attempts: Sequence[Attempt], patterns: Sequence[Pattern]) -> _Counts:
    verbs = sorted({pattern.verb for pattern in patterns})
    ends = np.zeros((len(attempts), len(patterns)), dtype=np.float32)
    steps = np.zeros_like(ends)
    verb_steps = np.zeros((len(attempts), len(verbs)), dtype=np.float32)
    last_verb = np.zeros_like(verb_steps)
    actions = _actions_by_verb(attempts)
    for code, verb in enumerate(verbs):
        columns = np.flatnonzero([pattern.verb == verb for pattern in patterns])
        found = actions.get(verb, [])
        rows = np.array([action.row for action in found], dtype=np.int64)
        is_last = np.array([action.is_last for action in found], dtype=np.bool_)
        hits = _hits([action.facts for action in found], [patterns[int(k)] for k in columns])
        if rows.size:
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            steps[np.ix_(rows[starts], columns)] = np.add.reduceat(hits, starts, axis=0)
        ends[np.ix_(rows[is_last], columns)] = hits[is_last]
        verb_steps[:, code] = np.bincount(rows, minlength=len(attempts))
        last_verb[rows[is_last], code] = 1
    of_event = np.array([verbs.index(pattern.verb) for pattern in patterns], dtype=np.int64)
    return _Counts(ends, steps, verb_steps, last_verb, of_event)


class _Action(NamedTuple):
    row: int
    facts: tuple[str, ...]
    is_last: bool


def _actions_by_verb(attempts: Sequence[Attempt]) -> dict[str, list[_Action]]:
    by_verb: dict[str, list[_Action]] = {}
    for row, attempt in enumerate(attempts):
        acts = [step for step in attempt.steps if verb_of(step) is not None]
        for i, step in enumerate(acts):
            action = _Action(row, step.facts, i == len(acts) - 1)
            by_verb.setdefault(step.calls[0].name, []).append(action)
    return by_verb


def _hits(facts: Sequence[tuple[str, ...]], patterns: Sequence[Pattern]) -> Singles:
    """Return which steps, given by their facts, match which patterns of their verb."""
    index: dict[tuple[str, ...], int] = {}
    of_step = np.array([index.setdefault(each, len(index)) for each in facts], dtype=np.int64)
    known = [frozenset(each) for each in index]
    matched = np.ones((len(known), len(patterns)), dtype=np.float32)
    columns: dict[str, Bools] = {}
    for k, pattern in enumerate(patterns):
        for literal in pattern.literals:
            if literal not in columns:
                one = Pattern(pattern.verb, (literal,))
                columns[literal] = np.array([holds(one, verb=pattern.verb, facts=f) for f in known])
            matched[:, k] *= columns[literal]
    return matched[of_step]


class _Margins(NamedTuple):
    """Counts by task (and policy) of one training set."""

    rows: Ints
    """Rows of the table, sorted by task and policy."""
    starts: Ints
    size: Singles
    """Shape (n_tasks, 1): attempts."""
    n_ends: Singles
    """Shape (n_tasks, n_events)."""
    by_task_steps: Singles
    """Shape (n_tasks, n_events)."""
    verb_steps: Singles
    """Shape (n_tasks, n_events): steps with the event's verb."""
    ends: Singles
    """Shape (n_rows, n_events)."""
    last_verb: Singles
    """Shape (n_rows, n_verbs)."""
    verb_of_event: Ints
    n_steps: Singles
    """Shape (n_events,): steps that match."""


def _margins(counts: _Counts, rows: Ints, *, stratum: Ints) -> _Margins:
    starts = np.flatnonzero(np.diff(stratum, prepend=-1))

    def by_task(values: Singles) -> Singles:
        return np.add.reduceat(values[rows], starts, axis=0) if rows.size else values[:0]

    steps = by_task(counts.steps)
    return _Margins(
        rows=rows,
        starts=starts,
        size=np.diff(np.append(starts, rows.size))[:, None].astype(np.float32),
        n_ends=by_task(counts.ends),
        by_task_steps=steps,
        verb_steps=by_task(counts.verb_steps)[:, counts.verb_of_event],
        ends=counts.ends[rows],
        last_verb=counts.last_verb[rows],
        verb_of_event=counts.verb_of_event,
        n_steps=steps.sum(axis=0),
    )


class _Tests(NamedTuple):
    """One row per event."""

    p_value: Floats
    log_odds_ratio: Floats
    n_fatal: Floats


def _test(margins: _Margins, lost: Bools) -> _Tests:
    from scipy.special import ndtr

    labels = lost.astype(np.float32)[:, None]
    if not lost.size:
        nothing = np.zeros(margins.n_steps.size)
        return _Tests(np.ones_like(nothing), nothing, nothing)
    n_lost = np.add.reduceat(labels, margins.starts, axis=0)
    fatal = np.add.reduceat(margins.ends * labels, margins.starts, axis=0)
    n_fatal_verb = np.add.reduceat(margins.last_verb * labels, margins.starts, axis=0)
    attempts = _z(fatal, first=margins.n_ends, second=n_lost, size=margins.size)
    steps = _z(
        fatal,
        first=margins.by_task_steps,
        second=n_fatal_verb[:, margins.verb_of_event],
        size=margins.verb_steps,
    )
    odds = _log_odds_ratio(fatal, ends=margins.n_ends, n_lost=n_lost, size=margins.size)
    return _Tests(ndtr(-np.minimum(attempts, steps)), odds, fatal.sum(axis=0))


def _z(both: Singles, *, first: Singles, second: Singles, size: Singles) -> Floats:
    """The smaller of the plain and the clustered z per event, from counts by task and event."""
    n = np.maximum(size, 1)
    excess = both - first * second / n
    spread = first * (n - first) * second * (n - second) / (n**2 * np.maximum(n - 1, 1))
    variance = spread.sum(axis=0)
    variance = np.where(variance > 0, np.maximum(variance, (excess**2).sum(axis=0)), 0.0)
    total = excess.sum(axis=0) - 0.5
    return np.where(variance > 0, total / np.sqrt(np.maximum(variance, 1e-9)), -np.inf)


def _log_odds_ratio(both: Singles, *, ends: Singles, n_lost: Singles, size: Singles) -> Floats:
    neither = size - ends - n_lost + both
    towards = (both * neither / size).sum(axis=0)
    against = ((ends - both) * (n_lost - both) / size).sum(axis=0)
    return np.log((towards + 0.5) / (against + 0.5))
