"""`twiceshy bank`: look at a bank of lessons, take it apart, put it together.

Verbs of other modules join `app` in `cli.app`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer

from twiceshy.cli.inputs import AsJson
from twiceshy.cli.output import counted, evidence_line, note, show
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.lessons import Lesson, LessonKind, Status
from twiceshy.memory.bank import Bank, Event
from twiceshy.memory.bank.types import Decision

app = typer.Typer(
    help="Look at a bank of lessons, take it apart, put it together.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

BankPath = Annotated[Path, typer.Option("--bank", help="File of the bank.")]
LessonId = Annotated[str, typer.Argument(metavar="LESSON", help="Id of a lesson, or its start.")]
Because = Annotated[str, typer.Option("--because", help="The reason, kept in the log.")]
DEFAULT = Path("bank.db")
IN_USE = (Status.CANDIDATE, Status.SHADOW, Status.ACTIVE)
_ACTOR = "command line"


@app.command("show", short_help="What is in it.")
def show_bank(
    bank: BankPath = DEFAULT,
    status: Annotated[
        list[Status] | None, typer.Option("--status", help="Only lessons of this status.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only lessons of this kind.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count lessons, runs and outcomes, and list the lessons."""
    with Bank.open(bank, must_exist=True, read_only=True) as opened:
        lessons = opened.lessons(statuses=status, kinds=_kinds(kind))
        numbers = {
            "n_lessons": len(lessons),
            "n_events": opened.head,
            "n_runs": len(opened.runs()),
            "n_outcomes": len(opened.outcomes()),
            "conflicting_outcomes": [each.run_id for each in opened.conflicts()],
            "by_status": dict(Counter(each.status.value for each in lessons)),
            "by_kind": dict(Counter(each.kind for each in lessons)),
            "by_level": dict(Counter(each.level.value for each in lessons)),
        }
    listed = [_brief(each) for each in lessons] if as_json else []
    report = Report(
        kind="bank show",
        title=f"Lessons in {bank.name}",
        summary=(
            f"{counted(len(lessons), 'lesson')}, {counted(numbers['n_runs'], 'run')}, "
            f"{numbers['n_outcomes']} with an outcome, in {counted(numbers['n_events'], 'event')}.",
        ),
        numbers={**numbers, "lessons": listed},
        tables=(_lesson_table(lessons),),
        alarms=_conflict_alarm(numbers["conflicting_outcomes"]),
    )
    show(report, as_json=as_json)


def _kinds(given: Sequence[str] | None) -> list[LessonKind] | None:
    known = get_args(LessonKind)
    wrong = next((each for each in given or () if each not in known), None)
    if wrong is not None:
        raise BadInput(f"one of {', '.join(known)}", got=repr(wrong), where="--kind")
    return None if given is None else [each for each in known if each in given]


def _brief(lesson: Lesson) -> dict[str, object]:
    return {
        "id": lesson.id,
        "kind": lesson.kind,
        "status": lesson.status.value,
        "level": lesson.level.value,
        "n_for": lesson.evidence.n_for,
        "n_against": lesson.evidence.n_against,
        "text": lesson.text,
    }


def _lesson_table(lessons: Sequence[Lesson]) -> Table:
    return Table(
        title="Lessons",
        columns=("id", "kind", "status", "level", "for", "against", "text"),
        rows=tuple(
            (
                each.id,
                each.kind,
                each.status.value,
                each.level.value.replace("_", " "),
                each.evidence.n_for,
                each.evidence.n_against,
                each.text,
            )
            for each in lessons
        ),
    )


def _conflict_alarm(run_ids: Sequence[str]) -> tuple[Alarm, ...]:
    if not run_ids:
        return ()
    message = (
        f"{counted(len(run_ids), 'run')} with outcomes that contradict each other "
        f"({', '.join(run_ids[:3])}); the most reliable is in force."
    )
    return (Alarm(name="conflicting_outcomes", severity="warning", message=message),)


