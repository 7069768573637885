"""Is the bank what its log says? And make it so again."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

import msgspec

from twiceshy.errors import BadInput
from twiceshy.memory.bank.projections import PROJECTIONS, clear, replay
from twiceshy.memory.bank.schema import IN_MEMORY, prepare


class Check(NamedTuple):
    """What a check of a bank found."""

    n_events: int
    n_lessons: int
    problems: tuple[str, ...]
    """In words; empty when the file is whole and its tables follow from its log."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def head(connection: sqlite3.Connection) -> int:
    """Return the number of the last event, 0 when there is none."""
    return connection.execute("SELECT coalesce(max(number), 0) FROM event").fetchone()[0]


def rebuild(connection: sqlite3.Connection) -> int:
    """Empty all projections and make them from the log again; return the number of events.

    Vectors stay, but for those of lessons whose words changed after they were stored.
    """
    clear(connection)
    connection.execute("INSERT INTO lesson_text (lesson_text) VALUES ('rebuild')")
    return replay(connection, connection)


def check(connection: sqlite3.Connection) -> Check:
    """Compare every table with the log replayed into memory, in one snapshot."""
    fresh = sqlite3.connect(IN_MEMORY, isolation_level=None)
    connection.execute("BEGIN")
    try:
        prepare(fresh, Path(IN_MEMORY))
        problems = [*_damage(connection), *_gaps(connection)]
        problems += _differences(connection, fresh) or _stray_vectors(connection)
        n_lessons = connection.execute("SELECT count(*) FROM lesson").fetchone()[0]
        return Check(head(connection), n_lessons, tuple(problems))
    finally:
        connection.execute("COMMIT")
        fresh.close()


def _damage(connection: sqlite3.Connection) -> list[str]:
    found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    return [] if found == ["ok"] else [f"the file is damaged: {each}" for each in found]


def _gaps(connection: sqlite3.Connection) -> list[str]:
    first, last, n_events = connection.execute(
        "SELECT coalesce(min(number), 1), coalesce(max(number), 0), count(*) FROM event"
    ).fetchone()
    if (first, last) == (1, n_events):
        return []
    return [f"the log has gaps: {n_events} events from {first} to {last}"]


def _differences(connection: sqlite3.Connection, fresh: sqlite3.Connection) -> list[str]:
    try:
        replay(connection, fresh)
    except (msgspec.MsgspecError, BadInput, sqlite3.Error, AssertionError) as error:
        return [f"the log cannot be read: {error}"]
    return [
        f"table {table} does not follow from the log: {n} rows differ; rebuild it"
        for table in PROJECTIONS
        if (n := len(_rows(connection, table) ^ _rows(fresh, table)))
    ]


def _rows(connection: sqlite3.Connection, table: str) -> set[tuple[object, ...]]:
    columns = "rowid, *" if table == "lesson_text" else "*"
    return set(connection.execute(f"SELECT {columns} FROM {table}"))


def _stray_vectors(connection: sqlite3.Connection) -> list[str]:
    n_stray = connection.execute(
        "SELECT count(*) FROM vector LEFT JOIN embedding USING (model) "
        "LEFT JOIN lesson ON lesson.id = lesson_id "
        "WHERE lesson.id IS NULL OR dimensions IS NULL OR length(halves) <> 2 * dimensions"
    ).fetchone()[0]
    return [f"{n_stray} vectors belong to no lesson or model here"] if n_stray else []
