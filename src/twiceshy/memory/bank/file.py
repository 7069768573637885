"""The open file of a bank: one connection a process, shared by its threads."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from twiceshy.memory.bank.schema import (
    IN_MEMORY,
    Durability,
    as_bad_input,
    check_exists,
    check_unchanged,
    opened,
)
from twiceshy.sqlite_file import transaction


class BankFile:
    """A bank's connection, safe to share among threads and to carry through a fork."""

    def __init__(self, path: Path, *, durability: Durability, read_only: bool) -> None:
        self.path = path
        self._durability: Durability = durability
        self._read_only = read_only
        self._lock = threading.RLock()
        self._connection, self._owner = self._connect(), os.getpid()

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        durability: Durability = "full",
        read_only: bool = False,
        must_exist: bool = False,
    ) -> Self:
        """Open a bank, and make it when it is absent.

        Args:
            path: The file; ":memory:" for one that ends with the object.
            durability: `full` waits for the disk at every commit, so that nothing acknowledged is
                lost with the power; `normal` leaves that to the system and is many times faster
                for single events. Neither loses anything when a process is killed.
            read_only: Refuse to write; also reads a bank in a folder that cannot be written to.
            must_exist: Refuse to make a new bank.

        Raises:
            BadInput: The file is not a bank, is corrupt, comes from a newer version of the package,
                is absent where it must not be, or lies where it cannot be written to.
        """
        if must_exist or read_only:
            check_exists(Path(path))
        return cls(Path(path), durability=durability, read_only=read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _connect(self) -> sqlite3.Connection:
        return opened(self.path, durability=self._durability, read_only=self._read_only)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, as_bad_input(self.path):
            yield self._own()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the bank's write lock; everything is undone when the block raises."""
        with self._lock, as_bad_input(self.path):
            connection = self._own()
            with transaction(connection):
                check_unchanged(connection, str(self.path))
                yield connection

    def _own(self) -> sqlite3.Connection:
        # SQLite's connections do not survive a fork: the child opens its own, and leaves the
        # parent's alone, since closing it would drop the parent's locks.
        if os.getpid() != self._owner and str(self.path) != IN_MEMORY:
            self._inherited = self._connection
            self._connection, self._owner = self._connect(), os.getpid()
        return self._connection
