"""Write attempts to a file: under a temporary name, which becomes the final one at the very end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from twiceshy.attempts.codec import encode
from twiceshy.attempts.types import Attempt
from twiceshy.errors import BadInput, missing_extra
from twiceshy.files import whole_file

_BUFFER_BYTES = 1024 * 1024
_SUFFIXES = ".jsonl, .jsonl.gz, .jsonl.zst or .parquet"

_COLUMNS: dict[str, str] = {
    "id": "VARCHAR",
    "task": "VARCHAR",
    "policy": "VARCHAR",
    "trial": "VARCHAR",
    "outcome": "VARCHAR",
    "recorded": "VARCHAR",
    "reward": "DOUBLE",
    "broken": "VARCHAR",
    "reason": "VARCHAR",
    "source": "VARCHAR",
    "reliability": "DOUBLE",
    "ending": "VARCHAR",
    "truncated": "BOOLEAN",
    "split": "VARCHAR",
    "n_steps": "BIGINT",
    "n_calls": "BIGINT",
    "answer": "VARCHAR",
    "file": "VARCHAR",
    "line": "BIGINT",
    "record": "VARCHAR",
}
"""Parquet columns: flat ones for SQL, and the whole attempt as JSON in `record`."""


def write_attempts(attempts: Iterable[Attempt], path: str | Path) -> int:
    """Write attempts as JSONL (plain, `.gz`, `.zst`) or Parquet, going by the name.

    The file appears under its name only when it is complete: an error or an interrupt leaves what
    was there before.

    Returns:
        How many attempts were written.

    Raises:
        BadInput: When the name has another ending, the folder does not exist, or an attempt cannot
            be written as JSON.
        MissingExtra: For `.zst`, when `zstandard` is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_attempts([], Path(folder, "none.jsonl"))
        0
    """
    target = Path(path)
    if target.suffix == ".parquet":
        return _write_parquet(attempts, target)
    if target.suffix not in (".jsonl", ".gz", ".zst"):
        raise BadInput(f"a name that ends in {_SUFFIXES}", got=target.name, where=str(target))
    n_written = 0
    with whole_file(target) as temporary, _opened(temporary, suffix=target.suffix) as file:
        for attempt in attempts:
            file.write(encode(attempt) + b"\n")
            n_written += 1
    return n_written


@contextmanager
def _opened(path: Path, *, suffix: str) -> Iterator[IO[bytes]]:
    with path.open("wb", buffering=_BUFFER_BYTES) as plain:
        if suffix == ".jsonl":
            yield plain
            return
        with _compressor(plain, suffix=suffix) as file:
            yield file


def _compressor(file: IO[bytes], *, suffix: str) -> Any:
    if suffix == ".gz":
        import gzip

        return gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0)
    try:
        import zstandard
    except ImportError as error:
        raise missing_extra("writing zstd files", "zstd") from error
    return zstandard.ZstdCompressor().stream_writer(file, closefd=False)


def _write_parquet(attempts: Iterable[Attempt], target: Path) -> int:
    """Write flat rows as JSONL first, which DuckDB turns into Parquet without holding them all."""
    import duckdb
    import msgspec

    n_written = 0
    with whole_file(target) as temporary:
        rows = temporary.with_suffix(".rows")
        try:
            with rows.open("wb", buffering=_BUFFER_BYTES) as file:
                for attempt in attempts:
                    file.write(msgspec.json.encode(_row(attempt)) + b"\n")
                    n_written += 1
            with duckdb.connect() as connection:
                connection.execute("SET preserve_insertion_order = true")
                columns = ", ".join(f"{name}: '{kind}'" for name, kind in _COLUMNS.items())
                connection.execute(
                    f"COPY (SELECT * FROM read_json(?, format = 'newline_delimited', "
                    f"columns = {{{columns}}}, maximum_object_size = 1000000000)) "
                    f"TO '{str(temporary).replace(chr(39), chr(39) * 2)}' "
                    "(FORMAT parquet, COMPRESSION zstd)",
                    [str(rows)],
                )
        finally:
            rows.unlink(missing_ok=True)
    return n_written


def _row(attempt: Attempt) -> dict[str, Any]:
    verdict = attempt.verdict
    values = (
        attempt.id,
        attempt.task,
        attempt.policy,
        attempt.trial,
        verdict.outcome.value,
        verdict.recorded.value if verdict.recorded is not None else None,
        verdict.reward,
        verdict.broken,
        verdict.reason or None,
        verdict.source,
        verdict.reliability,
        attempt.ending,
        attempt.truncated,
        attempt.split,
        len(attempt.steps),
        sum(len(step.calls) for step in attempt.steps),
        attempt.answer,
        attempt.provenance.file or None,
        line if (line := attempt.provenance.line) is not None and line < 2**63 else None,
        encode(attempt).decode(),
    )
    return dict(zip(_COLUMNS, values, strict=True))
