"""`twiceshy bank export` and `import`: lessons out of a bank and into one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from twiceshy.cli.bank import DEFAULT, IN_USE, BankPath, app
from twiceshy.cli.inputs import AsJson
from twiceshy.cli.output import counted, note, show
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm, Report
from twiceshy.lessons import Status
from twiceshy.memory.bank import Bank, portable
from twiceshy.memory.intake import Intake, take_in

Form = Literal["lessons", "markdown", "skills", "log"]


@app.command("export", short_help="Lessons as JSONL, Markdown or skill folders.")
def export(
    out: Annotated[Path, typer.Argument(help="File, or folder for skills.")],
    bank: BankPath = DEFAULT,
    form: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="lessons (JSONL), markdown, skills or log; by the name when left out.",
        ),
    ] = None,
    status: Annotated[
        list[Status] | None,
        typer.Option(
            "--status", help="Only these; left out, all in JSONL and those in use elsewhere."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write lessons with all that is known of them, or with --as log the bank's whole history."""
    chosen = _form(form, out)
    with Bank.open(bank, must_exist=True, read_only=True) as opened:
        if chosen == "log":
            n_written, noun = portable.write_log(opened.events(), out), "event"
        else:
            wanted = status or (None if chosen == "lessons" else IN_USE)
            lessons = opened.lessons(statuses=wanted)
            n_written, noun = len(lessons), "lesson"
            if chosen == "lessons":
                portable.write_lessons(lessons, out)
            elif chosen == "markdown":
                portable.write_markdown(lessons, out)
            else:
                portable.write_skills(lessons, out)
    report = Report(
        kind="bank export",
        title=f"Export of {bank.name}",
        summary=(f"Wrote {counted(n_written, noun)}.",),
        numbers={"n_written": n_written, "form": chosen, "out": str(out)},
    )
    show(report, as_json=as_json, details=out)


def _form(given: str | None, out: Path) -> Form:
    forms: tuple[Form, ...] = get_args(Form)
    by_name: dict[str, Form] = {".jsonl": "lessons", ".md": "markdown", "": "skills"}
    chosen = given if given is not None else by_name.get(out.suffix)
    for form in forms:
        if form == chosen:
            return form
    raise BadInput(
        f"one of {', '.join(forms)}" if given else "a name ending in .jsonl or .md, or a folder",
        got=repr(given or out.name),
        where="--as" if given else str(out),
    )


@app.command("import", short_help="Lessons of another bank or system.")
def import_lessons(
    source: Annotated[Path, typer.Argument(help="File or folder of lessons.")],
    bank: BankPath = DEFAULT,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help=f"{', '.join(portable.FORMATS)}, log; found out when left out."
        ),
    ] = None,
    as_is: Annotated[
        bool,
        typer.Option("--as-is", help="Your own export: keep status and level, change nothing."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add lessons as candidates with their origin; those that are known stay as they are."""
    if form == "log":
        _restore(source, bank, as_json=as_json)
        return
    found = portable.read_lessons(source, format=_format(form))
    for each in found.unreadable:
        note(f"{each.where}: expected {each.expected}, got {each.got}.")
    if not found.lessons:
        raise BadInput("at least one lesson that can be read", got="none", where=str(source))
    with Bank.open(bank) as opened:
        taken = take_in(found, opened.lessons(), file=source.name, as_is=as_is)
        opened.apply(taken.edits, actor=f"import {found.format}")
    report = Report(
        kind="bank import",
        title=f"Import of {source.name}",
        summary=(
            f"Added {counted(len(taken.edits), 'lesson')} of {found.format}; "
            f"{len(taken.known)} were known, {len(found.unreadable)} could not be read.",
        ),
        numbers={"format": found.format, "n_unreadable": len(found.unreadable), **taken.numbers},
        alarms=() if as_is else _aside(taken),
    )
    show(report, as_json=as_json, details=bank)


def _format(given: str | None) -> portable.Format | None:
    formats: tuple[portable.Format, ...] = get_args(portable.Format)
    if given is None:
        return None
    for form in formats:
        if form == given:
            return form
    raise BadInput(f"one of {', '.join(formats)}, log", got=repr(given), where="--format")


def _aside(taken: Intake) -> tuple[Alarm, ...]:
    if not taken.n_quarantined:
        return ()
    why = "; ".join(f"{ground} ({n})" for ground, n in taken.quarantined.items())
    message = f"{counted(taken.n_quarantined, 'lesson')} went into quarantine: {why}."
    return (Alarm(name="quarantined", severity="warning", message=message),)


def _restore(source: Path, bank: Path, *, as_json: bool) -> None:
    events = portable.read_log(source)
    with Bank.open(bank) as opened:
        n_events = opened.restore(events)
    report = Report(
        kind="bank import",
        title=f"Import of {source.name}",
        summary=(f"Restored {counted(n_events, 'event')}.",),
        numbers={"format": "log", "n_events": n_events},
    )
    show(report, as_json=as_json, details=bank)
