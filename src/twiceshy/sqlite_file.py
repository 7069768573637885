"""What every SQLite file of ours does alike: marks, numbered migrations, WAL, one-lock writes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from twiceshy.errors import BadInput

TIMEOUT_SECONDS = 30.0
"""How long to wait for another process that writes."""

Migrations = Sequence[Sequence[str]]
"""Statements of each version, numbered from 1. Append only; never edit one that was released."""


class FileKind(NamedTuple):
    """A kind of file."""

    name: str
    """In one word, for messages: "ledger"."""
    phrase: str
    """What was expected: "a solve-rate ledger"."""
    application_id: int
    """Marks a file as of this kind, by its `PRAGMA application_id`."""
    fix: str = "Give another path, or restore the file from a copy."
    """What to do about one that SQLite cannot read or write."""


@contextmanager
def as_bad_input(path: Path, kind: FileKind) -> Iterator[None]:
    """Tell SQLite's errors in our words.

    Raises:
        BadInput: In place of any `sqlite3.Error` in the block.
    """
    try:
        yield
    except sqlite3.Error as error:
        expected = f"a readable and writable {kind.phrase.removeprefix('a ')}"
        raise BadInput(expected, got=str(error), where=str(path), fix=kind.fix) from error


def checked_version(
    connection: sqlite3.Connection, kind: FileKind, *, migrations: Migrations, where: str
) -> int:
    """Return the version of a file's tables; 0 for a new file.

    Raises:
        BadInput: It is a file of another kind, or of a newer version of the package.
    """
    connection.execute("BEGIN")  # one snapshot: another process may be creating the file right now
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    done = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.execute("COMMIT")
    if mark != kind.application_id and (tables or done):
        raise BadInput(kind.phrase, got="another kind of SQLite file", where=where)
    if done > len(migrations):
        raise BadInput(
            f"a {kind.name} of version {len(migrations)} or older",
            got=f"version {done}",
            where=where,
            fix="Upgrade twiceshy.",
        )
    return done


def migrate(
    connection: sqlite3.Connection, kind: FileKind, *, migrations: Migrations, done: int
) -> None:
    """Bring a file from version `done` up to date, a transaction a version."""
    for number, statements in enumerate(migrations[done:], start=done + 1):
        with transaction(connection):
            # Another process may have been faster: look again now that the write lock is held.
            if connection.execute("PRAGMA user_version").fetchone()[0] < number:
                for statement in statements:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {kind.application_id}")
                connection.execute(f"PRAGMA user_version = {number}")


def use_wal(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log, in which readers and a writer do not wait for each other."""
    # SQLite answers "locked" at once, whatever the timeout, while another process switches too.
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock; commit when the block ends, undo everything when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
