"""What a doctor says: things that were looked at in the environment that runs, as a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from twiceshy.evidence.report import Alarm, Report, Table


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    ok: bool | None
    """None where it could not be looked at, or is not needed: neither is a failure."""
    found: str
    fix: str = ""


def checks_report(
    checks: Sequence[Check],
    *,
    kind: str,
    title: str,
    all_well: str,
    alarms: Sequence[Alarm] = (),
) -> Report:
    """Return checks as a report that is `ok` when none failed and no alarm is one.

    Args:
        checks: In the order in which they are shown.
        kind: The command.
        title: Of the report.
        all_well: The first sentence when no check failed.
        alarms: What else is to be known.

    Example:
        >>> bad = Check("torch", False, "not installed", "Install it.")
        >>> report = checks_report([bad], kind="doctor x", title="x", all_well="Well.")
        >>> report.ok, report.summary, report.alarms[0].message
        (False, ('1 of 1 checks failed.',), 'torch: not installed. Install it.')
    """
    failed = [check for check in checks if check.ok is False]
    told = [
        Alarm(name=each.name, severity="alarm", message=f"{each.name}: {each.found}. {each.fix}")
        for each in failed
    ]
    told += alarms
    say = {True: "yes", False: "NO", None: "not needed"}
    return Report(
        kind=kind,
        title=title,
        summary=(f"{len(failed)} of {len(checks)} checks failed." if failed else all_well,),
        numbers={"checks": [check._asdict() for check in checks], "n_failed": len(failed)},
        tables=(
            Table(
                title="Checks",
                columns=("check", "ok", "found"),
                rows=tuple((check.name, say[check.ok], check.found) for check in checks),
            ),
        ),
        alarms=tuple(told),
        ok=not any(alarm.severity == "alarm" for alarm in told),
    )
