"""What of a lesson recall looks at: its situation, its level, and the tasks it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from twiceshy.lessons import SITUATIONS, TASKS, Lesson

Level = Literal["general", "family", "task"]
"""How much a lesson is about: everything, one family of tasks, or one task."""
LEVELS: tuple[Level, ...] = ("general", "family", "task")

_MAX_SITUATIONS = 3
_DEMONSTRATION = "demonstration: "


def situation_of(lesson: Lesson) -> str:
    """Return the text that is embedded: the tasks a lesson comes from, then its trigger.

    What it says to do is left out: a task is like the situation of a lesson, not like its advice.
    Without a trigger the lesson's own sentence stands in for it.

    Example:
        >>> situation_of(Lesson(id="x", kind="avoid", text="Do not guess.", trigger="at the end",
        ...                     extra={"situations": ["Count the marbles"]}))
        'Count the marbles. at the end'
    """
    texts = _strings(lesson, SITUATIONS)[:_MAX_SITUATIONS]
    return ". ".join(part for part in (*texts, lesson.trigger or lesson.text) if part)


def level_of(lesson: Lesson) -> Level:
    """Return how much a lesson is about, by the keys `task` and `family` of its scope.

    A demonstration is of one task.

    Example:
        >>> level_of(Lesson(id="x", kind="avoid", text="", scope={"family": "refunds"}))
        'family'
    """
    if lesson.kind == "demonstration" or "task" in lesson.scope:
        return "task"
    return "family" if "family" in lesson.scope else "general"


def tasks_of(lesson: Lesson, run_tasks: Mapping[str, str]) -> frozenset[str]:
    """Return the tasks a lesson is known to rest on.

    They are named by its contrast pairs, its scope, `extra["tasks"]`, and by its evidence and
    parents where those are runs of this bank.

    Args:
        lesson: Any lesson.
        run_tasks: The task of each run, by run id.
    """
    named = set(_strings(lesson, TASKS))
    named |= {pair.task for pair in lesson.contrast}
    if lesson.kind == "demonstration" and lesson.pattern.startswith(_DEMONSTRATION):
        named.add(lesson.pattern.removeprefix(_DEMONSTRATION))
    if "task" in lesson.scope:
        named.add(lesson.scope["task"])
    evidence = lesson.evidence
    sources = (*evidence.attempts_for, *evidence.attempts_against, *lesson.parents)
    return frozenset(named | {run_tasks[each] for each in sources if each in run_tasks})


def _strings(lesson: Lesson, key: str) -> list[str]:
    """Return a list of strings from `extra`; empty when something else lies there."""
    told = lesson.extra.get(key, ())
    is_list = isinstance(told, Sequence) and not isinstance(told, str | bytes)
    return [str(each) for each in told] if is_list else []


def rests_only_on(lesson: Lesson, task: str, *, run_tasks: Mapping[str, str]) -> bool:
    """Return whether nothing shows that a lesson rests on another task than this one.

    A lesson that counts evidence at two tasks or more passes, and so does one that rests on no
    attempt at all (a person wrote it). One that counts evidence but names no task is held back
    unless it counts several: it may be this very task's.

    Example:
        >>> from twiceshy.lessons import Evidence
        >>> shown = Lesson(id="x", kind="demonstration", text="", pattern="demonstration: t1",
        ...                evidence=Evidence(n_for=1, n_tasks=1))
        >>> [rests_only_on(shown, task, run_tasks={}) for task in ("t1", "t2")]
        [True, False]
    """
    known = tasks_of(lesson, run_tasks)
    if known - {task} or lesson.evidence.n_tasks > 1:
        return False
    return task in known or _has_evidence(lesson)


def _has_evidence(lesson: Lesson) -> bool:
    evidence = lesson.evidence
    return bool(
        evidence.n_for or evidence.n_against or evidence.attempts_for or evidence.attempts_against
    )
