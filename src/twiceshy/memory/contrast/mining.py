"""Which patterns separate failures from successes *of the same task*.

Three ideas:

1. A pattern is tested inside tasks with task and policy levels taken out and errors clustered by
   task; when one policy made the attempts also exactly, stratified by task, and the larger p
   counts. The exact test holds with few tasks but takes the attempts at one task for independent
   draws, which attempts that share a beginning or copy each other are not. Pooled effects are
   shown, never tested.
2. Support is counted in informative tasks, and what may be said is gated by the number of mixed
   tasks: below 30 describe, below 100 suggest, from 100 claim what passes Benjamini-Hochberg.
3. `TrainingTests` keeps the part that does not depend on labels, so that a held-out test can repeat
   the search on shuffled labels hundreds of times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.held_out import MIXED_TO_CLAIM, MIXED_TO_SUGGEST
from twiceshy.evidence.stats.fdr import q_values
from twiceshy.evidence.stats.fixed_effects import (
    Interval,
    PooledEffects,
    WithinDesign,
    WithinEffects,
    pooled_effects,
)
from twiceshy.evidence.stats.shrinkage import shrink_to_zero
from twiceshy.evidence.stats.stratified import StratifiedNull, StratifiedTest
from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import Effect, EvidenceLevel

Method = Literal["exact", "fixed_effects"]
Gate = Literal["describe", "suggest", "claim"]

MIN_INFORMATIVE: dict[Method, int] = {"exact": 8, "fixed_effects": 20}
"""Informative tasks a pattern needs to be tested. An exact test with fewer than about eight cannot
pass a search over many patterns; a clustered error from fewer than about twenty clusters is too
small (Cameron & Miller 2015, section VI). Half as many *effective* tasks are asked for as well
(`WithinEffects.n_effective`): a near-copy of a policy's name varies in many tasks and is told from
it in few."""
N_SUGGESTED = 10
"""How many of the strongest untested or unsupported patterns are worth a trial."""


class Fit(NamedTuple):
    """One search over all patterns; arrays of shape (n_events,), NaN is undefined."""

    effect: NDArray[np.float64]
    """Within-task risk difference."""
    shrunk: NDArray[np.float64]
    """The same shrunk towards zero by its noise; 0 where a pattern was not testable."""
    p_value: NDArray[np.float64]
    q_value: NDArray[np.float64]
    n_informative: NDArray[np.int64]


class Pattern(NamedTuple):
    """What is known about one event."""

    column: int
    """Its column in the table."""
    name: str
    family: str
    is_fault: bool
    n_attempts: int
    n_failed: int
    """Attempts with the event that failed."""
    n_tasks: int
    n_informative: int
    """Tasks with both outcomes in which the event varies."""
    failure_rate_with: float | None
    failure_rate_without: float | None
    pooled: Effect
    """Over all attempts, clustered by task. Never proof."""
    within: Effect
    """p and q are None where the event was not testable."""
    log_odds_ratio: float | None
    """Mantel-Haenszel, within task; None with several policies, where it would be unadjusted."""
    shrunk: float
    """Within-task risk difference shrunk by its noise; what lessons are ranked by."""
    signs_differ: bool
    """Pooled and within-task effect point in opposite directions."""
    clearly_reversed: bool
    """They do, the event was testable, and neither interval contains zero."""
    level: EvidenceLevel


@dataclass(frozen=True, slots=True)
class Mined:
    """The result of one search."""

    patterns: tuple[Pattern, ...]
    """In the order of the table's columns."""
    method: Method
    gate: Gate
    alpha: float
    min_informative: int
    n_attempts: int
    n_tasks: int
    n_mixed_tasks: int
    n_pairs: int
    """Failure-success pairs of the same task."""
    n_tested: int

    @property
    def supported(self) -> tuple[Pattern, ...]:
        """The claimed patterns, strongest first."""
        level = EvidenceLevel.SUPPORTED_WITHIN_TASK
        return tuple(each for each in self.ranked if each.level is level)

    @property
    def ranked(self) -> tuple[Pattern, ...]:
        """All patterns by level, then by the size of the shrunk within-task effect."""
        order = [
            EvidenceLevel.SUPPORTED_WITHIN_TASK,
            EvidenceLevel.SUGGESTED,
            EvidenceLevel.DESCRIBED,
        ]
        key = {level: place for place, level in enumerate(order)}
        return tuple(
            sorted(self.patterns, key=lambda each: (key[each.level], -abs(each.shrunk), each.name))
        )


