"""Projections of the log: tables that answer questions fast, and can be made again from it.

`project` writes what one event means. It is called in the event's own transaction, and again for
every event when the projections are rebuilt or checked.
"""

from __future__ import annotations

import sqlite3
from typing import cast

import msgspec

from twiceshy.attempts.codec import decode_lesson, encode
from twiceshy.lessons import Lesson
from twiceshy.memory.bank import edits, outcomes
from twiceshy.memory.bank.types import (
    Decision,
    Edit,
    Entry,
    OutcomeRecorded,
    RunStarted,
    StepCheck,
    VectorsStored,
)
from twiceshy.memory.bank.words import indexed, wording

PROJECTIONS = (
    "lesson", "revision", "lineage", "lesson_text", "run", "decision", "step_check", "outcome",
    "embedding",
)  # fmt: skip
"""The tables that `project` fills."""

_LESSON = """
INSERT INTO lesson (id, kind, status, level, family, event, record) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, status = excluded.status,
    level = excluded.level, family = excluded.family, event = excluded.event,
    record = excluded.record
RETURNING row
"""


def find_lesson(connection: sqlite3.Connection, lesson_id: str) -> Lesson | None:
    """Return a lesson as it is now, or None."""
    row = connection.execute("SELECT record FROM lesson WHERE id = ?", (lesson_id,)).fetchone()
    return None if row is None else decode_lesson(row[0])


def project(connection: sqlite3.Connection, number: int, what: Entry) -> None:
    """Write what an event means into the tables that follow from the log."""
    match what:
        case RunStarted(run_id=run_id, parent=parent):
            connection.execute("INSERT INTO run VALUES (?, ?, ?)", (number, run_id, parent))
        case Decision(run_id=run_id, lesson_id=lesson_id, arm=arm):
            row = (number, run_id, lesson_id, arm)
            connection.execute("INSERT INTO decision VALUES (?, ?, ?, ?)", row)
        case StepCheck(run_id=run_id, lesson_id=lesson_id):
            row = (number, run_id, lesson_id)
            connection.execute("INSERT INTO step_check VALUES (?, ?, ?)", row)
        case OutcomeRecorded():
            _project_outcome(connection, number, what)
        case VectorsStored(model=model, dimensions=dimensions):
            row = (model, dimensions)
            connection.execute("INSERT OR IGNORE INTO embedding VALUES (?, ?)", row)
        case _:
            _project_edit(connection, number, cast("Edit", what))


def _project_edit(connection: sqlite3.Connection, number: int, edit: Edit) -> None:
    folded = edits.fold(edit, lookup=lambda lesson_id: find_lesson(connection, lesson_id))
    for lesson in folded.lessons:
        _write_lesson(connection, number, lesson)
    connection.executemany(
        "INSERT OR IGNORE INTO lineage VALUES (?, ?, ?)",
        ((child, parent, number) for child, parent in folded.edges),
    )


def _write_lesson(connection: sqlite3.Connection, number: int, lesson: Lesson) -> None:
    before = find_lesson(connection, lesson.id)
    record = encode(lesson).decode()
    values = (lesson.id, lesson.kind, lesson.status, lesson.level, lesson.family, number, record)
    (row,) = connection.execute(_LESSON, values).fetchone()
    revision = (lesson.id, number, record)
    connection.execute("INSERT INTO revision VALUES (?, ?, ?)", revision)
    new = wording(lesson)
    if before is not None and wording(before) == new:
        return
    if before is not None:
        connection.execute("DELETE FROM lesson_text WHERE rowid = ?", (row,))
        old = (lesson.id, number)
        connection.execute("DELETE FROM vector WHERE lesson_id = ? AND event < ?", old)
    connection.execute(
        "INSERT INTO lesson_text (rowid, tasks, triggers, words) VALUES (?, ?, ?, ?)",
        (row, *indexed(new)),
    )


def _project_outcome(connection: sqlite3.Connection, number: int, what: OutcomeRecorded) -> None:
    verdict = what.verdict
    rows = connection.execute(
        "SELECT event, outcome, trust FROM outcome WHERE run_id = ?", (what.run_id,)
    )
    told = [outcomes.Told(*row) for row in rows]
    told.append(outcomes.Told(number, verdict.outcome.value, outcomes.trust(verdict)))
    chosen, differ = outcomes.in_force(told).event, outcomes.contradict(told)
    row = (number, what.run_id, *told[-1][1:], chosen == number, differ)
    connection.execute("INSERT INTO outcome VALUES (?, ?, ?, ?, ?, ?)", row)
    if len(told) > 1:
        connection.execute(
            "UPDATE outcome SET in_force = (event = ?), contradicted = ? WHERE run_id = ?",
            (chosen, differ, what.run_id),
        )


def clear(connection: sqlite3.Connection) -> None:
    """Empty every table that follows from the log."""
    for table in PROJECTIONS:
        connection.execute(f"DELETE FROM {table}")


def replay(source: sqlite3.Connection, target: sqlite3.Connection) -> int:
    """Project every event of one connection into another (or the same); return how many."""
    n_events = 0
    while True:
        rows = source.execute(
            "SELECT number, payload FROM event WHERE number > ? ORDER BY number LIMIT 1000",
            (n_events,),
        ).fetchall()
        for number, payload in rows:
            project(target, number, decode_entry(payload))
        if not rows:
            return n_events
        n_events = rows[-1][0]


def decode_entry(payload: str | bytes) -> Entry:
    """Return what one line of the log says.

    Raises:
        msgspec.MsgspecError: When it is not an entry of ours.
    """
    return _decoder.decode(payload)


_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
