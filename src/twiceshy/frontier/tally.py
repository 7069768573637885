"""Counts straight from a file of scalar outcomes, by DuckDB, in bounded memory.

Meant for millions of rollouts. Only the task, policy and verdict columns are read; tokens and texts
stay on the disk. Logs that need a reader (conversations, typed faults) go through
`twiceshy.attempts` and `tally_attempts` instead.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twiceshy.errors import BadInput
from twiceshy.frontier.columns import (
    OUTCOMES,
    Columns,
    choose_columns,
    odd_verdicts,
    outcome_sql,
    policy_sql,
    verdict_sql,
)
from twiceshy.frontier.groups import Tallies

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "1GB"
THREADS = 2
_READERS = {
    ".parquet": "read_parquet(?)",
    ".jsonl": "read_json_auto(?, format='newline_delimited')",
    ".ndjson": "read_json_auto(?, format='newline_delimited')",
    ".json": "read_json_auto(?)",
    ".csv": "read_csv_auto(?)",
}
_OUTCOMES = "('" + "', '".join(OUTCOMES) + "')"


def tally_file(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    threshold: float | None = None,
) -> Tallies:
    """Count outcomes by (task, policy) in a Parquet, JSONL, JSON or CSV file of one row an attempt.

    Args:
        path: A file, or a glob of files of one format.
        columns: Our field to the file's column. Fields: `task` (needed), `policy` ("unknown" when
            absent), one of `outcome` (success, failure, broken, unscored), `success` (true or
            false) or `reward` (number), `recorded` (the outcome as the log counted it) and
            `broken` (a flag: the world failed). `columns.choose_columns` says what else is tried.
        threshold: A reward at or above it is a success. None: rewards must be 0 or 1.

    Returns:
        Tallies sorted by task and policy. A null verdict is unscored, never a failure.

    Raises:
        BadInput: The file cannot be read, a column is missing, a task is null, or a verdict is not
            one of those named.
    """
    import duckdb

    source, name = _source(path)
    settings: dict[str, Any] = {
        "memory_limit": MEMORY_LIMIT,
        "threads": THREADS,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    connection = duckdb.connect(":memory:", config=settings)
    try:
        found = connection.execute(f"DESCRIBE SELECT * FROM {source}", [name]).fetchall()
        types = {str(row[0]): str(row[1]) for row in found}
        chosen = choose_columns(types, columns or {}, where=str(path))
        rows = _grouped(connection, f"{_select(chosen, threshold)} FROM {source}", name)
    except duckdb.Error as error:
        raise BadInput(
            "a readable table of attempts", got=_first_line(error), where=str(path)
        ) from error
    finally:
        connection.close()
    _check(rows, chosen, path=str(path), threshold=threshold)
    return _tallies(rows)


def rows_to_count(path: str | Path, *, columns: Mapping[str, str] | None = None) -> int:
    """Return the rows of a Parquet that `tally_file` could count; 0 when it could not.

    Reads the footer only.
    """
    import duckdb

    try:
        with duckdb.connect(":memory:") as connection:
            source, name = _source(path)
            found = connection.execute(f"DESCRIBE SELECT * FROM {source}", [name]).fetchall()
            types = {str(row[0]): str(row[1]) for row in found}
            choose_columns(types, columns or {}, where=str(path))
            counted = connection.execute(f"SELECT count(*) FROM {source}", [name]).fetchone()
    except (duckdb.Error, BadInput):
        return 0
    return int(counted[0]) if counted else 0


def _source(path: str | Path) -> tuple[str, str]:
    shown = str(path)
    suffixes = [suffix for suffix in Path(shown).suffixes if suffix not in (".gz", ".zst")]
    kind = suffixes[-1].lower() if suffixes else ""
    if kind not in _READERS:
        known = ", ".join(_READERS)
        raise BadInput(f"a file ending in one of {known}", got=kind or "no ending", where=shown)
    if Path(shown).exists():
        return _READERS[kind], glob.escape(shown)
    if glob.has_magic(shown) and glob.glob(shown, recursive=True):
        return _READERS[kind], shown
    raise BadInput("an existing file", got="none", where=shown, fix="Check the path.")


def _select(columns: Columns, threshold: float | None) -> str:
    """Return SQL for task, policy, outcome and the outcome as the log counted it."""
    judged = verdict_sql(columns, threshold)
    recorded = f"lower(CAST({columns.recorded} AS VARCHAR))" if columns.recorded else "NULL"
    return (
        f"SELECT CAST({columns.task} AS VARCHAR) AS task, {policy_sql(columns)} AS policy, "
        f"{outcome_sql(columns, threshold)} AS outcome, coalesce({recorded}, {judged}) AS recorded"
    )


def _grouped(
    connection: duckdb.DuckDBPyConnection, selected: str, name: str
) -> dict[str, np.ndarray[Any, Any]]:
    counts = ", ".join(
        f"count(*) FILTER ({column} = '{outcome}') AS {label}"
        for column, outcome, label in (
            ("outcome", "success", "n_success"),
            ("outcome", "failure", "n_failure"),
            ("outcome", "broken", "n_broken"),
            ("outcome", "unscored", "n_unscored"),
            ("recorded", "success", "n_recorded_success"),
            ("recorded", "failure", "n_recorded_failure"),
        )
    )
    odd = f"count(*) FILTER (outcome NOT IN {_OUTCOMES} OR recorded NOT IN {_OUTCOMES}) AS n_odd"
    columns = connection.execute(
        f"SELECT task, policy, {counts}, {odd} FROM ({selected}) GROUP BY task, policy "
        "ORDER BY task, policy",
        [name],
    ).fetchnumpy()
    # Only an ENUM column would come back as anything but an array; nulls come masked.
    return {name: np.ma.asarray(column) for name, column in columns.items()}


def _check(
    rows: Mapping[str, np.ndarray[Any, Any]],
    columns: Columns,
    *,
    path: str,
    threshold: float | None,
) -> None:
    if np.ma.getmaskarray(rows["task"]).any():
        raise BadInput("a task in every row", got="rows without one", where=path)
    n_odd = int(rows["n_odd"].sum())
    if n_odd:
        raise odd_verdicts(n_odd, columns, where=path, threshold=threshold)


def _tallies(rows: Mapping[str, np.ndarray[Any, Any]]) -> Tallies:
    count = {
        label: np.ma.getdata(values).astype(np.int64)
        for label, values in rows.items()
        if label.startswith("n_") and label != "n_odd"
    }
    names = (np.ma.getdata(rows[field]).astype(object) for field in ("task", "policy"))
    return Tallies(*names, **count)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
