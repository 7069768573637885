"""Which attempts may teach, and which family of tasks an attempt or a lesson belongs to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from twiceshy.attempts.splits import is_held_out
from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.lessons import SITUATIONS, TASKS, Lesson
from twiceshy.memory.writing.types import FamilyOf, SetAside

FAMILY = "family"
"""Key of `Lesson.scope` that names the family of tasks; a lesson without it is general."""

MAX_SITUATIONS = 3
"""Tasks in words that a lesson keeps."""
MAX_WORDS = 400
"""Characters of each."""


class Screened(NamedTuple):
    """Attempts that may teach, and why the others may not."""

    attempts: tuple[Attempt, ...]
    set_aside: dict[SetAside, int]

    @property
    def sides(self) -> dict[str, Sides]:
        """The attempts by task."""
        tasks: defaultdict[str, Sides] = defaultdict(lambda: Sides([], []))
        for each in self.attempts:
            side = tasks[each.task]
            (side.passed if each.outcome is Outcome.SUCCESS else side.failed).append(each)
        return dict(tasks)


class Sides(NamedTuple):
    """The attempts at one task by how they ended."""

    passed: list[Attempt]
    failed: list[Attempt]


def screen(attempts: Sequence[Attempt]) -> Screened:
    """Leave out what must not teach: broken, unscored, kept for testing, or at a task kept so.

    Example:
        >>> from twiceshy.attempts.types import Verdict
        >>> one = Attempt(task="t", verdict=Verdict(outcome=Outcome.SUCCESS))
        >>> kept = screen([one, msgspec.structs.replace(one, split="validation")])
        >>> kept.attempts, [(why.value, n) for why, n in kept.set_aside.items()]
        ((), [('its task is kept for testing', 1), ('kept for testing', 1)])
    """
    held_out = {each.task for each in attempts if is_held_out(each)}
    told = [_why_not(each, held_out) for each in attempts]
    kept = tuple(each for each, why in zip(attempts, told, strict=True) if why is None)
    return Screened(kept, dict(Counter(why for why in told if why is not None)))


def _why_not(attempt: Attempt, held_out: set[str]) -> SetAside | None:
    if is_held_out(attempt):
        return SetAside.HELD_OUT
    if attempt.task in held_out:
        return SetAside.HELD_OUT_TASK
    if attempt.outcome is Outcome.BROKEN:
        return SetAside.BROKEN
    return SetAside.UNSCORED if attempt.outcome is Outcome.UNSCORED else None


def family_of(attempt: Attempt) -> str:
    """Return the family of the attempt's task as the log names it; "" when it does not.

    It is read from `Attempt.extra`, under "family" or "category"; it is never guessed.
    """
    value = attempt.extra.get("family") or attempt.extra.get("category")
    return value if isinstance(value, str) else ""


def with_family(lesson: Lesson, by_id: Mapping[str, Attempt], *, family_of: FamilyOf) -> Lesson:
    """Return the lesson scoped to the family that all of its evidence comes from, if one does."""
    ids = [*lesson.evidence.attempts_for, *lesson.evidence.attempts_against, *lesson.parents]
    families = {family_of(by_id[each]) for each in ids if each in by_id}
    if FAMILY in lesson.scope or len(families) != 1 or families == {""}:
        return lesson
    return msgspec.structs.replace(lesson, scope={**lesson.scope, FAMILY: families.pop()})


def with_tasks(lesson: Lesson, by_id: Mapping[str, Attempt]) -> Lesson:
    """Return the lesson with the tasks it was learned at: their names, and some in words.

    Recall compares a task with the words, and the leak guard with the names. They are of the
    attempts that the lesson names, so of a lesson with much evidence they are a part.
    """
    evidence, pairs = lesson.evidence, lesson.contrast
    ids = [*evidence.attempts_for, *evidence.attempts_against, *lesson.parents]
    ids += [each for pair in pairs for each in (pair.failure_id, pair.success_id)]
    seen = [by_id[each] for each in dict.fromkeys(ids) if each in by_id]
    if not seen:
        return lesson
    words = dict.fromkeys(" ".join(each.prompt.split())[:MAX_WORDS] for each in seen if each.prompt)
    told = [each for each in lesson.extra.get(TASKS, ()) if isinstance(each, str)]
    extra = {**lesson.extra, TASKS: list(dict.fromkeys([*told, *(each.task for each in seen)]))}
    if words:
        extra[SITUATIONS] = list(words)[:MAX_SITUATIONS]
    return msgspec.structs.replace(lesson, extra=extra)


def n_without_success(sides: Iterable[Sides]) -> int:
    """Count failed attempts at tasks that nobody solved."""
    return sum(len(each.failed) for each in sides if not each.passed)
