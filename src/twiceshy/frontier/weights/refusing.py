"""What is wrong with rows and groups, said in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from twiceshy.errors import BadInput
from twiceshy.frontier.columns import Columns, odd_verdicts
from twiceshy.frontier.weights.rulings import least_rows
from twiceshy.frontier.weights.settings import WeightSettings

if TYPE_CHECKING:
    import duckdb

ODD = 255
"""Outcome of a marked row whose verdict is none."""


class Job(NamedTuple):
    """What every part of the rows is marked and weighed by, wherever that runs."""

    settings: WeightSettings
    columns: Columns
    files: tuple[str, ...]
    """Names by `file_index`."""
    threshold: float | None = None
    """A reward at or above it is a success; None: it must be 0 or 1."""


def refuse_rows(connection: duckdb.DuckDBPyConnection, rows: str, *, job: Job) -> None:
    """Refuse rows without a task or with an odd verdict; the groups are counted already.

    Raises:
        BadInput: If there is one, with the first.
    """
    found = connection.execute(
        "SELECT sum(n_rows) FILTER (task IS NULL), sum(n_odd) FROM weigh_count"
    ).fetchone()
    n_nameless, n_odd = found or (None, None)
    if n_nameless:
        raise BadInput(
            f"a group (a task) in every row, in column {job.columns.task}",
            got=f"{n_nameless} rows without one",
            where=_first(connection, rows, where="task IS NULL", job=job),
            fix="Fill it in or filter these rows out; --map task=COLUMN takes another column.",
        )
    if n_odd:
        place = _first(connection, rows, where=f"outcome = {ODD}", job=job)
        raise odd_verdicts(int(n_odd), job.columns, where=place, threshold=job.threshold)


def refuse_small_groups(connection: duckdb.DuckDBPyConnection, settings: WeightSettings) -> None:
    """Refuse groups that are too small for the objective; the groups are counted already.

    Raises:
        BadInput: If there is one, and they are not to be dropped.
    """
    if settings.small_groups == "drop":
        return
    least = least_rows(settings)
    found = connection.execute(
        "SELECT count(*) OVER (), task, n_rows FROM weigh_count WHERE n_rows < ?"
        " ORDER BY n_rows, task LIMIT 1",
        [least],
    ).fetchone()
    if found is None:
        return
    raise BadInput(
        f"at least {least} attempts in every group for {settings.objective}",
        got=f"{found[0]} groups with fewer, as task {found[1]!r} with {found[2]}",
        where="group",
        fix="Leave such groups out (--small-groups drop), or take an objective without a group"
        " baseline (psr, nsr, w_reinforce, reinforce).",
    )


def refuse_no_label(n_scored: int, *, n_rows: int, where: str) -> None:
    """Refuse rows of which none is a success or a failure.

    Raises:
        BadInput: If so.
    """
    if not n_rows:
        raise BadInput("at least one row", got="none", where=where, fix="Check the path.")
    if not n_scored:
        raise BadInput(
            "at least one row that is a success or a failure",
            got=f"none among {n_rows}",
            where=where,
            fix="Join outcomes first: twiceshy import FILE --outcomes LABELS -o attempts.parquet",
        )


def refuse_duplicates(connection: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Refuse rows of which two have the same id; rows without id are not compared.

    Raises:
        BadInput: If so.
    """
    found = connection.execute(
        f"SELECT id, n, count(*) OVER () FROM (SELECT id, count(*) AS n FROM ({rows})"
        " WHERE id IS NOT NULL GROUP BY id HAVING n > 1) ORDER BY id LIMIT 1"
    ).fetchone()
    if found is not None:
        raise BadInput(
            "every row id once",
            got=f"{found[2]} ids on several rows, as {found[0]!r} on {found[1]}",
            where="id",
            fix="Drop the copies, or map another column: --map id=COLUMN",
        )


def _first(connection: duckdb.DuckDBPyConnection, rows: str, *, where: str, job: Job) -> str:
    found = connection.execute(
        f"SELECT file_index, row FROM ({rows}) WHERE {where} ORDER BY 1, 2 LIMIT 1"
    ).fetchone()
    return f"{job.files[found[0]]}, row {found[1]}" if found else ""
