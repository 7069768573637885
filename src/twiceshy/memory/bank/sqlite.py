"""The bank in one SQLite file, without a server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.lessons import Status
from twiceshy.memory.bank import lineage, upkeep
from twiceshy.memory.bank.edits import check_edit, unknown_lesson
from twiceshy.memory.bank.halves import as_halves, check_stored, write_halves
from twiceshy.memory.bank.projections import find_lesson, project
from twiceshy.memory.bank.protocol import Event
from twiceshy.memory.bank.reading import ReadableBank
from twiceshy.memory.bank.searching import near
from twiceshy.memory.bank.types import Edit, Entry, SetStatus, Use, VectorsStored
from twiceshy.memory.bank.uses import check_use

_INSERT = "INSERT INTO event VALUES (?, ?, ?, ?, ?)"


class Bank(ReadableBank):
    """Lessons with their evidence, and what happened when they were used, in an SQLite file (WAL).

    Many processes and threads may read and write at once. Every change is an event in a log that
    only grows; what `get`, `lessons`, `search` and the others answer follows from the log and is
    written in the same transaction. A call that returned is on the disk.

    Example:
        >>> from twiceshy.lessons import Lesson
        >>> from twiceshy.memory.bank import Add
        >>> lesson = Lesson(id="a", kind="principle", text="Compute it instead of guessing.")
        >>> with Bank.open(":memory:") as bank:
        ...     numbers = bank.apply([Add(lesson=lesson)], actor="me")
        ...     numbers, bank.get("a").text, bank.search("guess", limit=1)[0].lesson_id
        ([1], 'Compute it instead of guessing.', 'a')
    """

    def apply(self, edits: Sequence[Edit], *, actor: str = "unknown") -> list[int]:
        """Commit edits in one transaction; return their event numbers. All of them or none.

        Each edit sees what those before it did.

        Raises:
            BadInput: An edit cannot be carried out; see `edits.check`.
        """
        with self._writing() as connection:
            return _append(connection, edits, actor=actor)

    def record(self, uses: Sequence[Use], *, actor: str = "unknown") -> list[int]:
        """Commit what happened in one transaction; return the event numbers. All of it or nothing.

        Raises:
            BadInput: A run or a lesson is unknown, or a run starts twice.
        """
        with self._writing() as connection:
            return _append(connection, uses, actor=actor)

    def put_vectors(self, model: str, ids: Sequence[str], vectors: NDArray[np.floating]) -> None:
        """Store vectors of lessons by an embedding model, as half-precision floats.

        A vector is dropped when its lesson gets other words, and may then be put in again.

        Args:
            model: Name of the embedding model.
            ids: The lessons.
            vectors: Their vectors, shape (n, dimensions).

        Raises:
            BadInput: The model's vectors have another dimension here, a lesson is unknown, or a
                number is not finite in half precision.
        """
        halves = as_halves(ids, vectors)
        if not len(halves):
            return
        stored = VectorsStored(model=model, dimensions=halves.shape[1], ids=tuple(ids))
        with self._writing() as connection:
            check_stored(connection, stored)
            (number,) = _append(connection, [stored], actor=model)
            write_halves(connection, stored, number=number, halves=halves)

    def rollback(self, lesson_id: str, *, because: str, actor: str = "unknown") -> list[str]:
        """Quarantine a lesson and all that descends from it; return their ids, the lesson first.

        What descends: lessons merged or split from it, lessons that name it among their parents,
        and lessons that name as a parent a run in which it was shown (or a run that goes on from
        such a run), and so on. A lesson that only counts such a run among its evidence stays:
        `resting_on` lists those.

        Raises:
            BadInput: There is no such lesson.
        """
        with self._writing() as connection:
            if find_lesson(connection, lesson_id) is None:
                raise unknown_lesson(lesson_id, near(connection, lesson_id))
            found = [lesson_id, *lineage.descendants(connection, lesson_id).lessons]
            reason = f"rollback of {lesson_id}: {because}"
            quarantined = [
                SetStatus(lesson_id=each, status=Status.QUARANTINED, because=reason)
                for each in found
                if not _is_quarantined(connection, each)
            ]
            _append(connection, quarantined, actor=actor)
        return found

    def restore(self, events: Iterable[Event]) -> int:
        """Fill an empty bank with the log of another, times and writers included; return its head.

        Vectors are not in a log: put them in again.

        Raises:
            BadInput: The bank holds events, or the log is not one that a bank could have written.
        """
        with self._writing() as connection:
            if upkeep.head(connection):
                raise BadInput("an empty bank", got="one with events", where=str(self.path))
            lines = [(each.at, each.actor, each.what) for each in events]
            return len(_log(connection, lines))

    def rebuild(self) -> int:
        """Make everything that follows from the log again; return the number of events read."""
        with self._writing() as connection:
            return upkeep.rebuild(connection)


def _is_quarantined(connection: sqlite3.Connection, lesson_id: str) -> bool:
    held = find_lesson(connection, lesson_id)
    return held is not None and held.status is Status.QUARANTINED


def _append(connection: sqlite3.Connection, entries: Sequence[Entry], *, actor: str) -> list[int]:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return _log(connection, [(at, actor, what) for what in entries])


def _log(connection: sqlite3.Connection, lines: Sequence[tuple[str, str, Entry]]) -> list[int]:
    """Check, log and project entries one after the other; each sees what those before it did."""
    first = upkeep.head(connection) + 1
    for number, (at, actor, what) in enumerate(lines, start=first):
        _check(connection, what)
        row = (number, at, actor, type(what).__struct_config__.tag, _encoded(what))
        connection.execute(_INSERT, row)
        project(connection, number, what)
    return list(range(first, first + len(lines)))


def _check(connection: sqlite3.Connection, what: Entry) -> None:
    if isinstance(what, Edit):
        check_edit(
            what,
            lookup=lambda lesson_id: find_lesson(connection, lesson_id),
            near=lambda lesson_id: near(connection, lesson_id),
        )
    elif isinstance(what, Use):
        check_use(connection, what)
    elif not isinstance(what, VectorsStored):
        raise BadInput("an edit or a use of lessons", got=type(what).__name__)


def _encoded(what: Entry) -> str:
    try:
        return msgspec.json.encode(what).decode()
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise BadInput(
            "values that JSON can hold", got=str(error), fix="Clean the text with errors='replace'."
        ) from error
