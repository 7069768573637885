"""Rows of a Parquet file through DuckDB, in batches, so that the file need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from twiceshy.attempts.readers.protocol import Source
from twiceshy.errors import BadInput

_MAGIC = b"PAR1"
_BATCH_ROWS = 2048


def is_parquet(source: Source) -> bool:
    """Whether the file says so in its first bytes."""
    return source.head.startswith(_MAGIC)


def columns(source: Source) -> tuple[str, ...]:
    """Return the column names; none when the file is damaged."""
    import duckdb

    try:
        with duckdb.connect() as connection:
            found = connection.execute("SELECT * FROM read_parquet(?) LIMIT 0", [_path(source)])
            return tuple(str(column[0]) for column in found.description or ())
    except duckdb.Error:
        return ()


def rows(
    source: Source, *, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based row, column to value).

    Args:
        source: A Parquet file.
        columns: Which columns to read; all when left out.

    Raises:
        BadInput: When the file is damaged or a column is not there.
    """
    import duckdb

    chosen = "*" if columns is None else ", ".join(f'"{_quoted(name)}"' for name in columns)
    number = 0
    try:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.execute(f"SELECT {chosen} FROM read_parquet(?)", [_path(source)])
            names = [str(column[0]) for column in found.description or ()]
            while batch := found.fetchmany(_BATCH_ROWS):
                for row in batch:
                    number += 1
                    yield number, dict(zip(names, row, strict=True))
    except duckdb.Error as error:
        raise BadInput(
            "an intact Parquet file",
            got=str(error).splitlines()[0][:160],
            where=source.label,
            fix="Write the file again.",
        ) from error


def _quoted(name: str) -> str:
    return name.replace('"', '""')


def _path(source: Source) -> str:
    # DuckDB reads glob characters in a name as a pattern; a character class matches them literally.
    text = str(Path(source.path))
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)
