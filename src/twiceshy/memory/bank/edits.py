"""What an edit does to lessons: checked against the bank as it is, then folded into it.

`check_edit` refuses an edit; `fold` carries out one that was accepted. Only `fold` is used on the
log, so that a rule which becomes stricter never makes an old event unreadable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, NoReturn

from msgspec.structs import replace

from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson, Status
from twiceshy.memory.bank.types import Add, Edit, Merge, Refine, SetEvidence, SetStatus, Split

Lookup = Callable[[str], Lesson | None]
"""Finds the lesson with an id, as it is now."""
Near = Callable[[str], Sequence[str]]
"""Finds ids that resemble one that is not there."""


class Folded(NamedTuple):
    """What an edit leaves behind."""

    lessons: tuple[Lesson, ...]
    """Every lesson it touches, as it is afterwards."""
    edges: tuple[tuple[str, str], ...]
    """New lineage, as (child, parent)."""


def check_edit(edit: Edit, *, lookup: Lookup, near: Near) -> None:
    """Refuse an edit that the bank cannot carry out.

    A new lesson must rest on something: an attempt for or against it, a contrast pair, or a parent.
    A lesson by a human, and a `principle`, may come without.

    Raises:
        BadInput: For an id that is absent or taken, a lesson without evidence, a change of kind, a
            merge with a lesson that is retired or quarantined, and the like.
    """
    match edit:
        case Add(lesson=lesson):
            _check_new(lesson, lookup)
        case Refine(lesson=lesson):
            _check_refined(lesson, _present(lesson.id, lookup, near))
        case Merge():
            _check_merge(edit, lookup, near)
        case Split(lesson_id=lesson_id, into=into):
            _check_in_use(_present(lesson_id, lookup, near), "to split")
            if not into or len({each.id for each in into}) < len(into):
                raise BadInput(
                    "at least one narrower lesson, each with an id of its own", where="Split.into"
                )
            for lesson in into:
                _check_new(lesson, lookup)
        case SetStatus(lesson_id=lesson_id) | SetEvidence(lesson_id=lesson_id):
            _present(lesson_id, lookup, near)


def fold(edit: Edit, *, lookup: Lookup) -> Folded:
    """Return the lessons an accepted edit touches as they are afterwards, and the new lineage.

    A refined lesson keeps the status that it has, so that a writer who read it before a promotion
    does not undo that.
    """
    match edit:
        case Add(lesson=lesson):
            return Folded((lesson,), _descent(lesson))
        case Refine(lesson=lesson):
            return Folded((_refined(lesson, lookup),), _descent(lesson))
        case Merge(lesson=lesson, absorbed=absorbed):
            retired = tuple(_with_status(each, Status.RETIRED, lookup) for each in absorbed)
            edges = tuple((lesson.id, each) for each in absorbed)
            return Folded((_refined(lesson, lookup), *retired), (*_descent(lesson), *edges))
        case Split(lesson_id=lesson_id, into=into):
            edges = [(each.id, lesson_id) for each in into]
            edges += [edge for each in into for edge in _descent(each)]
            retired = _with_status(lesson_id, Status.RETIRED, lookup)
            return Folded((*into, retired), tuple(edges))
        case SetStatus(lesson_id=lesson_id, status=status):
            return Folded((_with_status(lesson_id, status, lookup),), ())
        case SetEvidence(lesson_id=lesson_id):
            held = _held(lesson_id, lookup)
            return Folded((replace(held, level=edit.level, evidence=edit.evidence),), ())


def touched(edit: Edit) -> Iterator[str]:
    """Yield the ids of the lessons an edit touches."""
    match edit:
        case Add(lesson=lesson) | Refine(lesson=lesson):
            yield lesson.id
        case Merge(lesson=lesson, absorbed=absorbed):
            yield lesson.id
            yield from absorbed
        case Split(lesson_id=lesson_id, into=into):
            yield lesson_id
            yield from (each.id for each in into)
        case SetStatus(lesson_id=lesson_id) | SetEvidence(lesson_id=lesson_id):
            yield lesson_id


def unknown_lesson(lesson_id: str, near: Sequence[str]) -> BadInput:
    """Return the error for an id that is not there, with those that resemble it."""
    fix = f"Did you mean {' or '.join(map(repr, near))}?" if near else "List them with `lessons()`."
    return BadInput("the id of a lesson in the bank", got=repr(lesson_id), fix=fix)


def _present(lesson_id: str, lookup: Lookup, near: Near) -> Lesson:
    found = lookup(lesson_id)
    if found is None:
        raise unknown_lesson(lesson_id, near(lesson_id))
    return found


def _check_new(lesson: Lesson, lookup: Lookup) -> None:
    _check_parents(lesson)
    if not lesson.id or not lesson.text.strip():
        raise BadInput("a lesson with an id and words", got=f"id {lesson.id!r}, {lesson.text!r}")
    if (held := lookup(lesson.id)) is not None:
        raise BadInput(
            "a new id",
            got=f"{lesson.id!r}, which is in the bank ({held.status})",
            fix="Change a known lesson with Refine or SetEvidence.",
        )
    if not (_rests_on_something(lesson) or _is_given(lesson)):
        raise BadInput(
            "a lesson with evidence",
            got=f"{lesson.id!r} by a {lesson.author}, without attempts, contrast or parents",
            where="lesson.evidence",
            fix="Name what it rests on, or author='human' for a lesson that a person wrote.",
        )


def _rests_on_something(lesson: Lesson) -> bool:
    evidence = lesson.evidence
    attempts = evidence.n_for + evidence.n_against
    ids = (*evidence.attempts_for, *evidence.attempts_against)
    return bool(attempts or ids or lesson.contrast or lesson.parents)


def _is_given(lesson: Lesson) -> bool:
    return lesson.author == "human" or lesson.kind == "principle"


def _check_parents(lesson: Lesson) -> None:
    if lesson.id in lesson.parents:
        raise BadInput("a lesson that descends from others", got=f"{lesson.id!r} as its own parent")


def _check_refined(lesson: Lesson, held: Lesson) -> None:
    _check_parents(lesson)
    if held.kind != lesson.kind:
        _refuse(f"a lesson of kind {held.kind!r}", lesson, "Retire it and add another.")
    if not lesson.text.strip():
        _refuse("words", lesson, "Retire it with SetStatus.")
    if held.status is Status.RETIRED:
        _refuse("a lesson in use", held, "Bring it back with SetStatus first.")


def _check_merge(edit: Merge, lookup: Lookup, near: Near) -> None:
    held = lookup(edit.lesson.id)
    if held is None:
        _check_new(edit.lesson, lookup)
    else:
        _check_in_use(held, "to merge into")
        _check_refined(edit.lesson, held)
    if not edit.absorbed or len({*edit.absorbed, edit.lesson.id}) <= len(edit.absorbed):
        raise BadInput(
            "other lessons to absorb, each once", got=repr(edit.absorbed), where="Merge.absorbed"
        )
    for lesson_id in edit.absorbed:
        _check_in_use(_present(lesson_id, lookup, near), "to absorb")


def _check_in_use(lesson: Lesson, purpose: str) -> None:
    if lesson.status in (Status.RETIRED, Status.QUARANTINED):
        _refuse(f"a lesson in use {purpose}", lesson, "Bring it back with SetStatus first.")


def _refuse(expected: str, lesson: Lesson, fix: str) -> NoReturn:
    raise BadInput(
        expected,
        got=f"{lesson.id!r} ({lesson.kind}, {lesson.status.value})",
        where="lesson",
        fix=fix,
    )


def _descent(lesson: Lesson) -> tuple[tuple[str, str], ...]:
    return tuple((lesson.id, parent) for parent in lesson.parents)


def _held(lesson_id: str, lookup: Lookup) -> Lesson:
    held = lookup(lesson_id)
    assert held is not None, lesson_id
    return held


def _refined(lesson: Lesson, lookup: Lookup) -> Lesson:
    held = lookup(lesson.id)
    return lesson if held is None else replace(lesson, status=held.status)


def _with_status(lesson_id: str, status: Status, lookup: Lookup) -> Lesson:
    return replace(_held(lesson_id, lookup), status=status)
