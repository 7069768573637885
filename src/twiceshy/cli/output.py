"""How results look: text for people, JSON for programs."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.table import Table as RichTable

from twiceshy.evidence.page import rank_lessons
from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.lessons import Effect, Lesson

console = Console(soft_wrap=False, highlight=False)
notes = Console(stderr=True, highlight=False)

_MARK = {"info": "note", "warning": "warning", "alarm": "ALARM"}
_MAX_ROWS = 12
_MAX_LESSONS = 6
_MAX_CELL = 60
_TINY = 0.0005
_UNDEFINED = "–"


def show(
    report: Report, *, as_json: bool, details: Path | None = None, lessons: Sequence[Lesson] = ()
) -> None:
    """Print a report and leave with exit code 1 when it says that a gate failed.

    Args:
        report: What to print.
        as_json: Print `report.numbers` (with alarms and manifest) as one JSON object instead.
        details: Where the full result was written, named in the last line.
        lessons: Printed in words after the tables.

    Raises:
        typer.Exit: With code 1 when `report.ok` is false.
    """
    if as_json:
        sys.stdout.buffer.write(as_json_bytes(report) + b"\n")
        sys.stdout.flush()
    else:
        print_report(report)
        print_lessons(lessons)
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
        _print_table(table)
    for alarm in report.alarms:
        _print_alarm(alarm)


def _print_table(table: Table) -> None:
    if not table.rows:
        return
    console.print()
    lines = _rich_table(table)
    console.print(lines)
    undefined = any(cell == _UNDEFINED for column in lines.columns for cell in column.cells)
    note = f"{table.note} {_UNDEFINED} is undefined." if undefined else table.note
    if note:
        console.print(note.strip(), style="dim", markup=False)


def _print_alarm(alarm: Alarm) -> None:
    source = f" [{alarm.source}]" if alarm.source else ""
    console.print(f"{_MARK[alarm.severity]}: {alarm.message}{source}", markup=False)


def _rich_table(table: Table) -> RichTable:
    rich_table = RichTable(title=table.title, title_justify="left", title_style="bold", box=None)
    known = [
        column
        for column in range(len(table.columns))
        if any(row[column] is not None for row in table.rows)
    ]
    shown = [[_plain(row[column]) for column in known] for row in table.rows[:_MAX_ROWS]]
    widths = [
        max(*(len(word) for word in table.columns[column].split()), *(len(row[i]) for row in shown))
        for i, column in enumerate(known)
    ]
    for column, width in zip(known, _fitted(widths, console.width - 2 * len(known)), strict=True):
        rich_table.add_column(
            textwrap.fill(table.columns[column], width),
            justify="right" if _is_numeric(table, column) else "left",
            width=width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in shown:
        rich_table.add_row(*row)
    left = len(table.rows) - _MAX_ROWS
    if left > 0:
        rich_table.caption = f"and {left} more rows"
        rich_table.caption_justify = "left"
    return rich_table


def _fitted(widths: list[int], room: int) -> list[int]:
    """Return the widths with the widest column cut until all fit.

    Example:
        >>> _fitted([4, 30, 20], 40)
        [4, 18, 18]
    """
    widths = list(widths)
    while sum(widths) > room and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    return widths


def _is_numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows if row[column] is not None]
    return bool(cells) and all(isinstance(cell, int | float) for cell in cells)


def _plain(cell: str | int | float | bool | None) -> str:
    r"""Return one cell as text of one line, with rich's markup characters made inert.

    Example:
        >>> _plain(None), _plain(0.25), _plain("[bold]")
        ('–', '0.250', '\\[bold]')
    """
    from rich.markup import escape

    if cell is None:
        return _UNDEFINED
    if isinstance(cell, float):
        return f"{cell:.3f}" if cell == 0 or abs(cell) >= _TINY else f"{cell:.0e}"
    text = " ".join(str(cell).split())
    return escape(text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…")


def print_lessons(lessons: Sequence[Lesson]) -> None:
    """Print the first lessons in words, and count the rest by kind."""
    if not lessons:
        return
    ranked = rank_lessons(lessons)
    mined = [each for each in ranked if each.kind != "demonstration"]
    console.print()
    console.print("Lessons", style="bold")
    for number, lesson in enumerate(mined[:_MAX_LESSONS], start=1):
        console.print(f" {number}. {lesson.text}", markup=False)
        console.print(f"    {evidence_line(lesson)}", style="dim", markup=False)
    rest = Counter(
        each.kind
        for each in (
            *mined[_MAX_LESSONS:],
            *(each for each in ranked if each.kind == "demonstration"),
        )
    )
    if rest:
        counted = ", ".join(f"{kind} {n}" for kind, n in rest.items())
        console.print(f"    More in the report: {counted}.", markup=False)


def evidence_line(lesson: Lesson) -> str:
    """Return level, counts and effects of a lesson in one line.

    Example:
        >>> evidence_line(Lesson(id="x", kind="avoid", text="Do Y instead of X."))
        'described; 0 attempts for, 0 against; 0 informative tasks'
    """
    evidence = lesson.evidence
    parts = [
        lesson.level.value.replace("_", " "),
        f"{evidence.n_for} attempts for, {evidence.n_against} against",
        f"{evidence.n_informative_tasks} informative tasks",
    ]
    for name, effect in (("within task", evidence.within_task), ("held out", evidence.held_out)):
        if effect is not None and effect.estimate is not None:
            parts.append(f"{name} {_effect(effect)}")
    if evidence.signs_differ:
        parts.append("pooled effect points the other way")
    return "; ".join(parts)


def _effect(effect: Effect) -> str:
    interval = (
        f" [{effect.low:+.2f}, {effect.high:+.2f}]"
        if effect.low is not None and effect.high is not None
        else ""
    )
    return f"{effect.estimate:+.2f}{interval}"
