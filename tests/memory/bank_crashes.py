"""Carry out a schedule of writers, migrations and rebuilds on one bank, killing some of them.

`python bank_crashes.py BANK FOLDER SCHEDULE`: SCHEDULE is a JSON list of rounds, each a list of
jobs `{"do": "write" | "migrate" | "rebuild", "version": 1 | 2, "kill_after": seconds | null}` that
run side by side, each in a process of its own. A writer appends what was acknowledged to a file in
FOLDER, number and payload a line, before it goes on; a killed one is killed with SIGKILL.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from twiceshy.attempts.types import Outcome, Verdict
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson, Status
from twiceshy.memory.bank import (
    Add,
    Bank,
    Decision,
    OutcomeRecorded,
    Refine,
    RunStarted,
    SetStatus,
    schema,
)

VERSION_2 = (
    "CREATE TABLE told (kind TEXT PRIMARY KEY, n INTEGER NOT NULL)",
    "INSERT INTO told SELECT kind, count(*) FROM event GROUP BY kind",
    """
    CREATE TRIGGER told_more AFTER INSERT ON event BEGIN
        INSERT INTO told VALUES (NEW.kind, 1) ON CONFLICT (kind) DO UPDATE SET n = n + 1;
    END
    """,
)
"""A second version that is used by tests alone: it counts events by kind."""
MAX_SECONDS = 0.25


def main() -> None:
    bank, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for number, jobs in enumerate(json.loads(sys.argv[3])):
        carry_out(jobs, bank=bank, folder=folder, number=number)


def carry_out(jobs: list[dict[str, Any]], *, bank: Path, folder: Path, number: int) -> None:
    started = time.monotonic()
    running = {
        start(job, bank=bank, acknowledged=folder / f"{number}-{place}.jsonl"): job["kill_after"]
        for place, job in enumerate(jobs)
    }
    due = sorted((after, child) for child, after in running.items() if after is not None)
    for after, child in due:
        time.sleep(max(0.0, started + after - time.monotonic()))
        os.kill(child, signal.SIGKILL)  # a zombie takes it as well: it has not been waited for
    for child, after in running.items():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code and not (after is not None and code == -signal.SIGKILL):
            raise RuntimeError(f"a job ended with {code}")


def start(job: dict[str, Any], *, bank: Path, acknowledged: Path) -> int:
    child = os.fork()
    if not child:
        do(job, bank=bank, acknowledged=acknowledged)
    return child


def do(job: dict[str, Any], *, bank: Path, acknowledged: Path) -> None:
    code = 1
    try:
        if job["version"] == 2:
            schema.MIGRATIONS = (*schema.MIGRATIONS, VERSION_2)
        {"write": write, "migrate": migrate, "rebuild": rebuild}[job["do"]](bank, acknowledged)
        code = 0
    except BadInput as error:
        if "Upgrade twiceshy" not in str(error):
            raise
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def migrate(path: Path, acknowledged: Path) -> None:
    Bank.open(path).close()


def rebuild(path: Path, acknowledged: Path) -> None:
    with Bank.open(path) as bank:
        bank.rebuild()


def write(path: Path, acknowledged: Path) -> None:
    name, rng = acknowledged.stem, random.Random(acknowledged.stem)
    ends = time.monotonic() + MAX_SECONDS
    file = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Bank.open(path) as bank:
        batch = 0
        while time.monotonic() < ends:
            numbers, entries = write_once(bank, f"{name}-{batch}", rng)
            lines = [
                msgspec.json.encode([n, each]) for n, each in zip(numbers, entries, strict=True)
            ]
            os.write(file, b"".join(line + b"\n" for line in lines))
            batch += 1


def write_once(bank: Bank, name: str, rng: random.Random) -> tuple[list[int], list[Any]]:
    """Write one batch in one transaction, of a size and kind by chance."""
    lesson = Lesson(id=name, kind="principle", text=f"Lesson {name}", trigger="at the end")
    if rng.random() < 0.5:
        refined = msgspec.structs.replace(lesson, text=f"Lesson {name}, refined")
        edits = [
            Add(lesson=lesson),
            Refine(lesson=refined),
            SetStatus(lesson_id=name, status=Status.ACTIVE),
        ][: rng.randint(1, 3)]
        numbers = bank.apply(edits, actor=name)
        if rng.random() < 0.3:
            bank.put_vectors("model", [name], np.ones((1, 4)))
        return numbers, edits
    known = bank.lessons(statuses=[Status.CANDIDATE])[:3]
    uses = [
        RunStarted(run_id=name, task=name),
        *(Decision(run_id=name, lesson_id=e.id, arm="shown", propensity=0.5) for e in known),
        OutcomeRecorded(run_id=name, verdict=Verdict(outcome=Outcome.FAILURE)),
        OutcomeRecorded(run_id=name, verdict=Verdict(outcome=Outcome.SUCCESS, source="test")),
    ][: rng.randint(1, 6)]
    return bank.record(uses, actor=name), uses


if __name__ == "__main__":
    main()
