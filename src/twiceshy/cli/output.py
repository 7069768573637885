"""How results look: text for people, JSON for programs."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.table import Table as RichTable

from twiceshy.evidence.report import Alarm, Report, Table

console = Console(soft_wrap=False, highlight=False)
notes = Console(stderr=True, highlight=False)

_MARK = {"info": "note", "warning": "warning", "alarm": "ALARM"}
_MAX_ROWS = 30


def show(report: Report, *, as_json: bool, details: Path | None = None) -> None:
    """Print a report and leave with exit code 1 when it says that a gate failed.

    Args:
        report: What to print.
        as_json: Print `report.numbers` (with alarms and manifest) as one JSON object instead.
        details: Where the full result was written, named in the last line.

    Raises:
        typer.Exit: With code 1 when `report.ok` is false.
    """
    if as_json:
        sys.stdout.buffer.write(as_json_bytes(report) + b"\n")
        sys.stdout.flush()
    else:
        print_report(report)
        if details is not None:
            console.print(f"Details: {details}")
    if not report.ok:
        raise typer.Exit(1)


def as_json_bytes(report: Report) -> bytes:
    """Return the report's numbers, alarms and manifest as one indented JSON object."""
    body = {
        "kind": report.kind,
        **report.numbers,
        "alarms": report.alarms,
        "ok": report.ok,
        "manifest": report.manifest,
    }
    return msgspec.json.format(msgspec.json.encode(body), indent=2)


def print_report(report: Report) -> None:
    """Print summary, tables and alarms, in that order."""
    for sentence in report.summary:
        console.print(sentence, markup=False)
    for table in report.tables:
        console.print(_rich_table(table))
        if table.note:
            console.print(table.note, style="dim", markup=False)
    for alarm in report.alarms:
        _print_alarm(alarm)


def _print_alarm(alarm: Alarm) -> None:
    source = f" [{alarm.source}]" if alarm.source else ""
    console.print(f"{_MARK[alarm.severity]}: {alarm.message}{source}", markup=False)


def _rich_table(table: Table) -> RichTable:
    rich_table = RichTable(title=table.title, title_justify="left", title_style="bold", box=None)
    numeric = [_is_numeric(table, column) for column in range(len(table.columns))]
    for name, is_number in zip(table.columns, numeric, strict=True):
        rich_table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in table.rows[:_MAX_ROWS]:
        rich_table.add_row(*(_plain(cell) for cell in row))
    left = len(table.rows) - _MAX_ROWS
    if left > 0:
        rich_table.caption = f"... and {left} more rows (--json or the report has them all)"
        rich_table.caption_justify = "left"
    return rich_table


def _is_numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows if row[column] is not None]
    return bool(cells) and all(isinstance(cell, int | float) for cell in cells)


def _plain(cell: str | int | float | bool | None) -> str:
    r"""Return one cell as text, with rich's markup characters made inert.

    Example:
        >>> _plain(None), _plain(0.25), _plain("[bold]")
        ('undefined', '0.250', '\\[bold]')
    """
    from rich.markup import escape

    if cell is None:
        return "undefined"
    if isinstance(cell, float):
        return f"{cell:.3f}"
    return escape(str(cell))
