"""What may be recorded of the use of lessons."""

from __future__ import annotations

import sqlite3

from twiceshy.errors import BadInput
from twiceshy.memory.bank.edits import unknown_lesson
from twiceshy.memory.bank.searching import near
from twiceshy.memory.bank.types import Decision, RunStarted, StepCheck, Use


def check_use(connection: sqlite3.Connection, use: Use) -> None:
    """Refuse what cannot have happened.

    Raises:
        BadInput: A run starts twice, or something is told of a run or a lesson that is unknown.
    """
    is_known = _has(connection, "SELECT 1 FROM run WHERE run_id = ?", use.run_id)
    if isinstance(use, RunStarted):
        if is_known or not use.run_id:
            raise BadInput(
                "a new run id",
                got=f"{use.run_id!r}, which has started" if is_known else "an empty one",
                where="RunStarted.run_id",
            )
        return
    if not is_known:
        raise BadInput(
            "the id of a run that has started",
            got=repr(use.run_id),
            where=f"{type(use).__name__}.run_id",
            fix="Record its RunStarted first.",
        )
    if isinstance(use, Decision | StepCheck):
        lesson_id = use.lesson_id
        if not _has(connection, "SELECT 1 FROM lesson WHERE id = ?", lesson_id):
            raise unknown_lesson(lesson_id, near(connection, lesson_id))


def _has(connection: sqlite3.Connection, query: str, key: str) -> bool:
    return connection.execute(query, (key,)).fetchone() is not None
