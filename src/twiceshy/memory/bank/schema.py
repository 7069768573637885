"""The file of a bank: its tables, their migrations, and how it is opened.

`event` is the one source of truth and only grows: triggers refuse to change or delete a row. All
other tables but `vector` are projections, written in the transaction of the event they follow from,
and can be made again from the log. `vector` holds what an embedding model made of the lessons.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from twiceshy.errors import BadInput
from twiceshy.sqlite_file import (
    TIMEOUT_SECONDS,
    FileKind,
    Migrations,
    checked_version,
    migrate,
    use_wal,
)

KIND = FileKind("bank", "a bank of lessons", 0x7477626B)
"""The mark reads "twbk"."""
IN_MEMORY = ":memory:"

Durability = Literal["full", "normal"]
"""`full`: a commit is on the disk before it is acknowledged, and survives a loss of power.
`normal`: it survives the end of the process, however sudden, and may be lost with the power."""

MIGRATIONS: Migrations = (
    (
        """
        CREATE TABLE event (
            number INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL,
            kind TEXT NOT NULL, payload TEXT NOT NULL
        )
        """,
        """
        CREATE TRIGGER event_stays BEFORE UPDATE ON event
        BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
        """,
        """
        CREATE TRIGGER event_is_kept BEFORE DELETE ON event
        BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
        """,
        """
        CREATE TRIGGER event_follows BEFORE INSERT ON event
        WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM event)
        BEGIN SELECT RAISE(ABORT, 'the log has no gaps'); END
        """,
        """
        CREATE TABLE lesson (
            row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
            status TEXT NOT NULL, level TEXT NOT NULL, family TEXT NOT NULL,
            event INTEGER NOT NULL, record TEXT NOT NULL
        )
        """,
        "CREATE INDEX lesson_status ON lesson (status)",
        """
        CREATE TABLE revision (
            lesson_id TEXT NOT NULL, event INTEGER NOT NULL, record TEXT NOT NULL,
            PRIMARY KEY (lesson_id, event)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE lineage (
            child TEXT NOT NULL, parent TEXT NOT NULL, event INTEGER NOT NULL,
            PRIMARY KEY (child, parent)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX lineage_parent ON lineage (parent)",
        """
        CREATE VIRTUAL TABLE lesson_text
        USING fts5 (tasks, triggers, words, tokenize = 'porter unicode61')
        """,
        """
        CREATE TABLE run (
            event INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, parent TEXT
        )
        """,
        "CREATE INDEX run_parent ON run (parent) WHERE parent IS NOT NULL",
        """
        CREATE TABLE decision (
            event INTEGER PRIMARY KEY, run_id TEXT NOT NULL, lesson_id TEXT NOT NULL,
            arm TEXT NOT NULL
        )
        """,
        "CREATE INDEX decision_run ON decision (run_id)",
        "CREATE INDEX decision_lesson ON decision (lesson_id)",
        """
        CREATE TABLE step_check (
            event INTEGER PRIMARY KEY, run_id TEXT NOT NULL, lesson_id TEXT NOT NULL
        )
        """,
        "CREATE INDEX step_check_lesson ON step_check (lesson_id)",
        """
        CREATE TABLE outcome (
            event INTEGER PRIMARY KEY, run_id TEXT NOT NULL, outcome TEXT NOT NULL,
            trust REAL NOT NULL, in_force INTEGER NOT NULL, contradicted INTEGER NOT NULL
        )
        """,
        "CREATE INDEX outcome_run ON outcome (run_id)",
        "CREATE INDEX outcome_contradicted ON outcome (run_id) WHERE contradicted",
        """
        CREATE TABLE embedding (model TEXT PRIMARY KEY, dimensions INTEGER NOT NULL) WITHOUT ROWID
        """,
        """
        CREATE TABLE vector (
            model TEXT NOT NULL, lesson_id TEXT NOT NULL, event INTEGER NOT NULL,
            halves BLOB NOT NULL, PRIMARY KEY (model, lesson_id)
        )
        """,
        "CREATE INDEX vector_lesson ON vector (lesson_id)",
    ),
)
"""Numbered from 1, in the file's `user_version`. Append only; never edit one that was released."""


