"""Lessons as Markdown: sentences for people, and beside each its record for machines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from twiceshy.attempts.codec import decode_lesson, encode
from twiceshy.attempts.types import Unreadable
from twiceshy.errors import BadInput
from twiceshy.files import write_whole
from twiceshy.lessons import Lesson, LessonKind
from twiceshy.memory.bank.portable.records import Imported

_RECORD = re.compile(r"^<!-- twiceshy lesson (.*) -->$", re.M)
_HEADINGS: dict[LessonKind, str] = {
    "principle": "Principles",
    "strategy": "Strategies",
    "avoid": "Mistakes to avoid",
    "recover": "Ways to recover",
    "demonstration": "Demonstrations",
}
GENERAL = "General"


def write_markdown(lessons: Sequence[Lesson], path: Path) -> None:
    """Write lessons by family and kind; each is followed by a comment that holds its whole record.

    Raises:
        BadInput: The folder is missing or cannot be written to.
    """
    parts = ["# Lessons\n"]
    for family, held in by_family(lessons):
        parts.append(f"## {family}\n")
        parts += sections(held, depth=3, with_records=True)
    write_whole(path, "\n".join(parts).encode())


def by_family(lessons: Sequence[Lesson]) -> Iterator[tuple[str, list[Lesson]]]:
    """Yield lessons by the family of tasks their scope names; those without one come first."""
    ordered = sorted(lessons, key=lambda each: (family_of(each) != GENERAL, family_of(each)))
    for family, held in groupby(ordered, key=family_of):
        yield family, list(held)


def family_of(lesson: Lesson) -> str:
    """Return the family of tasks a lesson is for."""
    return lesson.scope.get("family") or GENERAL


def sections(lessons: Sequence[Lesson], *, depth: int, with_records: bool) -> Iterator[str]:
    """Yield Markdown blocks: a heading a kind, an item a lesson."""
    for kind, heading in _HEADINGS.items():
        held = sorted((each for each in lessons if each.kind == kind), key=lambda each: each.id)
        if held:
            yield f"{'#' * depth} {heading}\n"
        for lesson in held:
            yield _item(lesson) + (f"{_record(lesson)}\n" if with_records else "")


def _item(lesson: Lesson) -> str:
    lines = [f"- {_one_line(lesson.text)}"]
    if lesson.trigger:
        lines.append(f"  - When: {_one_line(lesson.trigger)}")
    if lesson.why:
        lines.append(f"  - Why: {_one_line(lesson.why)}")
    lines += [f"  {number}. {_one_line(step)}" for number, step in enumerate(lesson.steps, start=1)]
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _record(lesson: Lesson) -> str:
    data = encode(lesson).decode().replace("<", "\\u003c").replace(">", "\\u003e")
    return f"\n<!-- twiceshy lesson {data} -->"


def read_markdown(path: Path) -> Imported:
    """Return the lessons of a file that `write_markdown` wrote, from their records.

    Raises:
        BadInput: The file holds no such record.
    """
    text = path.read_text("utf-8", "replace")
    lessons: list[Lesson] = []
    unreadable: list[Unreadable] = []
    for found in _RECORD.finditer(text):
        try:
            lessons.append(decode_lesson(found[1]))
        except BadInput as error:
            place = f"{path}:{text.count(chr(10), 0, found.start()) + 1}"
            unreadable.append(Unreadable(place, error.expected, error.got, error.fix))
    if not lessons and not unreadable:
        raise BadInput(
            "Markdown that a bank was exported to",
            got="none of its records",
            where=str(path),
            fix="Text written by others cannot be told apart from lessons; give it as JSONL.",
        )
    return Imported("markdown", tuple(lessons), tuple(unreadable))
