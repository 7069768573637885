"""Lessons as JSONL, one a line as `learn` writes them; and the whole log of a bank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from twiceshy.attempts.codec import decode_lesson, encode
from twiceshy.attempts.types import Unreadable
from twiceshy.errors import BadInput
from twiceshy.files import whole_file, write_whole
from twiceshy.lessons import Lesson
from twiceshy.memory.bank.portable.records import Imported
from twiceshy.memory.bank.protocol import Event
from twiceshy.memory.bank.types import Entry

LOG_VERSION = 1


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    log: int
    """Version of the format; set in every line, so that a part of a file can be told apart."""
    number: int
    at: str
    actor: str
    what: Entry


_lines = msgspec.json.Decoder(_Line)


def write_lessons(lessons: Sequence[Lesson], path: Path) -> None:
    """Write lessons with everything that is known of them, one a line.

    Raises:
        BadInput: The folder is missing or cannot be written to.
    """
    write_whole(path, b"".join(encode(each) + b"\n" for each in lessons))


def read_lessons_jsonl(path: Path) -> Imported:
    """Return the lessons of a file; a field this version does not know is kept in `extra`."""
    lessons: list[Lesson] = []
    unreadable: list[Unreadable] = []
    for number, line in _numbered(path):
        try:
            lessons.append(decode_lesson(line))
        except BadInput as error:
            place = f"{path}:{number}"
            unreadable.append(Unreadable(place, error.expected, error.got, error.fix))
    return Imported("lessons", tuple(lessons), tuple(unreadable))


def write_log(events: Iterable[Event], path: Path) -> int:
    """Write every event of a bank, one a line; return how many.

    Raises:
        BadInput: The folder is missing or cannot be written to.
    """
    n_written = 0
    with whole_file(path) as part, part.open("wb") as file:
        for event in events:
            line = _Line(log=LOG_VERSION, **event._asdict())
            file.write(msgspec.json.encode(line) + b"\n")
            n_written += 1
    return n_written


def read_log(path: Path) -> list[Event]:
    """Return the events of a file that `write_log` wrote. All of them, or an error.

    Raises:
        BadInput: A line is not such an event, or one is missing.
    """
    events: list[Event] = []
    for number, line in _numbered(path):
        try:
            found = _lines.decode(line)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise BadInput(
                "an event of a bank's log", got=str(error)[:200], where=f"{path}:{number}"
            ) from error
        if found.log > LOG_VERSION or found.number != len(events) + 1:
            raise BadInput(
                f"event {len(events) + 1} in version {LOG_VERSION} or older",
                got=f"event {found.number} in version {found.log}",
                where=f"{path}:{number}",
            )
        events.append(Event(found.number, found.at, found.actor, found.what))
    return events


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, line
