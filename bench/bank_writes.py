"""Events per second into one bank by four writer processes, against raw SQLite inserts.

The events are runs as an agent records them: a start, the lessons shown or withheld, steps held
against them, an outcome. The floor inserts the same payloads, batch by batch, into a bare table of
one file with the same journal, the same durability and four processes: no checks, no projections.
Sides take turns; the best round of each counts. `full` waits for the disk at every commit and is
what `Bank.open` does; `normal` is measured with one event a commit, the costliest way to write.
"""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import msgspec

from twiceshy.attempts.types import Outcome, Verdict
from twiceshy.lessons import Lesson
from twiceshy.memory.bank import (
    Add,
    Bank,
    Decision,
    OutcomeRecorded,
    RunStarted,
    StepCheck,
    Use,
)
from twiceshy.memory.bank.schema import TIMEOUT_SECONDS, Durability

N_WRITERS = 4
N_LESSONS = 200
RUNS_A_BATCH = 2
ROUNDS = 3
TARGET = 1000
SIZES: dict[Durability, tuple[int, int]] = {"full": (7200, 0), "normal": (9000, 1)}
"""Events a writer, and events a commit (0: a batch of runs)."""

Write = Callable[[Path, Sequence[Sequence[Use]], Durability], None]


def run_events(writer: int, number: int) -> list[Use]:
    run_id = f"{writer}-{number}"
    shown = [f"lesson-{(number * 7 + place * 13) % N_LESSONS}" for place in range(5)]
    return [
        RunStarted(run_id=run_id, task=f"task-{number % 50}", text="Change the seat of my flight."),
        *(
            Decision(
                run_id=run_id, lesson_id=each, arm="shown", propensity=0.8, score=0.5, rank=place
            )
            for place, each in enumerate(shown)
        ),
        *(
            StepCheck(run_id=run_id, lesson_id=shown[0], step=step, took_bad_action=step == 3)
            for step in range(5)
        ),
        OutcomeRecorded(run_id=run_id, verdict=Verdict(outcome=Outcome.SUCCESS, source="test")),
    ]


def batches(writer: int, *, n_events: int, size: int) -> list[list[Use]]:
    runs = [run_events(writer, number) for number in range(n_events // 12)]
    if size == 0:
        starts = range(0, len(runs), RUNS_A_BATCH)
        return [list(chain(*runs[start : start + RUNS_A_BATCH])) for start in starts]
    return [[event] for run in runs for event in run]


def write_bank(path: Path, work: Sequence[Sequence[Use]], durability: Durability) -> None:
    with Bank.open(path, durability=durability) as bank:
        for batch in work:
            bank.record(batch, actor="bench")


def write_raw(path: Path, work: Sequence[Sequence[Use]], durability: Durability) -> None:
    connection = sqlite3.connect(path, timeout=TIMEOUT_SECONDS, isolation_level=None)
    connection.execute(f"PRAGMA synchronous = {durability}")
    for batch in work:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO event (at, actor, payload) VALUES ('now', 'bench', ?)",
            [(msgspec.json.encode(event).decode(),) for event in batch],
        )
        connection.execute("COMMIT")
    connection.close()


def prepare_bank(path: Path) -> None:
    lessons = [
        Lesson(id=f"lesson-{n}", kind="principle", text=f"Rule {n}: compute it, do not guess.")
        for n in range(N_LESSONS)
    ]
    with Bank.open(path) as bank:
        bank.apply([Add(lesson=each) for each in lessons])


def prepare_raw(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE event (number INTEGER PRIMARY KEY, at, actor, payload)")
    connection.close()


def worker(
    write: Write, path: Path, number: int, size: tuple[int, int], durability: Durability,
    start: Barrier,
) -> None:  # fmt: skip
    work = batches(number, n_events=size[0], size=size[1])
    start.wait()
    write(path, work, durability)


def rate(write: Write, path: Path, durability: Durability) -> float:
    """Events per second from the moment that all writers are ready to the end of the last."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(N_WRITERS + 1)
    size = SIZES[durability]
    writers = [
        context.Process(target=worker, args=(write, path, number, size, durability, start))
        for number in range(N_WRITERS)
    ]
    for each in writers:
        each.start()
    start.wait()
    begun = time.perf_counter()
    for each in writers:
        each.join()
    elapsed = time.perf_counter() - begun
    if any(each.exitcode for each in writers):
        raise RuntimeError("a writer failed")
    return N_WRITERS * size[0] / elapsed


def check(path: Path, *, n_rounds_written: int, n_events: int) -> None:
    with Bank.open(path) as bank:
        expected = N_LESSONS + n_rounds_written * n_events
        if bank.head != expected or not bank.check().ok:
            raise RuntimeError(f"{bank.head} events of {expected}")


def measure(durability: Durability) -> dict[str, Any]:
    ours: list[float] = []
    floor: list[float] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            bank, raw = Path(folder, "bank.db"), Path(folder, "raw.db")
            prepare_bank(bank)
            prepare_raw(raw)
            ours.append(rate(write_bank, bank, durability))
            floor.append(rate(write_raw, raw, durability))
            check(bank, n_rounds_written=1, n_events=N_WRITERS * SIZES[durability][0])
    return {
        f"{durability}_events_per_second": round(max(ours)),
        f"{durability}_events_per_second_median": round(statistics.median(ours)),
        f"{durability}_raw_inserts_per_second": round(max(floor)),
        f"{durability}_share_of_floor": round(max(ours) / max(floor), 2),
        f"{durability}_events_a_commit": SIZES[durability][1] or 12 * RUNS_A_BATCH,
    }


def main() -> dict[str, Any]:
    found = {"n_writers": N_WRITERS, **measure("full"), **measure("normal")}
    return {**found, "target_events_per_second": TARGET}


if __name__ == "__main__":
    print(json.dumps(main()))
