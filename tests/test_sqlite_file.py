"""SQLite's errors in our words, for every kind of file that has no finer ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from twiceshy.errors import BadInput
from twiceshy.frontier.ledger import SolveRateLedger
from twiceshy.models import CachedCompleter, ScriptedCompleter
from twiceshy.sqlite_file import FileKind, as_bad_input

KIND = FileKind("shelf", "a shelf of books", 0x1)


def cached(path: Path) -> CachedCompleter:
    return CachedCompleter(ScriptedCompleter({}), path)


def test_the_words_are_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught, as_bad_input(tmp_path / "x", KIND):
        raise sqlite3.OperationalError("no room")
    error = caught.value
    assert error.expected == "a readable and writable shelf of books"
    assert (error.got, error.where) == ("no room", str(tmp_path / "x"))
    assert error.fix == "Give another path, or restore the file from a copy."
    assert isinstance(error.__cause__, sqlite3.OperationalError)


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(KeyError), as_bad_input(tmp_path, KIND):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("opened", "expected", "fix"),
    [
        (SolveRateLedger, "solve-rate ledger", "restore the file from a copy"),
        (cached, "cache of model answers", "will be asked for again"),
    ],
)
def test_a_file_that_is_no_database(
    tmp_path: Path, opened: Callable[[Path], object], expected: str, fix: str
) -> None:
    path = tmp_path / "file.db"
    path.write_bytes(b"no database at all, but long enough to be looked at as one" * 40)
    with pytest.raises(BadInput, match=f"a readable and writable {expected}") as caught:
        opened(path)
    assert fix in caught.value.fix
