"""Triage on disk: the report as JSON, the rows as CSV or Parquet, each file whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.files import whole_file, write_whole
from twiceshy.frontier.advice import ADVICE
from twiceshy.frontier.groups import STATES
from twiceshy.frontier.sheets import AttemptRow, GroupSheet, object_column
from twiceshy.frontier.triage import TriageResult

SheetFormat = Literal["csv", "parquet"]
Columns = Mapping[str, NDArray[Any]]


class Written(NamedTuple):
    """The files made."""

    report: Path
    groups: Path
    attempts: Path | None
    """None when triage saw counts only."""


def write_triage(
    result: TriageResult, folder: str | Path, *, sheet_format: SheetFormat = "csv"
) -> Written:
    """Write `triage.json`, `groups.*` and `attempts.*` into a folder, made when absent.

    Each file appears complete under its name or stays as it was; undefined cells are empty. Rows of
    `attempts.*` are keyed by id and by (file, line), so that logs need not be rewritten.

    Raises:
        BadInput: The folder cannot be written to, or the format is unknown.
    """
    if sheet_format not in ("csv", "parquet"):
        raise BadInput("csv or parquet", got=repr(sheet_format), where="sheet_format")
    place = Path(folder)
    write = _write_csv if sheet_format == "csv" else _write_parquet
    body = msgspec.json.format(msgspec.json.encode(result.report))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            "a folder that can be written to", got=str(error), where=str(place)
        ) from error
    report, groups = place / "triage.json", place / f"groups.{sheet_format}"
    write_whole(report, body)
    with whole_file(groups) as part:
        write(part, group_columns(result.groups))
    if result.attempts is None:
        return Written(report, groups, None)
    attempts = place / f"attempts.{sheet_format}"
    with whole_file(attempts) as part:
        write(part, attempt_columns(result.attempts))
    return Written(report, groups, attempts)


def group_columns(sheet: GroupSheet) -> dict[str, NDArray[Any]]:
    """Return the group rows by column name, each of shape (n_groups,)."""
    t, limits = sheet.tallies, sheet.intervals
    labels = [state.value for state in STATES]
    return {
        "task": t.task,
        "policy": t.policy,
        "n_success": t.n_success,
        "n_failure": t.n_failure,
        "n_broken": t.n_broken,
        "n_unscored": t.n_unscored,
        "state_as_recorded": object_column(labels, sheet.state_as_recorded),
        "state": object_column(labels, sheet.state),
        "rate": limits.rate,
        "low": limits.low,
        "high": limits.high,
        "p_in_band": sheet.p_in_band,
        "p_lucky": sheet.p_lucky,
        "q_lucky": sheet.q_lucky,
        "failure_value": sheet.failure_value,
        "advice": object_column([advice.value for advice in ADVICE], sheet.advice),
    }


def attempt_columns(rows: tuple[AttemptRow, ...]) -> dict[str, NDArray[Any]]:
    """Return the attempt rows by column name, each of shape (n_attempts,)."""
    columns: dict[str, NDArray[Any]] = {}
    for field in fields(AttemptRow):
        values = [getattr(row, field.name) for row in rows]
        if field.name in ("p_lucky", "value"):
            columns[field.name] = np.array(
                [np.nan if v is None else v for v in values], dtype=float
            )
        else:
            shown = [None if v is None else str(v) for v in values]
            columns[field.name] = np.array(shown, dtype=object)
    return columns


def _write_csv(path: Path, columns: Columns) -> None:
    cells = [_cells(column) for column in columns.values()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*cells, strict=True))


def _cells(column: NDArray[Any]) -> list[Any]:
    if column.dtype.kind != "f":
        return column.tolist()
    return [None if value != value else value for value in column.tolist()]  # NaN is unlike itself


def _write_parquet(path: Path, columns: Columns) -> None:
    import duckdb

    connection = duckdb.connect(":memory:", config={"threads": 2})
    try:
        connection.register("sheet", dict(columns))
        target = str(path).replace("'", "''")
        connection.execute(f"COPY (SELECT * FROM sheet) TO '{target}' (FORMAT parquet)")
    except duckdb.IOException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()