def opened(path: Path, *, durability: Durability, read_only: bool) -> sqlite3.Connection:
    """Return a connection to a bank whose schema is up to date.

    Raises:
        BadInput: The file is not a bank, corrupt, from a newer version, or in a folder that cannot
            be written to; or this SQLite has no FTS5.
    """
    with as_bad_input(path):
        _check_place(path)
        connection = _connected(path, read_only=read_only)
        try:
            prepare(connection, path, durability=durability, read_only=read_only)
        except BaseException:
            connection.close()
            raise
    return connection


def check_exists(path: Path) -> None:
    """Refuse a bank that is not there.

    Raises:
        BadInput: There is no such file.
    """
    if not path.exists():
        raise BadInput(
            "a bank that exists", got="no file", where=str(path), fix="Check the name of the file."
        )


def _check_place(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise BadInput(
            "a file in a folder that exists",
            got="a folder" if path.is_dir() else f"no folder {path.parent}",
            where=str(path),
        )


def _connected(path: Path, *, read_only: bool) -> sqlite3.Connection:
    in_memory = str(path) == IN_MEMORY
    mode = _read_mode(path) if read_only else ""
    return sqlite3.connect(
        IN_MEMORY if in_memory else f"{path.absolute().as_uri()}{mode}",
        uri=not in_memory,
        timeout=TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _read_mode(path: Path) -> str:
    """Where SQLite cannot keep its lock file beside the bank, read it as a file that never changes.

    Raises:
        BadInput: When a log that only a writer can take in lies beside it.
    """
    if os.access(path.parent, os.W_OK):
        return "?mode=ro"
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise BadInput(
            "a bank whose last writer has closed it",
            got=f"events that are only in {log.name}, in a folder that cannot be written to",
            where=str(path),
            fix="Copy both files to a folder that can be written to.",
        )
    return "?mode=ro&immutable=1"


def prepare(
    connection: sqlite3.Connection,
    path: Path,
    *,
    durability: Durability = "full",
    read_only: bool = False,
) -> None:
    """Check that a connection leads to a bank, and bring its schema up to date.

    Raises:
        BadInput: As in `opened`.
    """
    done = checked_version(connection, KIND, migrations=MIGRATIONS, where=str(path))
    if read_only:
        if done < len(MIGRATIONS):
            raise BadInput(
                f"a bank of version {len(MIGRATIONS)}",
                got=f"version {done}",
                where=str(path),
                fix="Open it once for writing, which brings it up to date.",
            )
        return
    use_wal(connection)
    connection.execute(f"PRAGMA synchronous = {durability.upper()}")
    migrate(connection, KIND, migrations=MIGRATIONS, done=done)


def check_unchanged(connection: sqlite3.Connection, where: str) -> None:
    """Refuse to write to a file whose tables another process has changed since it was opened.

    Raises:
        BadInput: A newer version of the package has brought the file up to date.
    """
    if connection.execute("PRAGMA user_version").fetchone()[0] != len(MIGRATIONS):
        raise BadInput(
            f"a bank of version {len(MIGRATIONS)}, as it was when it was opened",
            got="one that a newer version has changed since",
            where=where,
            fix="Upgrade twiceshy, and open it again.",
        )


@contextmanager
def as_bad_input(path: Path) -> Iterator[None]:
    """Tell SQLite's errors in our words: what was expected of the file, and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        raise BadInput(
            "a readable bank of lessons" if code in _DAMAGE else "a bank that can be written to",
            got=str(error),
            where=str(path),
            fix=_fix(error, code),
        ) from error


_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _fix(error: sqlite3.Error, code: int) -> str:
    if "fts5" in str(error):
        return "Use a Python whose SQLite has FTS5."
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "Another process holds the write lock; end its transaction and try again."
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return "Make file and folder writable, or open it with read_only=True."
    if code == sqlite3.SQLITE_FULL:
        return "Free some space on the disk; nothing of this change was kept."
    return "Restore the file from a copy, or import an export of it into a new bank."
