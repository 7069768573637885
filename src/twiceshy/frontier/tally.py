"""Counts straight from a file of scalar outcomes, by DuckDB, in bounded memory.

Meant for millions of rollouts. Only the task, policy and verdict columns are read; tokens and texts
stay on the disk. Logs that need a reader (conversations, typed faults) go through
`twiceshy.attempts` and `tally_attempts` instead.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twiceshy.errors import BadInput
from twiceshy.frontier.groups import Tallies

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "1GB"
THREADS = 2
FIELDS = ("task", "policy", "outcome", "success", "reward", "recorded")
VERDICTS = ("outcome", "success", "reward")
_READERS = {
    ".parquet": "read_parquet(?)",
    ".jsonl": "read_json_auto(?, format='newline_delimited')",
    ".ndjson": "read_json_auto(?, format='newline_delimited')",
    ".json": "read_json_auto(?)",
    ".csv": "read_csv_auto(?)",
}
_OUTCOMES = "('success', 'failure', 'broken', 'unscored')"


class _Query(NamedTuple):
    select: str
    verdict: str
    """The name of the verdict column, for messages."""


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
            false) or `reward` (number), and `recorded` (the outcome as the log counted it). Dots
            reach into structs. A field not given here is looked for under its own name.
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
        chosen = _choose({str(row[0]): str(row[1]) for row in found}, columns or {}, str(path))
        query = _query(chosen, threshold)
        rows = _grouped(connection, f"{query.select} FROM {source}", name)
    except duckdb.Error as error:
        raise BadInput(
            "a readable table of attempts", got=_first_line(error), where=str(path)
        ) from error
    finally:
        connection.close()
    _check(rows, query.verdict, path=str(path), threshold=threshold)
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
            _choose({str(row[0]): str(row[1]) for row in found}, columns or {}, str(path))
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


def _choose(found: Mapping[str, str], columns: Mapping[str, str], where: str) -> dict[str, str]:
    for field in columns:
        if field not in FIELDS:
            raise BadInput(f"one of {', '.join(FIELDS)}", got=repr(field), where="columns")
    chosen = dict(columns) | {
        field: field for field in FIELDS if field in found and field not in columns
    }
    listing = ", ".join(found)
    for field, column in chosen.items():
        if column not in found and column.split(".")[0] not in found:
            raise _missing(f"a column {column!r} for {field}", listing, where)
    if "task" not in chosen:
        raise _missing("a column 'task'", listing, where)
    if not any(verdict in chosen for verdict in VERDICTS):
        raise _missing(f"a verdict column ({', '.join(VERDICTS)})", listing, where)
    return {field: _identifier(column, found) for field, column in chosen.items()}


def _missing(expected: str, listing: str, where: str) -> BadInput:
    fix = "Name the columns, as --map task=question,success=is_correct."
    return BadInput(expected, got=f"columns {listing}", where=where, fix=fix)


def _identifier(column: str, found: Mapping[str, str]) -> str:
    parts = [column] if column in found else column.split(".")
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def _query(chosen: Mapping[str, str], threshold: float | None) -> _Query:
    verdict = next(field for field in VERDICTS if field in chosen)
    outcome = _outcome(verdict, chosen[verdict], threshold)
    recorded = f"lower(CAST({chosen['recorded']} AS VARCHAR))" if "recorded" in chosen else "NULL"
    policy = chosen.get("policy", "NULL")
    select = (
        f"SELECT CAST({chosen['task']} AS VARCHAR) AS task, "
        f"coalesce(CAST({policy} AS VARCHAR), 'unknown') AS policy, {outcome} AS outcome, "
        f"coalesce({recorded}, {outcome}) AS recorded"
    )
    return _Query(select, chosen[verdict])


def _outcome(verdict: str, column: str, threshold: float | None) -> str:
    if verdict == "outcome":
        return f"lower(coalesce(CAST({column} AS VARCHAR), 'unscored'))"
    if verdict == "success":
        number = f"CAST(TRY_CAST({column} AS BOOLEAN) AS DOUBLE)"
        right, wrong = f"{number} = 1", f"{number} = 0"
    else:
        number = f"TRY_CAST({column} AS DOUBLE)"
        right = f"{number} = 1" if threshold is None else f"{number} >= {float(threshold)!r}"
        wrong = f"{number} = 0" if threshold is None else f"{number} < {float(threshold)!r}"
    return (
        f"CASE WHEN {column} IS NULL OR isnan({number}) THEN 'unscored' WHEN {right} THEN 'success'"
        f" WHEN {wrong} THEN 'failure' ELSE 'odd' END"
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
    # With pandas about, an ENUM column would come as its Categorical; there is none here.
    columns: dict[str, Any] = connection.execute(
        f"SELECT task, policy, {counts}, {odd} FROM ({selected}) GROUP BY task, policy "
        "ORDER BY task, policy",
        [name],
    ).fetchnumpy()
    return columns


def _check(
    rows: Mapping[str, np.ndarray[Any, Any]],
    verdict: str,
    *,
    path: str,
    threshold: float | None,
) -> None:
    if np.ma.getmaskarray(rows["task"]).any():
        raise BadInput("a task in every row", got="rows without one", where=path)
    n_odd = int(rows["n_odd"].sum())
    if n_odd:
        fix = "" if threshold is not None else "Give a threshold if it is a graded reward."
        raise BadInput(
            f"a success, failure or null in {verdict}",
            got=f"{n_odd} rows with something else",
            where=path,
            fix=fix,
        )


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
