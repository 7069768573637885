"""Before training: is the teacher, with what it sees, better than the student at all?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from twiceshy.attempts import Attempt, Outcome
from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.evidence.stats import PairedDifference, flips, paired_difference


def check_gap(student: Iterable[Attempt], teacher: Iterable[Attempt]) -> Report:
    """Report the accuracy gap between teacher and student, paired by task, before any training.

    A gap that is clearly below 0 refuses; one that may be 0 warns.

    Source: 2605.30070 (abstract only; unverified) finds the final gain of on-policy
    self-distillation linear in this gap, over contexts, families and sizes.

    Args:
        student: Attempts without help. Broken and unscored ones are counted and left out.
        teacher: Attempts at the same tasks with the teacher's context.

    Example:
        >>> from twiceshy.attempts import Verdict
        >>> def at(task: str, outcome: Outcome) -> Attempt:
        ...     return Attempt(task=task, verdict=Verdict(outcome=outcome))
        >>> both = [at(str(i), Outcome.SUCCESS) for i in range(4)]
        >>> check_gap(both, both).summary[0]
        'No gap is shown: teacher minus student +0.000 over 4 tasks.'
    """
    mine, theirs = _rates(student), _rates(teacher)
    tasks = [task for task in mine if task in theirs]
    found = paired_difference(
        [float(np.mean(mine[task])) for task in tasks],
        [float(np.mean(theirs[task])) for task in tasks],
    )
    turned = flips(
        before_c=[sum(mine[task]) for task in tasks],
        before_n=[len(mine[task]) for task in tasks],
        after_c=[sum(theirs[task]) for task in tasks],
        after_n=[len(theirs[task]) for task in tasks],
    )
    numbers: dict[str, Any] = {
        "gap": found._asdict(),
        "flips": turned._asdict(),
        "n_tasks_student": len(mine),
        "n_tasks_teacher": len(theirs),
    }
    alarm = _alarm(found)
    return Report(
        kind="distillation gap",
        title="Accuracy gap before training",
        summary=(_told(found),),
        numbers=numbers,
        tables=(_table(found, numbers["flips"]),),
        alarms=() if alarm is None else (alarm,),
        ok=alarm is None or alarm.severity != "alarm",
    )


def _rates(attempts: Iterable[Attempt]) -> Mapping[str, list[float]]:
    found: dict[str, list[float]] = {}
    for attempt in attempts:
        if attempt.outcome.is_scored:
            found.setdefault(attempt.task, []).append(float(attempt.outcome is Outcome.SUCCESS))
    return found


def _told(found: PairedDifference) -> str:
    if found.difference is None:
        return "The gap is undefined: no task was scored for both (n = 0)."
    numbers = f"teacher minus student {found.difference:+.3f}"
    if found.low is not None and found.high is not None:
        numbers += f" [{found.low:+.3f}, {found.high:+.3f}]"
    numbers += f" over {found.n_tasks} tasks."
    if found.high is not None and found.high < 0:
        return f"Refused, the teacher is worse: {numbers}"
    if found.low is not None and found.low > 0:
        return f"The teacher is better: {numbers}"
    return f"No gap is shown: {numbers}"


def _alarm(found: PairedDifference) -> Alarm | None:
    if found.low is not None and found.low > 0:
        return None
    worse = found.high is not None and found.high < 0
    return Alarm(
        name="no accuracy gap",
        severity="alarm" if worse else "warning",
        message="There is nothing to learn from a teacher who is no better. " + _told(found),
        value=found.difference,
        threshold=0.0,
        source="after 2605.30070 (unverified); ours",
    )


def _table(found: PairedDifference, turned: Mapping[str, Any]) -> Table:
    return Table(
        title="Success rate by task",
        columns=("student", "teacher", "gap", "low", "high", "tasks", "right→wrong", "wrong→right"),
        rows=(
            (
                found.before,
                found.after,
                found.difference,
                found.low,
                found.high,
                found.n_tasks,
                turned["right_to_wrong"],
                turned["wrong_to_right"],
            ),
        ),
    )
