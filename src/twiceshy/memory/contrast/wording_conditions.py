"""Narrower conditions for a lesson: what may be proposed, and the test a proposal must pass.

A condition is one other event of the table that must hold too, so that the narrowed pattern can be
checked by machine. Three ideas:

1. The offer is made without looking at a label. A proposal then costs one test, not one for each
   condition on the list.
2. A pattern that separates well makes any half of it look good. A proposal must therefore pass
   twice: as an event of its own, and as a difference *among attempts that show the pattern*.
3. Every proposal counts as a test, usable or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats.fdr import q_values
from twiceshy.evidence.tables import EventTable
from twiceshy.lessons import EvidenceLevel
from twiceshy.memory.contrast.mining import Mined, Pattern, TrainingTests, mine

JOIN = " & "
"""Between the two events in the name of a narrowed pattern."""
MAX_OFFERED = 6
"""Conditions offered for one lesson."""
_ALIKE = 0.8
"""Jaccard index from which two conditions are too alike to be both offered."""


class Verdict(StrEnum):
    """Why a proposed condition was turned down."""

    UNREADABLE = "the answer could not be read"
    UNKNOWN = "not in the list that was offered"
    UNTESTABLE = "too few informative tasks"
    OTHER_WAY = "points the other way"
    NOT_SUPPORTED = "adds nothing that passes the test"
    REPEATED = "proposed before"


class Condition(NamedTuple):
    """A pattern and the event that is to hold with it, as columns of the table."""

    pattern: int
    event: int


class Retest(NamedTuple):
    """The result for one condition."""

    condition: Condition
    tested: Pattern
    """The narrowed pattern; p is the larger of the two tests', q is over all tests."""
    shown: NDArray[np.bool_]
    """Which attempts show it, shape (n_attempts,)."""
    rejected: Verdict | None


def offer(table: EventTable, pattern: int, *, mined: Mined) -> tuple[int, ...]:
    """Return the events that split the attempts which show a pattern in the most tasks.

    No label is looked at. Events that vary in too few tasks to be tested, and events much like one
    offered already, are left out; so is everything where too few mixed tasks allow more than
    describing.

    Args:
        table: What the pattern was mined from.
        pattern: Its column.
        mined: The search of that table.

    Returns:
        Columns of the table, at most `MAX_OFFERED`.
    """
    if mined.gate == "describe":
        return ()
    shows = table.present[:, pattern]
    present, task = table.present[shows], table.task[shows]
    n_tasks = _tasks_in_which_varies(present, task)
    chosen: list[int] = []
    for event in np.argsort(-n_tasks, kind="stable").tolist():
        if len(chosen) == MAX_OFFERED or n_tasks[event] < mined.min_informative:
            break
        if not any(_alike(present[:, event], present[:, each]) for each in chosen):
            chosen.append(event)
    return tuple(chosen)


