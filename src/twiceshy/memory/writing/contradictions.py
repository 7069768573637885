"""Lessons that cannot both be followed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from twiceshy.lessons import Lesson
from twiceshy.memory.words import NEGATION, stems
from twiceshy.memory.writing.screening import FAMILY
from twiceshy.memory.writing.types import Contradiction

SAME_PATTERN = "one warns of the pattern that the other recommends"
SAME_TRIGGER = "at the same trigger, one warns of what the other recommends"
AVOIDS_INSTEAD = "one warns of what the other offers as the alternative"
ALIKE = 0.6
"""Jaccard index of stems from which two phrases mean the same; ours."""


def find_contradictions(
    lessons: Sequence[Lesson], *, new: Collection[str] | None = None
) -> tuple[Contradiction, ...]:
    """Return pairs in which following one lesson is what the other warns of.

    Only lessons that can meet are compared: of one family, or one of them general. What is compared
    are words, so a paraphrase can escape.

    Args:
        lessons: Lessons of one bank.
        new: Ids of which a pair must hold one; None compares all with all.

    Example:
        >>> no = Lesson(id="a", kind="avoid", text="", trigger="after an error", action="retrying")
        >>> yes = Lesson(id="b", kind="strategy", text="", trigger="after an error",
        ...              action="retry the call")
        >>> [each.because for each in find_contradictions([no, yes])]
        []
        >>> yes = Lesson(id="b", kind="strategy", text="", trigger="after an error", action="retry")
        >>> [each.because for each in find_contradictions([no, yes])]
        ['at the same trigger, one warns of what the other recommends']
    """
    return tuple(
        Contradiction(first=first.id, second=second.id, because=because)
        for first, second in _pairs(lessons, new)
        if _can_meet(first, second) and (because := _because(first, second))
    )


def _pairs(
    lessons: Sequence[Lesson], new: Collection[str] | None
) -> Iterator[tuple[Lesson, Lesson]]:
    """Yield each pair that shares a stem of what it tells to do, or a pattern, once."""
    by_key: defaultdict[str, list[int]] = defaultdict(list)
    for place, lesson in enumerate(lessons):
        for key in _keys(lesson):
            by_key[key].append(place)
    asked = [at for at, each in enumerate(lessons) if new is None or each.id in new]
    met = {
        (min(mine, other), max(mine, other))
        for mine in asked
        for key in _keys(lessons[mine])
        for other in by_key[key]
        if other != mine and "avoid" in (lessons[mine].kind, lessons[other].kind)
    }
    for first, second in sorted(met):
        yield lessons[first], lessons[second]


def _keys(lesson: Lesson) -> set[str]:
    pattern = {f"pattern: {lesson.pattern}"} if lesson.pattern else set()
    return stems(f"{lesson.action} {lesson.instead}") | pattern


def _can_meet(first: Lesson, second: Lesson) -> bool:
    mine, theirs = first.scope.get(FAMILY), second.scope.get(FAMILY)
    return mine is None or theirs is None or mine == theirs


def _because(first: Lesson, second: Lesson) -> str:
    if first.kind != "avoid":
        first, second = second, first
    if second.kind == "avoid":
        told = _same(first.action, second.instead) or _same(second.action, first.instead)
        return AVOIDS_INSTEAD if told and _same_moment(first, second) else ""
    if first.pattern and (first.vocabulary, first.pattern) == (second.vocabulary, second.pattern):
        return SAME_PATTERN
    same = second.kind == "strategy" and _same(first.action, second.action)
    return SAME_TRIGGER if same and _same_moment(first, second) else ""


def _same_moment(first: Lesson, second: Lesson) -> bool:
    """Whether both apply at once: like triggers, or one applies always."""
    return not (first.trigger and second.trigger) or _same(first.trigger, second.trigger)


def _same(first: str, second: str) -> bool:
    mine, theirs = stems(first), stems(second)
    if not mine or not theirs or bool(NEGATION.search(first)) != bool(NEGATION.search(second)):
        return False
    return len(mine & theirs) >= ALIKE * len(mine | theirs)