def mine(table: EventTable, *, alpha: float = 0.05, min_informative: int | None = None) -> Mined:
    """Test every event of the table against failure inside tasks.

    Args:
        table: Events of scored attempts.
        alpha: False discovery rate of the claims, in (0, 1).
        min_informative: Informative tasks an event needs; None takes `MIN_INFORMATIVE`.

    Raises:
        BadInput: When `alpha` is outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise BadInput("alpha in (0, 1)", got=str(alpha), where="mine")
    tests = TrainingTests(table, min_informative=min_informative)
    found = tests.everything(np.arange(table.failed.size), table.failed)
    pooled = pooled_effects(table.present, failed=table.failed, task=table.task)
    mixed, pairs = _mixed_and_pairs(table)
    gate = gate_for(mixed)
    levels = _levels(found.fit, gate=gate, alpha=alpha)
    return Mined(
        patterns=tuple(
            _pattern(table, column, found=found, pooled=pooled, level=levels[column])
            for column in range(len(table.names))
        ),
        method=tests.method,
        gate=gate,
        alpha=alpha,
        min_informative=tests.min_informative,
        n_attempts=table.failed.size,
        n_tasks=np.unique(table.task).size,
        n_mixed_tasks=mixed,
        n_pairs=pairs,
        n_tested=int(np.isfinite(found.fit.p_value).sum()),
    )


def gate_for(n_mixed_tasks: int) -> Gate:
    """Return what may be said with so many mixed tasks.

    Example:
        >>> [gate_for(n) for n in (26, 30, 99, 100)]
        ['describe', 'suggest', 'suggest', 'claim']
    """
    if n_mixed_tasks < MIXED_TO_SUGGEST:
        return "describe"
    return "suggest" if n_mixed_tasks < MIXED_TO_CLAIM else "claim"


class _Found(NamedTuple):
    fit: Fit
    within: WithinEffects
    interval: Interval
    exact: StratifiedTest | None


class TrainingTests:
    """The within-task tests on any subset of a table's rows, for any labels.

    What depends only on the rows and on the number of failures per task is kept for the last
    subsets asked for; labels shuffled inside tasks then cost a matrix product.

    Args:
        table: Events of scored attempts.
        min_informative: Informative tasks an event needs; None takes `MIN_INFORMATIVE`.
    """

    _KEPT = 128

    def __init__(self, table: EventTable, *, min_informative: int | None = None) -> None:
        self._table = table
        self.method: Method = "exact" if np.unique(table.policy).size < 2 else "fixed_effects"
        default = MIN_INFORMATIVE[self.method]
        self.min_informative = default if min_informative is None else min_informative
        self._designs: dict[bytes, tuple[WithinDesign, StratifiedNull | None]] = {}
        self._last: tuple[bytes, bytes, Fit] | None = None

    def fit(self, rows: NDArray[np.int64], failed: NDArray[np.bool_]) -> Fit:
        """Search the given rows under the given labels.

        Args:
            rows: Rows of the table to learn from.
            failed: bool, shape (n_attempts,) over *all* rows; only those in `rows` are looked at.
        """
        labels = failed[rows].tobytes()
        if self._last is not None and self._last[:2] == (rows.tobytes(), labels):
            return self._last[2]
        design, null = self._design(rows, failed)
        within = design.fit(failed[rows])
        fit = self._fit(within, None if null is None else null.p_values(failed[rows]))
        self._last = (rows.tobytes(), labels, fit)
        return fit

    def everything(self, rows: NDArray[np.int64], failed: NDArray[np.bool_]) -> _Found:
        """Return `fit` together with what it was made from."""
        design, null = self._design(rows, failed)
        within = design.fit(failed[rows])
        exact = None if null is None else null.test(failed[rows])
        fit = self._fit(within, None if exact is None else exact.p_value)
        return _Found(fit, within, within.interval(), exact)

    def _fit(self, within: WithinEffects, exact: NDArray[np.float64] | None) -> Fit:
        testable = within.n_informative >= self.min_informative
        testable &= 2.0 * within.n_effective >= self.min_informative
        p_value = within.p_value if exact is None else np.fmax(exact, within.p_value)
        p_value = np.where(testable, p_value, np.nan)
        shrunk = shrink_to_zero(within.effect, error=np.where(testable, within.plain_error, np.nan))
        return Fit(within.effect, shrunk, p_value, q_values(p_value), within.n_informative)

    def _design(
        self, rows: NDArray[np.int64], failed: NDArray[np.bool_]
    ) -> tuple[WithinDesign, StratifiedNull | None]:
        task, labels = self._table.task[rows], failed[rows]
        per_task = np.bincount(task, weights=labels) if rows.size else np.zeros(0)
        key = rows.tobytes() + per_task.tobytes()
        if key not in self._designs:
            if len(self._designs) >= self._KEPT:
                del self._designs[next(iter(self._designs))]
            present = self._table.present[rows]
            policy = self._table.policy[rows]
            design = WithinDesign(present, failed=labels, task=task, policy=policy)
            exact = self.method == "exact"
            null = StratifiedNull(present, failed=labels, stratum=task) if exact else None
            self._designs[key] = (design, null)
        return self._designs[key]


def _mixed_and_pairs(table: EventTable) -> tuple[int, int]:
    if table.failed.size == 0:
        return 0, 0
    failures = np.bincount(table.task, weights=table.failed)
    pairs = failures * (np.bincount(table.task) - failures)
    return int((pairs > 0).sum()), int(pairs.sum())


def _levels(fit: Fit, *, gate: Gate, alpha: float) -> list[EvidenceLevel]:
    level = [EvidenceLevel.DESCRIBED] * fit.effect.size
    if gate == "describe":
        return level
    claimed = np.nan_to_num(fit.q_value, nan=1.0) <= alpha
    best = EvidenceLevel.SUPPORTED_WITHIN_TASK if gate == "claim" else EvidenceLevel.SUGGESTED
    for column in np.flatnonzero(claimed):
        level[column] = best
    rest = np.flatnonzero(~claimed & (fit.shrunk != 0.0))
    for column in rest[np.argsort(-np.abs(fit.shrunk[rest]), kind="stable")][:N_SUGGESTED]:
        level[column] = EvidenceLevel.SUGGESTED
    return level


def _pattern(
    table: EventTable, column: int, *, found: _Found, pooled: PooledEffects, level: EvidenceLevel
) -> Pattern:
    shown = table.present[:, column]
    n_shown, n_failed = int(shown.sum()), int((shown & table.failed).sum())
    n_other = shown.size - n_shown
    over_all = _pooled_effect(table, column, pooled=pooled)
    inside = _within_effect(column, found)
    differ = (over_all.estimate or 0.0) * (inside.estimate or 0.0) < 0
    return Pattern(
        column=column,
        name=table.names[column],
        family=table.families[column],
        is_fault=bool(table.fault[column]),
        n_attempts=n_shown,
        n_failed=n_failed,
        n_tasks=np.unique(table.task[shown]).size,
        n_informative=int(found.fit.n_informative[column]),
        failure_rate_with=n_failed / n_shown if n_shown else None,
        failure_rate_without=(int(table.failed.sum()) - n_failed) / n_other if n_other else None,
        pooled=over_all,
        within=inside,
        log_odds_ratio=None if found.exact is None else number(found.exact.log_odds_ratio[column]),
        shrunk=float(found.fit.shrunk[column]),
        signs_differ=differ,
        clearly_reversed=differ
        and inside.p_value is not None
        and excludes_zero(over_all)
        and excludes_zero(inside),
        level=level,
    )


def _pooled_effect(table: EventTable, column: int, *, pooled: PooledEffects) -> Effect:
    return Effect(
        estimate=number(pooled.effect[column]),
        low=number(pooled.low[column]),
        high=number(pooled.high[column]),
        p_value=number(pooled.p_value[column]),
        n_attempts=table.failed.size,
        n_tasks=np.unique(table.task).size,
    )


def _within_effect(column: int, found: _Found) -> Effect:
    return Effect(
        estimate=number(found.within.effect[column]),
        low=number(found.interval.low[column]),
        high=number(found.interval.high[column]),
        p_value=number(found.fit.p_value[column]),
        q_value=number(found.fit.q_value[column]),
        n_attempts=found.within.n_attempts,
        n_tasks=int(found.fit.n_informative[column]),
    )


def number(value: float) -> float | None:
    """Return a plain float, or None for NaN (undefined)."""
    return None if np.isnan(value) else float(value)


def excludes_zero(effect: Effect) -> bool:
    """Whether the effect has an interval and zero lies outside it."""
    return (
        effect.low is not None and effect.high is not None and (effect.low > 0 or effect.high < 0)
    )
