"""The whole study of a set of attempts, written to one folder: triage, lessons, proof, page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from twiceshy.attempts import Attempt, encode
from twiceshy.cli.page import fill_page, summary_of
from twiceshy.cli.progress import step_progress
from twiceshy.cli.provenance import manifest
from twiceshy.evidence.page import Page, write_page
from twiceshy.evidence.report import Report, Table
from twiceshy.evidence.trial import TrialResult
from twiceshy.files import write_whole
from twiceshy.frontier import triage, write_triage
from twiceshy.frontier.sheets import P0
from twiceshy.memory import Learned, learn
from twiceshy.memory.contrast.wording import reword_learned
from twiceshy.models import Completer

LESSONS, PAGE, PAGE_DATA, CHECKPOINT = (
    "lessons.jsonl",
    "report.html",
    "report.json",
    "shuffled-runs.jsonl",
)

_ONLY_ON_THE_PAGE = ("Lessons", "Strongest patterns within tasks")


class Study(NamedTuple):
    """What a study found, and the page it wrote."""

    report: Report
    learned: Learned
    page: Path


def study(
    attempts: Sequence[Attempt],
    *,
    folder: Path,
    title: str,
    paths: Sequence[str],
    p0: P0 = None,
    n_null: int = 100,
    seed: int = 0,
    trial: TrialResult | None = None,
    completer: Completer | None = None,
) -> Study:
    """Triage, learn, prove, and write everything into a folder.

    Args:
        attempts: What to study.
        folder: Made when absent; files in it are replaced whole.
        title: Heading of the page.
        paths: The inputs, for the manifest.
        p0: Undeserved-reward rate, when known.
        n_null: Runs of the whole procedure on shuffled labels; 0 leaves the proof out.
        seed: Seed of everything random.
        trial: A comparison of policies to show beside.
        completer: A language model to put the lessons into words; nothing needs one.
    """
    started = time.monotonic()
    triaged = triage(attempts, p0=p0)
    written = write_triage(triaged, folder)
    with step_progress("mining and testing on shuffled labels") as advance:
        learned = learn(
            attempts,
            n_null=n_null,
            seed=seed,
            checkpoint=folder / CHECKPOINT if n_null else None,
            progress=advance,
        )
    if completer is not None:
        with step_progress("asking the language model") as advance:
            learned = reword_learned(learned, completer=completer, progress=advance)
    write_whole(folder / LESSONS, b"".join(encode(each) + b"\n" for each in learned.lessons))
    run = manifest(paths, seconds=time.monotonic() - started, seed=seed, n_null=n_null)
    page = fill_page(
        title=title,
        attempts=attempts,
        triaged=triaged,
        learned=learned,
        trial=trial,
        manifest=run,
    )
    write_whole(folder / PAGE_DATA, msgspec.json.encode(page))
    write_page(page, folder / PAGE)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    files = [str(path) for path in written if path is not None]
    return Study(
        report=Report(
            kind="learn",
            title=title,
            summary=(
                *summary_of(triaged, learned, trial=trial),
                *(learned.report.summary[-1:] if completer is not None else ()),
            ),
            numbers=_numbers(triaged.report, learned, trial=trial),
            tables=_tables(learned),
            alarms=(*triaged.report.alarms, *(learned.proof or learned.report).alarms),
            manifest={**run, "files": [str(folder / PAGE), str(folder / LESSONS), *files]},
        ),
        learned=learned,
        page=folder / PAGE,
    )


def _numbers(triaged: Report, learned: Learned, *, trial: TrialResult | None) -> dict[str, Any]:
    proof = learned.proof.numbers if learned.proof is not None else None
    return {
        "triage": {
            name: value for name, value in triaged.numbers.items() if name != "frontier_points"
        },
        "lessons": learned.report.numbers,
        "held_out": proof,
        **({"trial": trial.report.numbers} if trial is not None else {}),
    }


def _tables(learned: Learned) -> tuple[Table, ...]:
    """Return the tables worth a terminal, where lessons are told in words."""
    proof = learned.proof.tables[:1] if learned.proof is not None else ()
    own = (each for each in learned.report.tables if each.title not in _ONLY_ON_THE_PAGE)
    return (*own, *proof)


def read_page(path: Path) -> Page:
    """Read the data of a page back.

    Raises:
        msgspec.MsgspecError: When it is not one of ours.
    """
    return msgspec.json.decode(path.read_bytes(), type=Page)
