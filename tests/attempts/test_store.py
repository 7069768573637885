from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from twiceshy.attempts import Attempt, Outcome, Verdict, read_attempts, write_attempts
from twiceshy.errors import BadInput

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")


def made(n: int) -> list[Attempt]:
    verdict = Verdict(outcome=Outcome.FAILURE, reward=0.25)
    return [
        Attempt(task=f"t{k % 3}", trial=str(k), verdict=verdict, extra={"k": k}) for k in range(n)
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_back(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / "first.jsonl"
    write_attempts(made(50), source)
    attempts = list(read_attempts(source))
    assert all(attempt.provenance.line for attempt in attempts)
    path = tmp_path / f"o{suffix}"
    assert write_attempts(attempts, path) == 50
    assert list(read_attempts(path)) == attempts
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["first.jsonl", path.name]


def test_an_interrupt_leaves_what_was_there(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Attempt]:
        yield from made(3)
        raise KeyboardInterrupt

    for suffix in SUFFIXES:
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"before")
        with pytest.raises(KeyboardInterrupt):
            write_attempts(interrupted(), path)
        assert path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == len(SUFFIXES)


def test_parquet_columns_can_be_queried(tmp_path: Path) -> None:
    path = tmp_path / "it's.parquet"
    write_attempts(made(6), path)
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT task, outcome, count(*), min(reward), any_value(broken) "
            "FROM read_parquet(?) GROUP BY ALL ORDER BY task",
            [str(path)],
        ).fetchall()
    assert rows == [(f"t{k}", "failure", 2, 0.25, None) for k in range(3)]


def test_nothing_to_write_is_an_empty_file(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = tmp_path / f"a{suffix}"
        assert write_attempts([], path) == 0
        assert read_attempts(path).summary.n_attempts == 0
        assert path.exists()


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="ends in"):
        write_attempts([], tmp_path / "a.csv")
    with pytest.raises(BadInput, match="a file that can be written"):
        write_attempts([], tmp_path / "no" / "a.jsonl")
    lone = Attempt(task="\ud800", verdict=Verdict(outcome=Outcome.UNSCORED))
    with pytest.raises(BadInput, match="JSON can hold"):
        write_attempts([lone], tmp_path / "a.jsonl")
    assert not list(tmp_path.iterdir())