@app.command("why", short_help="What a lesson rests on, and what became of it.")
def why(lesson: LessonId, bank: BankPath = DEFAULT, as_json: AsJson = False) -> None:
    """Tell a lesson's evidence, contrast, lineage, trials and history."""
    with Bank.open(bank, must_exist=True, read_only=True) as opened:
        found = opened.get(resolve(opened, lesson))
        up, down = opened.ancestors(found.id), opened.descendants(found.id)
        decisions = opened.decisions(lesson_id=found.id)
        checks = opened.checks(lesson_id=found.id)
        history = opened.history(found.id)
    arms = Counter(each.arm for each in decisions)
    numbers = {
        "lesson": msgspec.to_builtins(found),
        "ancestors": up._asdict(),
        "descendants": down._asdict(),
        "decisions": dict(arms),
        "n_checks": len(checks),
        "n_bad_actions": sum(each.took_bad_action for each in checks),
        "events": [_told(each) for each in history],
    }
    told = (
        f"{found.id} ({found.kind}, {found.status.value}, by a {found.author}): {found.text}",
        f"Evidence: {evidence_line(found)}.",
        _ids("Attempts for", found.evidence.attempts_for),
        _ids("Attempts against", found.evidence.attempts_against),
        _ids("Descends from lessons", up.lessons),
        _ids("Descends from runs", up.runs),
        _ids("Descends from", up.others),
        _ids("Descendants", down.lessons),
        _trials(decisions, n_checks=len(checks), n_bad=numbers["n_bad_actions"]),
        _ids("Warnings", found.flags),
    )
    report = Report(
        kind="bank why",
        title=f"Why {found.id}",
        summary=tuple(each for each in told if each),
        numbers=numbers,
        tables=(_contrast_table(found), _history_table(history)),
    )
    show(report, as_json=as_json)


def resolve(bank: Bank, lesson_id: str) -> str:
    """Return the id of the one lesson whose id is, or starts with, what was given."""
    ids = [each.id for each in bank.lessons()]
    starting = [each for each in ids if each.startswith(lesson_id)]
    return starting[0] if lesson_id and lesson_id not in ids and len(starting) == 1 else lesson_id


def _ids(label: str, ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"{label}: {', '.join(ids[:5])}{more}." if ids else ""


def _trials(decisions: Sequence[Decision], *, n_checks: int, n_bad: int) -> str:
    if not decisions:
        return "Never recalled."
    arms = Counter(each.arm for each in decisions)
    told = ", ".join(f"{arm} {n}" for arm, n in sorted(arms.items()))
    held = f" Its trigger was met at {counted(n_checks, 'step')}; {n_bad} took the bad action."
    return f"Recalled {counted(len(decisions), 'time')}: {told}.{held if n_checks else ''}"


def _contrast_table(lesson: Lesson) -> Table:
    return Table(
        title="Contrast: where a failing and a passing attempt part",
        columns=("task", "failure", "did", "success", "did_instead"),
        rows=tuple(
            (each.task, each.failure_id, each.failure_text, each.success_id, each.success_text)
            for each in lesson.contrast
        ),
    )


def _told(event: Event) -> dict[str, object]:
    what = event.what
    change = str(type(what).__struct_config__.tag)
    detail = getattr(what, "status", getattr(what, "level", ""))
    return {
        "number": event.number,
        "at": event.at,
        "actor": event.actor,
        "change": f"{change} {detail}".strip().replace("_", " "),
        "because": getattr(what, "because", ""),
    }


def _history_table(history: Sequence[Event]) -> Table:
    rows = [_told(each) for each in history]
    columns = ("number", "at", "actor", "change", "because")
    return Table(
        title="History",
        columns=columns,
        rows=tuple(tuple(str(row[name]) for name in columns) for row in rows),
    )


@app.command("rollback", short_help="Quarantine a lesson and what descends from it.")
def rollback(
    lesson: LessonId,
    because: Because,
    bank: BankPath = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Quarantine a lesson, those made from it, and those written while it was in context."""
    with Bank.open(bank, must_exist=True) as opened:
        gone = opened.rollback(resolve(opened, lesson), because=because, actor=_ACTOR)
        resting = [each for each in opened.resting_on(gone[0]) if each not in gone]
    look = (
        f"{counted(len(resting), 'more lesson')} only count a run with it among their evidence and "
        f"were left: {', '.join(resting[:5])}."
    )
    report = Report(
        kind="bank rollback",
        title=f"Rollback of {gone[0]}",
        summary=(
            f"Quarantined {counted(len(gone), 'lesson')}: {', '.join(gone[:8])}.",
            *((look,) if resting else ()),
        ),
        numbers={"quarantined": gone, "resting_on": resting},
    )
    show(report, as_json=as_json)


@app.command("check", short_help="Whether the file is whole.")
def check(
    bank: BankPath = DEFAULT,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="First make all tables from the log again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the bank with what its log says it should be; exit with 1 when they differ."""
    with Bank.open(bank, must_exist=True, read_only=not rebuild) as opened:
        if rebuild:
            note(f"Made again from {counted(opened.rebuild(), 'event')}.")
        found = opened.check()
    state = "agree" if found.ok else "do not agree"
    report = Report(
        kind="bank check",
        title=f"Check of {bank.name}",
        summary=(
            f"{counted(found.n_events, 'event')} and {counted(found.n_lessons, 'lesson')} {state}.",
        ),
        numbers={**found._asdict()},
        alarms=tuple(
            Alarm(name="problem", severity="alarm", message=each) for each in found.problems
        ),
        ok=found.ok,
    )
    show(report, as_json=as_json)
