"""`twiceshy demo`: the whole flow on attempts that ship with the package."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from twiceshy.attempts import Attempt, read_attempts
from twiceshy.cli.inputs import AsJson, Seed
from twiceshy.cli.output import console, print_lessons, print_report, show
from twiceshy.cli.study import Study, study
from twiceshy.demo_data import DemoName, demo_path
from twiceshy.evidence.report import Report
from twiceshy.evidence.trial import compare_policies

REFERENCE, PLACEBO = "none", "placebo"
SHUFFLES = 100


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything found.")] = Path(
        "twiceshy-demo"
    ),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Import, triage, learn, prove and report on real attempts that ship with the package."""
    started = time.monotonic()
    mined, unseen, played = (_read(name) for name in ("train", "held_out", "trial"))
    played = tuple(msgspec.structs.replace(each, policy=each.extra["arm"]) for each in played)
    if not as_json:
        console.print(_setting(mined, unseen, played), markup=False)
        console.print()
    trial = compare_policies(played, reference=REFERENCE, placebo=PLACEBO, seed=seed)
    found = study(
        (*mined, *unseen),
        folder=out,
        title="Cooking games: what failed attempts teach",
        paths=[f"demo:{name}" for name in ("train", "held_out", "trial")],
        n_null=SHUFFLES,
        seed=seed,
        trial=trial,
    )
    if as_json:
        show(found.report, as_json=True)
        return
    _tell(found, trial.report)
    seconds = time.monotonic() - started
    console.print(f"\nDone in {seconds:.0f} s. Details: {found.page}", markup=False)


def _read(name: DemoName) -> tuple[Attempt, ...]:
    return tuple(read_attempts([str(demo_path(name))]))


def _setting(
    mined: tuple[Attempt, ...], unseen: tuple[Attempt, ...], played: tuple[Attempt, ...]
) -> str:
    games = [len({each.task for each in part}) for part in (mined, unseen, played)]
    return (
        f"A stochastic agent cooked in TextWorld: {len(mined)} attempts at {games[0]} games to "
        f"learn from, {len(unseen)} at {games[1]} other games to test on, and a recorded trial of "
        f"the lessons ({len(played)} attempts at {games[2]} of those other games)."
    )


def _tell(found: Study, trial: Report) -> None:
    """Print the story: what was found, the lessons, do they hold, does telling the agent help."""
    proof = found.learned.proof
    print_report(_with(found.report, tables=()))
    print_lessons(found.learned.lessons)
    if proof is not None:
        print_report(_with(proof, summary=(), tables=proof.tables[:1]))
    print_report(_with(trial, summary=(), tables=trial.tables[:1]))


def _with(report: Report, **changes: Any) -> Report:
    return msgspec.structs.replace(report, alarms=(), **changes)
