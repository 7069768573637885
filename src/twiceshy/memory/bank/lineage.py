"""Who descends from whom: lessons from lessons, and from runs in which a lesson was shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from twiceshy.lessons import Lesson

_EDGES = """
SELECT child, parent FROM lineage
UNION ALL SELECT run_id, lesson_id FROM decision WHERE arm = 'shown'
UNION ALL SELECT run_id, parent FROM run WHERE parent IS NOT NULL
"""
_DOWN = f"""
WITH RECURSIVE kin (id) AS (
    SELECT :start UNION SELECT child FROM ({_EDGES}) JOIN kin ON parent = kin.id
) SELECT id FROM kin WHERE id <> :start
"""
_UP = f"""
WITH RECURSIVE kin (id) AS (
    SELECT :start UNION SELECT parent FROM ({_EDGES}) JOIN kin ON child = kin.id
) SELECT id FROM kin WHERE id <> :start
"""


class Kin(NamedTuple):
    """Relatives of a lesson by kind, each nearest first."""

    lessons: tuple[str, ...]
    runs: tuple[str, ...]
    """Runs in which it (or a relative) was shown, and runs that go on from those."""
    others: tuple[str, ...]
    """Ids this bank knows nothing else of: attempts it was mined from, lessons of another bank."""


def descendants(connection: sqlite3.Connection, lesson_id: str) -> Kin:
    """Return what descends from a lesson."""
    return _kin(connection, _DOWN, lesson_id)


def ancestors(connection: sqlite3.Connection, lesson_id: str) -> Kin:
    """Return what a lesson descends from."""
    return _kin(connection, _UP, lesson_id)


def evidence_ids(lesson: Lesson) -> Iterator[str]:
    """Yield the ids of the attempts a lesson names as its evidence."""
    yield from lesson.evidence.attempts_for
    yield from lesson.evidence.attempts_against
    for pair in lesson.contrast:
        yield pair.failure_id
        yield pair.success_id


def _kin(connection: sqlite3.Connection, query: str, start: str) -> Kin:
    found = [each for (each,) in connection.execute(query, {"start": start})]
    lessons = [each for each in found if _is(connection, each, "lesson WHERE id")]
    rest = [each for each in found if each not in set(lessons)]
    runs = [each for each in rest if _is(connection, each, "run WHERE run_id")]
    others = [each for each in rest if each not in set(runs)]
    return Kin(tuple(lessons), tuple(runs), tuple(others))


def _is(connection: sqlite3.Connection, name: str, place: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {place} = ?", (name,)).fetchone() is not None
