"""Which Parquet files are meant."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from twiceshy.errors import BadInput
from twiceshy.frontier.columns import quoted

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://")
_IMPORT = "Make one with: twiceshy import FILE -o attempts.parquet"


def is_remote(path: str) -> bool:
    """Whether a path is an address, as `s3://bucket/runs`, and not a name on this machine.

    Example:
        >>> is_remote("s3://bucket/runs"), is_remote("runs/a.parquet")
        (True, False)
    """
    return _REMOTE.match(path) is not None


def parquet_files(paths: Sequence[str], *, target: str | Path | None = None) -> tuple[str, ...]:
    """Return the files that paths, folders and globs on this machine mean, each once.

    Args:
        paths: In the order given; what a folder or a glob holds comes sorted.
        target: The file to be written, which must not be one of them.

    Raises:
        BadInput: Nothing is there, a file is no Parquet, is meant twice, or is the target.
    """
    found = [name for path in paths for name in _meant(path)]
    seen: dict[Path, str] = {}
    for name in found:
        if Path(name).suffix.lower() != ".parquet":
            raise BadInput("Parquet files", got=name, where="INPUT", fix=_IMPORT)
        place = Path(name).resolve()
        if place in seen:
            raise BadInput(
                "every file once",
                got=f"{name} twice",
                where="INPUT",
                fix="Its rows would count twice; leave one out.",
            )
        seen[place] = name
    if target is not None and Path(target).resolve() in seen:
        raise BadInput(
            "a sidecar beside the attempts",
            got=f"{target}, which is one of the inputs",
            where="--out",
            fix="Give it another name or folder; the attempts are never rewritten.",
        )
    return tuple(found)


def count_rows(paths: Sequence[str]) -> int:
    """Return the rows of files on this machine, by their footers; 0 where one cannot be read."""
    import duckdb

    names = ", ".join(quoted(glob.escape(name)) for name in parquet_files(paths))
    try:
        with duckdb.connect(":memory:") as connection:
            found = connection.execute(
                f"SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata([{names}])"
            ).fetchone()
    except duckdb.Error:
        return 0
    return int(found[0]) if found else 0


def _meant(path: str) -> list[str]:
    if Path(path).is_dir():
        found = sorted(str(each) for each in Path(path).rglob("*.parquet"))
    elif Path(path).exists():
        found = [path]
    else:
        found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    if not found:
        raise BadInput("an existing Parquet file", got="none", where=path, fix="Check the path.")
    return found
