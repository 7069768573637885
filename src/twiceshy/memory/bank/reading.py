"""Everything that can be asked of a bank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.codec import decode_lesson
from twiceshy.lessons import Lesson, LessonKind, Status
from twiceshy.memory.bank import lineage, searching, upkeep
from twiceshy.memory.bank.edits import unknown_lesson
from twiceshy.memory.bank.file import BankFile
from twiceshy.memory.bank.halves import read_halves
from twiceshy.memory.bank.outcomes import Conflict
from twiceshy.memory.bank.projections import decode_entry, find_lesson
from twiceshy.memory.bank.protocol import Event, LexicalHit
from twiceshy.memory.bank.types import Decision, OutcomeRecorded, RunStarted, StepCheck

_PAGE = 1000
_EVENT = "SELECT number, at, actor, payload FROM"
_Used = TypeVar("_Used", RunStarted, Decision, StepCheck, OutcomeRecorded)


class Revision(NamedTuple):
    """A lesson as one event left it."""

    event: int
    lesson: Lesson


class ReadableBank(BankFile):
    """The reading half of `Bank`."""

    @property
    def head(self) -> int:
        """Number of the last committed event, 0 in an empty bank."""
        with self._reading() as connection:
            return upkeep.head(connection)

    def get(self, lesson_id: str) -> Lesson:
        """Return a lesson as it is now.

        Raises:
            BadInput: There is none, with near ids.
        """
        with self._reading() as connection:
            found = find_lesson(connection, lesson_id)
            if found is None:
                raise unknown_lesson(lesson_id, searching.near(connection, lesson_id))
        return found

    def lessons(
        self,
        *,
        statuses: Sequence[Status] | None = None,
        kinds: Sequence[LessonKind] | None = None,
        scope: dict[str, str] | None = None,
    ) -> list[Lesson]:
        """Return lessons in order of id; None: of every kind or status.

        `scope` leaves out a lesson that names another value for one of its keys; a lesson that
        does not name the key holds everywhere.
        """
        where, bound = searching.conditions(status=statuses, kind=kinds)
        query = f"SELECT record FROM lesson{where} ORDER BY id"
        with self._reading() as connection:
            rows = connection.execute(query, bound).fetchall()
        found = (decode_lesson(record) for (record,) in rows)
        return [lesson for lesson in found if searching.within(lesson.scope, scope)]

    def search(
        self, query: str, *, limit: int, statuses: Sequence[Status] | None = None
    ) -> list[LexicalHit]:
        """Return lessons whose tasks, triggers or words match, best first (BM25)."""
        with self._reading() as connection:
            return searching.search(connection, query, limit=limit, statuses=statuses)

    def vectors(self, model: str) -> tuple[list[str], NDArray[np.float16]]:
        """Return ids and their vectors by an embedding model, shape (n, dimensions)."""
        with self._reading() as connection:
            return read_halves(connection, model)

    def runs(self) -> list[RunStarted]:
        """Return all runs, oldest first."""
        return self._uses("run", RunStarted)

    def decisions(
        self, *, lesson_id: str | None = None, run_id: str | None = None
    ) -> list[Decision]:
        """Return all recall decisions, oldest first; those of one lesson or run when given."""
        return self._uses("decision", Decision, lesson_id=lesson_id, run_id=run_id)

    def checks(self, *, lesson_id: str | None = None) -> list[StepCheck]:
        """Return all checked steps, oldest first; those of one lesson when given."""
        return self._uses("step_check", StepCheck, lesson_id=lesson_id)

    def outcomes(self) -> dict[str, OutcomeRecorded]:
        """Return the outcome in force of each run that has one."""
        found = self._uses("outcome", OutcomeRecorded, in_force=1)
        return {each.run_id: each for each in found}

    def conflicts(self) -> list[Conflict]:
        """Return the runs of which different outcomes were told, by the first of them.

        The one from the most reliable judge is in force, the first told among equals.
        """
        winners = self._uses("outcome", OutcomeRecorded, contradicted=1, in_force=1)
        others: defaultdict[str, list[OutcomeRecorded]] = defaultdict(list)
        for each in self._uses("outcome", OutcomeRecorded, contradicted=1, in_force=0):
            others[each.run_id].append(each)
        return [Conflict(won.run_id, won, tuple(others[won.run_id])) for won in winners]

    def events(self, *, after: int = 0) -> Iterator[Event]:
        """Yield the log from event `after` + 1 on."""
        while True:
            with self._reading() as connection:
                rows = connection.execute(
                    f"{_EVENT} event WHERE number > ? ORDER BY number LIMIT ?",
                    (after, _PAGE),
                ).fetchall()
            if not rows:
                return
            yield from (Event(n, at, actor, decode_entry(data)) for n, at, actor, data in rows)
            after = rows[-1][0]

    def history(self, lesson_id: str) -> list[Event]:
        """Return the events that changed a lesson, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                f"{_EVENT} revision JOIN event ON number = event "
                "WHERE lesson_id = ? ORDER BY number",
                (lesson_id,),
            ).fetchall()
        return [Event(n, at, actor, decode_entry(data)) for n, at, actor, data in rows]

    def revisions(self, lesson_id: str) -> list[Revision]:
        """Return a lesson as each event left it, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT event, record FROM revision WHERE lesson_id = ? ORDER BY event",
                (lesson_id,),
            ).fetchall()
        return [Revision(event, decode_lesson(record)) for event, record in rows]

    def ancestors(self, lesson_id: str) -> lineage.Kin:
        """Return what a lesson descends from: lessons, runs, and attempts known by id alone."""
        with self._reading() as connection:
            return lineage.ancestors(connection, lesson_id)

    def descendants(self, lesson_id: str) -> lineage.Kin:
        """Return what descends from a lesson, as `rollback` follows it."""
        with self._reading() as connection:
            return lineage.descendants(connection, lesson_id)

    def resting_on(self, lesson_id: str) -> list[str]:
        """Return lessons that count a run with this lesson in context among their evidence."""
        with self._reading() as connection:
            runs = lineage.descendants(connection, lesson_id).runs
        tainted = set(runs)
        return [
            each.id
            for each in self.lessons()
            if each.id != lesson_id and not tainted.isdisjoint(lineage.evidence_ids(each))
        ]

    def check(self) -> upkeep.Check:
        """Compare the file with what its log says it should be; changes nothing."""
        with self._reading() as connection:
            return upkeep.check(connection)

    def _uses(self, table: str, kind: type[_Used], **equal: str | int | None) -> list[_Used]:
        given = {name: value for name, value in equal.items() if value is not None}
        where = "".join(f" AND {table}.{name} = ?" for name in given)
        query = f"SELECT payload FROM {table} JOIN event ON number = event WHERE 1{where}"
        with self._reading() as connection:
            rows = connection.execute(f"{query} ORDER BY number", tuple(given.values())).fetchall()
        decoder = msgspec.json.Decoder(kind)
        return [decoder.decode(payload) for (payload,) in rows]
