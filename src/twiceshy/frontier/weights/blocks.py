"""Pure functions from Arrow table to Arrow table: the same SQL as on one machine, a part at a time.

    marked = mark_rows(read, job=job)          # any rows
    weighed = weigh_rows(marked, job=job)      # rows of whole groups

Needs pyarrow, which only an engine that hands out Arrow tables brings along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.frontier.weights.refusing import Job, refuse_duplicates
from twiceshy.frontier.weights.steps import SIDECAR, mark_sql, weigh

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def mark_rows(table: pa.Table, *, job: Job, n_buckets: int = 1) -> pa.Table:
    """Return marked rows of a part of a file.

    Args:
        table: Rows with the job's columns, and `file_index` and `file_row_number`.
        job: What they are marked by.
        n_buckets: Over how many buckets groups are dealt out.

    Returns:
        The columns of `steps`, and `bucket`, the same for all rows of a group.
    """
    with _connection() as connection:
        connection.register("part", table)
        bucket = f"(hash(task, policy) % {n_buckets})::INTEGER AS bucket"
        marked = mark_sql("part", job=job)
        return connection.from_query(f"SELECT *, {bucket} FROM ({marked})").to_arrow_table()


def weigh_rows(marked: pa.Table, *, job: Job) -> pa.Table:
    """Return the sidecar's rows for marked rows of whole groups, in any order.

    Raises:
        BadInput: As `steps.weigh`.
    """
    with _connection() as connection:
        connection.register("part", marked)
        selected = weigh(connection, "SELECT * FROM part", job=job)
        listed = ", ".join(SIDECAR)
        return connection.from_query(f"SELECT {listed} FROM ({selected})").to_arrow_table()


def by_id(marked: pa.Table, *, n_buckets: int) -> pa.Table:
    """Return the ids of marked rows, and a `bucket` that is the same for all rows of an id."""
    with _connection() as connection:
        connection.register("part", marked)
        selected = f"SELECT id, (hash(id) % {n_buckets})::INTEGER AS bucket FROM part"
        return connection.from_query(f"{selected} WHERE id IS NOT NULL").to_arrow_table()


def check_ids(ids: pa.Table) -> pa.Table:
    """Return no rows, once no id is there twice; all rows of an id must be in the table.

    Raises:
        BadInput: If one is.
    """
    with _connection() as connection:
        connection.register("part", ids)
        refuse_duplicates(connection, "SELECT * FROM part")
    return ids.slice(0, 0)


def _connection() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1})
