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

from twiceshy.cli.grid import MAX_ROWS, UNDEFINED, laid_out, printable
from twiceshy.evidence.page import rank_lessons
from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.lessons import Effect, Lesson, LessonKind

console = Console(soft_wrap=False, highlight=False)
notes = Console(stderr=True, highlight=False)

_MARK = {"info": "note", "warning": "warning", "alarm": "ALARM"}
_MAX_LESSONS = 6
_KIND_NOUNS: dict[LessonKind, str] = {
    "avoid": "mistake to avoid",
    "recover": "way to recover",
    "strategy": "strategy",
    "demonstration": "demonstration",
    "principle": "principle",
}


def show(
    report: Report,
    *,
    as_json: bool,
    details: Path | None = None,
    picture: Path | None = None,
    lessons: Sequence[Lesson] = (),
) -> None:
    """Print a report and leave with exit code 1 when it says that a gate failed.

    Args:
        report: What to print.
        as_json: Print `report.numbers` (with alarms and manifest) as one JSON object instead.
        details: Where the full result was written, named in the last line.
        picture: Where the picture was written, named before it.
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
        if picture is not None:
            tell_path("Picture", picture)
        if details is not None:
            tell_path("Details", details)
    if not report.ok:
        raise typer.Exit(1)


def tell_path(label: str, path: Path) -> None:
    """Print where something lies, on one line of its own however long it is."""
    console.print(printable(f"{label}: {path}"), markup=False, soft_wrap=True)


def note(line: str) -> None:
    """Print a line on stderr; it is wrapped for a terminal only, so that it can be searched for."""
    notes.print(printable(line), markup=False, soft_wrap=not notes.is_terminal)


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
        console.print(printable(sentence), markup=False)
    for table in report.tables:
        _print_table(table)
    if report.alarms:
        console.print()
    for alarm in report.alarms:
        _print_alarm(alarm)


def _print_table(table: Table) -> None:
    grid = laid_out(table, width=console.width)
    if grid is None:
        return
    console.print()
    console.print(table.title, style="bold", markup=False)
    console.print(grid)
    hidden = len(table.rows) - MAX_ROWS
    if hidden > 0:
        console.print(f"and {hidden} more", style="dim")
    undefined = any(cell == UNDEFINED for column in grid.columns for cell in column.cells)
    note = f"{table.note} {UNDEFINED} is undefined." if undefined else table.note
    if note:
        console.print(printable(note.strip()), style="dim", markup=False)


def _print_alarm(alarm: Alarm) -> None:
    source = f" [{alarm.source}]" if alarm.source else ""
    console.print(printable(f"{_MARK[alarm.severity]}: {alarm.message}{source}"), markup=False)


def print_lessons(lessons: Sequence[Lesson]) -> None:
    """Print the first lessons in words, and count the rest by kind."""
    if not lessons:
        return
    ranked = rank_lessons(lessons)
    mined = [each for each in ranked if each.kind != "demonstration"]
    console.print()
    console.print("Lessons", style="bold")
    for number, lesson in enumerate(mined[:_MAX_LESSONS], start=1):
        console.print(_hanging(f"{number}. {lesson.text}"), markup=False)
        console.print(_hanging(f"   {evidence_line(lesson)}"), style="dim", markup=False)
    rest = Counter(
        _KIND_NOUNS[each.kind]
        for each in (
            *mined[_MAX_LESSONS:],
            *(each for each in ranked if each.kind == "demonstration"),
        )
    )
    if rest:
        more = ", ".join(counted(n, kind) for kind, n in rest.items())
        console.print(_hanging(f"   More in the report: {more}."), markup=False)


def _hanging(text: str) -> str:
    """Wrap a numbered item so that its later lines start under its first word."""
    return textwrap.fill(
        printable(text),
        console.width,
        initial_indent=" ",
        subsequent_indent="    ",
        break_long_words=False,
    )


def counted(n: int, noun: str) -> str:
    """Return a count with its noun.

    Example:
        >>> counted(1, "task"), counted(0, "strategy"), counted(2, "way to recover")
        ('1 task', '0 strategies', '2 ways to recover')
    """
    if n == 1:
        return f"{n} {noun}"
    first, space, rest = noun.partition(" to ")
    plural = f"{first[:-1]}ies" if first[-2:] in ("gy", "cy") else f"{first}s"
    return f"{n} {plural}{space}{rest}"


def evidence_line(lesson: Lesson) -> str:
    """Return level, counts and effects of a lesson in one line.

    Example:
        >>> evidence_line(Lesson(id="x", kind="avoid", text="Do Y instead of X."))
        'described; 0 attempts for, 0 against; 0 informative tasks'
    """
    evidence = lesson.evidence
    parts = [
        lesson.level.value.replace("_", " "),
        f"{counted(evidence.n_for, 'attempt')} for, {evidence.n_against} against",
        counted(evidence.n_informative_tasks, "informative task"),
    ]
    held_out = None if evidence.repeats_mined else evidence.held_out
    for name, effect in (("within task", evidence.within_task), ("held out", held_out)):
        if effect is not None and effect.estimate is not None:
            parts.append(f"{name} {_effect(effect)}")
    if evidence.repeats_mined:
        parts.append("selected whichever tasks are left out")
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
