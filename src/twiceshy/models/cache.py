"""Answers kept on disk, so that no request is paid for twice."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

import msgspec

from twiceshy.models.running import arun, run, together
from twiceshy.models.types import Completer, Completion, Request
from twiceshy.sqlite_file import (
    TIMEOUT_SECONDS,
    FileKind,
    Migrations,
    as_bad_input,
    checked_version,
    migrate,
    transaction,
    use_wal,
)

KIND = FileKind(
    "cache",
    "a cache of model answers",
    0x74776361,
    fix="Give another path, or remove the file: its answers will be asked for again.",
)
"""The mark reads "twca"."""

MIGRATIONS: Migrations = (
    (
        """
        CREATE TABLE answer (
            key TEXT PRIMARY KEY, model TEXT NOT NULL, request TEXT NOT NULL,
            completion TEXT NOT NULL, at TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    ),
)
"""Numbered from 1, in the file's `user_version`. Append only; never edit one that was released."""


def request_key(model: str, request: Request) -> str:
    """Return the key of a request: a hash of the model's name and all that the request says.

    Example:
        >>> from twiceshy.models import request_of
        >>> first = request_of("Hello?")
        >>> request_key("m", first) == request_key("m", request_of("Hello?", temperature=0))
        True
        >>> request_key("m", first) == request_key("m", request_of("Hello?", sample=1))
        False
    """
    # What is at its default is left out, so that a new field changes no key of old files.
    said = {
        each.name: getattr(request, each.name)
        for each in msgspec.structs.fields(request)
        if getattr(request, each.name) != each.default
    }
    return sha256(msgspec.json.encode([model, said])).hexdigest()


class CachedCompleter:
    """Asks another completer only what is not in a file yet.

    Every answer is stored as soon as it comes: a run that is killed repeats none it received. What
    was no answer (a timeout, a rate limit) is not stored, so that a later run asks again. Equal
    requests that are on their way at once are sent once. Several processes may share the file; of
    two answers to one request the first that was stored counts for both.

    Args:
        completer: Whom to ask. Its name is part of the key.
        path: The file; created when absent.

    Raises:
        BadInput: The file is not a cache, is corrupt, comes from a newer version of the package,
            or lies where it cannot be written to.

    Example:
        >>> import tempfile
        >>> from twiceshy.models import ScriptedCompleter, request_of
        >>> model = ScriptedCompleter({"capital": "Paris"})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with CachedCompleter(model, Path(folder, "answers.db")) as cached:
        ...         first, again = (cached.complete([request_of("The capital?")]) for _ in "ab")
        >>> first[0].cached, again[0].cached, again[0].text, len(model.requests)
        (False, True, 'Paris', 1)
    """

    def __init__(self, completer: Completer, path: str | Path) -> None:
        self.completer = completer
        self.path = Path(path)
        self._file = _open(self.path)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.completer.name

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
        self._file.close()

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete requests, those in the file without a call.

        Raises:
            BadInput: The file cannot be used any more, or what the completer raises.
        """
        return run(self._all(requests))

    async def acomplete(self, requests: Sequence[Request]) -> list[Completion]:
        """Do the same without blocking the event loop."""
        return await arun(self._all(requests))

    async def _all(self, requests: Sequence[Request]) -> list[Completion]:
        return await together([self._one(each) for each in requests])

    async def _one(self, request: Request) -> Completion:
        key = request_key(self.name, request)
        # Of equal requests at once the first asks, and the others find its answer.
        async with self._turns.setdefault(key, asyncio.Lock()):
            found = self._get(key)
            if found is not None:
                return msgspec.structs.replace(found, cached=True, n_tries=0)
            (completion,) = await self.completer.acomplete([request])
            return self._put(key, request, completion) if completion.answered else completion

    def _get(self, key: str) -> Completion | None:
        with as_bad_input(self.path, KIND):
            query = "SELECT completion FROM answer WHERE key = ?"
            row = self._file.execute(query, (key,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Completion)

    def _put(self, key: str, request: Request, completion: Completion) -> Completion:
        """Store an answer; return it with the words that the file has for this request now."""
        texts = [msgspec.json.encode(each).decode() for each in (request, completion)]
        row = (key, self.name, *texts, datetime.now(UTC).isoformat(timespec="seconds"))
        with as_bad_input(self.path, KIND), transaction(self._file):
            self._file.execute("INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?, ?)", row)
        stored = self._get(key) or completion
        return msgspec.structs.replace(completion, text=stored.text, finish=stored.finish)


def _open(path: Path) -> sqlite3.Connection:
    with as_bad_input(path, KIND):
        # Used on one thread at a time: that of `running`'s loop, and the one that opens and closes.
        made = sqlite3.connect(
            path, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
    try:
        with as_bad_input(path, KIND):
            done = checked_version(made, KIND, migrations=MIGRATIONS, where=str(path))
            use_wal(made)
            made.execute("PRAGMA synchronous = NORMAL")
            migrate(made, KIND, migrations=MIGRATIONS, done=done)
    except BaseException:
        made.close()
        raise
    return made
