"""From marked rows to a sidecar, as SQL on any DuckDB connection.

Marked rows are (file_index INTEGER, row BIGINT, task, policy, kind UTINYINT, outcome UTINYINT).
`outcome` is a code into `OUTCOMES`, or `ODD`; `kind` is the same, or `TRUNCATED` where the row
abstains; an `id` may be beside them. They may be files or an Arrow table, and a group's rows may
lie anywhere in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twiceshy.frontier.columns import OUTCOMES, flag_sql, outcome_sql, policy_sql
from twiceshy.frontier.weights.refusing import ODD, Job, refuse_rows, refuse_small_groups
from twiceshy.frontier.weights.rulings import N_KINDS, TRUNCATED, Profiles, rule
from twiceshy.frontier.weights.settings import WeightSettings

if TYPE_CHECKING:
    import duckdb

SIDECAR = (
    "file_index", "row", "outcome", "state", "n_success", "n_scored", "group_size",
    "advantage", "p_lucky", "keep", "why",
)  # fmt: skip
"""Columns of what `weigh` selects; in a file the first is `file`, a name."""
_PROFILE = "n_rows, n_success, n_failure, n_broken, p0"


def mark_sql(source: str, *, job: Job) -> str:
    """Return SQL for marked rows; `source` has `file_index` and `file_row_number` columns."""
    columns = job.columns
    codes = " ".join(f"WHEN '{name}' THEN {code}" for code, name in enumerate(OUTCOMES))
    cut = "false"
    if columns.truncated is not None and job.settings.truncated_as == "abstain":
        cut = flag_sql(columns.truncated)
    named = "" if columns.id is None else f", CAST({columns.id} AS VARCHAR) AS id"
    return (
        f"SELECT file_index, row, task, policy, outcome,"
        f" CASE WHEN cut AND outcome < 2 THEN {TRUNCATED} ELSE outcome END::UTINYINT AS kind"
        f"{named and ', id'} FROM (SELECT CAST(file_index AS INTEGER) AS file_index,"
        f" CAST(file_row_number AS BIGINT) AS row, CAST({columns.task} AS VARCHAR) AS task,"
        f" {policy_sql(columns)} AS policy, {cut} AS cut{named},"
        f" (CASE {outcome_sql(columns, job.threshold)} {codes} ELSE {ODD} END)::UTINYINT AS outcome"
        f" FROM {source})"
    )


def weigh(connection: duckdb.DuckDBPyConnection, rows: str, *, job: Job) -> str:
    """Count groups, rule on each distinct one, and return SQL that selects the sidecar's rows.

    Args:
        connection: Gets tables `weigh_group`, `weigh_ruling` and what they were made from.
        rows: SQL of marked rows.
        job: What to give them.

    Raises:
        BadInput: A row has no task or an odd verdict, a group is too small and such groups are to
            be refused, or the settings do not fit.
    """
    settings = job.settings
    _count_groups(connection, rows, settings=settings)
    refuse_rows(connection, rows, job=job)
    refuse_small_groups(connection, settings)
    profiles = _profiles(connection)
    rulings = rule(profiles, settings)
    n_cases = len(profiles.n_rows) * N_KINDS
    keys = {"profile": np.arange(n_cases) // N_KINDS, "kind": np.arange(n_cases) % N_KINDS}
    scored = np.repeat(profiles.n_success + profiles.n_failure, N_KINDS)
    counts = {
        "n_success": np.repeat(profiles.n_success, N_KINDS),
        "n_scored": scored,
        "group_size": np.repeat(profiles.n_rows, N_KINDS),
    }
    keep_table(connection, "weigh_ruling", {**keys, **counts, **rulings})
    names = ", ".join(f"'{name}'" for name in OUTCOMES)
    return (
        f"SELECT file_index, row, ([{names}])[outcome + 1] AS outcome, state::VARCHAR AS state,"
        " n_success::INTEGER AS n_success, n_scored::INTEGER AS n_scored,"
        " group_size::INTEGER AS group_size, nullif(advantage, 'NaN'::FLOAT) AS advantage,"
        " nullif(p_lucky, 'NaN'::DOUBLE) AS p_lucky, keep, why::VARCHAR AS why"
        f" FROM ({rows}) JOIN weigh_group USING (task, policy)"
        " JOIN weigh_ruling USING (profile, kind)"
    )


def _count_groups(
    connection: duckdb.DuckDBPyConnection, rows: str, *, settings: WeightSettings
) -> None:
    counted = ", ".join(
        f"count(*) FILTER (kind = {OUTCOMES.index(name)}) AS n_{name}"
        for name in ("success", "failure", "broken")
    )
    counted += f", count(*) FILTER (outcome = {ODD}) AS n_odd"
    p0 = "NULL" if settings.p0 is None else "p0"
    joined = ""
    if isinstance(settings.p0, Mapping):
        tasks = np.array(list(settings.p0), dtype=object)
        rates = np.array(list(settings.p0.values()), dtype=float)
        keep_table(connection, "weigh_p0", {"task": tasks, "p0": rates})
        joined = " LEFT JOIN weigh_p0 USING (task)"
    elif settings.p0 is not None:
        p0 = repr(float(settings.p0))
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE weigh_count AS SELECT *, {p0}::DOUBLE AS p0 FROM"
        f" (SELECT task, policy, count(*) AS n_rows, {counted} FROM ({rows})"
        f" GROUP BY task, policy){joined}"
    )


def _profiles(connection: duckdb.DuckDBPyConnection) -> Profiles:
    """Number the distinct groups and return them in that order."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE weigh_profile AS SELECT *, row_number() OVER"
        f" (ORDER BY {_PROFILE}) - 1 AS profile FROM (SELECT DISTINCT {_PROFILE} FROM weigh_count)"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE weigh_group AS SELECT task, policy, profile FROM weigh_count"
        " AS c JOIN weigh_profile AS p ON c.n_rows = p.n_rows AND c.n_success = p.n_success"
        " AND c.n_failure = p.n_failure AND c.n_broken = p.n_broken"
        " AND c.p0 IS NOT DISTINCT FROM p.p0"
    )
    found = connection.execute(
        f"SELECT {_PROFILE} FROM weigh_profile ORDER BY profile"
    ).fetchnumpy()
    p0 = np.ma.filled(np.ma.asarray(found.pop("p0")).astype(float), np.nan)
    counts = {name: np.ma.getdata(column).astype(np.int64) for name, column in found.items()}
    return Profiles(**counts, p0=p0)


def keep_table(connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, Any]) -> None:
    """Make a table of numpy columns."""
    connection.register("weigh_columns", columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM weigh_columns")
    connection.unregister("weigh_columns")