def _tasks_in_which_varies(
    present: NDArray[np.bool_], task: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count for each event the tasks in which some attempts show it and some do not."""
    if task.size == 0:
        return np.zeros(present.shape[1], dtype=np.int64)
    order = np.argsort(task, kind="stable")
    starts = np.flatnonzero(np.diff(task[order], prepend=-1))
    size = np.diff(np.append(starts, task.size))[:, None]
    n_shown = np.add.reduceat(present[order].astype(np.int64), starts, axis=0)
    return ((n_shown > 0) & (n_shown < size)).sum(axis=0).astype(np.int64)


def _alike(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    """Whether two events, or one and the opposite of the other, mostly go together."""
    both = int((first & second).sum())
    either = int((first | second).sum())
    return both >= _ALIKE * either or int((first != second).sum()) >= _ALIKE * first.size


def retest(
    table: EventTable, conditions: Sequence[Condition], *, mined: Mined, n_proposed: int
) -> dict[Condition, Retest]:
    """Test narrowed patterns inside tasks, beside everything that was tested before.

    p = max(p of the narrowed pattern over all attempts, p of the event over attempts that show the
    pattern), 1 where either is undefined or points the other way; q by Benjamini-Hochberg over the
    search's own tests and `n_proposed` more, those without a usable proposal with p = 1.

    Source: intersection-union test (Berger 1982): the largest p-value is valid for "both hold".

    Args:
        table: What was mined.
        conditions: Proposals that can be tested; repeated ones are tested once.
        mined: The search of that table.
        n_proposed: Proposals in all, the unusable and the repeated included.
    """
    distinct = list(dict.fromkeys(conditions))
    if not distinct:
        return {}
    joint = _joint_table(table, distinct)
    alone = mine(joint, alpha=mined.alpha, min_informative=mined.min_informative).patterns
    inside = [_among_attempts_with_pattern(table, each, mined=mined) for each in distinct]
    judged = [
        _judge(pair, alone=one, inside=two)
        for pair, one, two in zip(_signs(distinct, mined), alone, inside, strict=True)
    ]
    before = [each.within.p_value for each in mined.patterns if each.within.p_value is not None]
    p_value = [each.p_value for each in judged]
    unusable = [1.0] * max(0, n_proposed - len(distinct))
    q_value = q_values([*before, *p_value, *unusable])[len(before) : len(before) + len(distinct)]
    return {
        condition: Retest(
            condition,
            _tested(pattern, judged=each, q_value=float(q), mined=mined),
            joint.present[:, column],
            each.rejected or (Verdict.NOT_SUPPORTED if q > mined.alpha else None),
        )
        for column, (condition, pattern, each, q) in enumerate(
            zip(distinct, alone, judged, q_value, strict=True)
        )
    }


def _joint_table(table: EventTable, conditions: Sequence[Condition]) -> EventTable:
    """Return the table whose events are the narrowed patterns."""
    first, second = np.array(conditions, dtype=np.int64).T
    return replace(
        table,
        present=table.present[:, first] & table.present[:, second],
        names=tuple(JOIN.join(table.names[column] for column in each) for each in conditions),
        families=tuple(table.families[each.pattern] for each in conditions),
        fault=np.zeros(len(conditions), dtype=np.bool_),
        aliases=(),
    )


class _Inside(NamedTuple):
    effect: float
    p_value: float


def _among_attempts_with_pattern(
    table: EventTable, condition: Condition, *, mined: Mined
) -> _Inside:
    only = replace(table, present=table.present[:, [condition.event]])
    rows = np.flatnonzero(table.present[:, condition.pattern])
    fit = TrainingTests(only, min_informative=mined.min_informative).fit(rows, table.failed)
    return _Inside(float(fit.effect[0]), float(fit.p_value[0]))


def _signs(conditions: Sequence[Condition], mined: Mined) -> list[float]:
    return [mined.patterns[each.pattern].within.estimate or 0.0 for each in conditions]


class _Judged(NamedTuple):
    p_value: float
    rejected: Verdict | None


def _judge(direction: float, *, alone: Pattern, inside: _Inside) -> _Judged:
    if alone.within.p_value is None or np.isnan(inside.p_value):
        return _Judged(1.0, Verdict.UNTESTABLE)
    if (alone.within.estimate or 0.0) * direction <= 0 or inside.effect * direction <= 0:
        return _Judged(1.0, Verdict.OTHER_WAY)
    return _Judged(max(alone.within.p_value, inside.p_value), None)


def _tested(pattern: Pattern, *, judged: _Judged, q_value: float, mined: Mined) -> Pattern:
    """Return the pattern with the p and q of both tests, and the level they allow."""
    within = msgspec.structs.replace(pattern.within, p_value=judged.p_value, q_value=q_value)
    level = EvidenceLevel.DESCRIBED
    if judged.rejected is None and q_value <= mined.alpha and mined.gate != "describe":
        claims = mined.gate == "claim"
        level = EvidenceLevel.SUPPORTED_WITHIN_TASK if claims else EvidenceLevel.SUGGESTED
    return pattern._replace(within=within, level=level)
