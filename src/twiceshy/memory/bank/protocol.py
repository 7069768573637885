"""What every engine of a bank can do; SQLite is the first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from twiceshy.lessons import Lesson, LessonKind, Status
from twiceshy.memory.bank.types import (
    Decision,
    Edit,
    Entry,
    OutcomeRecorded,
    RunStarted,
    StepCheck,
    Use,
)


class Event(NamedTuple):
    """One line of the append-only log."""

    number: int
    """From 1, without gaps, in order of commit."""
    at: str
    """ISO 8601, UTC."""
    actor: str
    """Who wrote it: a program, a person, a learner."""
    what: Entry


class LexicalHit(NamedTuple):
    """A lesson that shares words with a query."""

    lesson_id: str
    bm25: float
    """Larger is better; above 0."""


class BankReader(Protocol):
    """The reading half, enough for recall and for trials."""

    @property
    def head(self) -> int:
        """Number of the last committed event; it moves with every change by any process."""
        ...

    def get(self, lesson_id: str) -> Lesson:
        """Return a lesson as it is now.

        Raises:
            BadInput: There is none, with near ids.
        """
        ...

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
        ...

    def search(
        self, query: str, *, limit: int, statuses: Sequence[Status] | None = None
    ) -> list[LexicalHit]:
        """Return lessons whose tasks, triggers or words match, best first (BM25)."""
        ...

    def vectors(self, model: str) -> tuple[list[str], NDArray[np.float16]]:
        """Return ids and their vectors by an embedding model, shape (n, dimensions)."""
        ...

    def runs(self) -> list[RunStarted]:
        """Return all runs, oldest first."""
        ...

    def decisions(self) -> list[Decision]:
        """Return all recall decisions, oldest first."""
        ...

    def checks(self) -> list[StepCheck]:
        """Return all checked steps, oldest first."""
        ...

    def outcomes(self) -> dict[str, OutcomeRecorded]:
        """Return the outcome in force of each run that has one."""
        ...

    def events(self, *, after: int = 0) -> Iterable[Event]:
        """Yield the log from event `after` + 1 on."""
        ...


class BankWriter(BankReader, Protocol):
    """The whole of it."""

    def apply(self, edits: Sequence[Edit], *, actor: str = "unknown") -> list[int]:
        """Commit edits in one transaction; return their event numbers. All of them or none."""
        ...

    def record(self, uses: Sequence[Use], *, actor: str = "unknown") -> list[int]:
        """Commit what happened in one transaction; return the event numbers."""
        ...

    def put_vectors(self, model: str, ids: Sequence[str], vectors: NDArray[np.floating]) -> None:
        """Store vectors of lessons by an embedding model, shape (n, dimensions)."""
        ...

    def rollback(self, lesson_id: str, *, because: str, actor: str = "unknown") -> list[str]:
        """Quarantine a lesson and all that descends from it; return their ids."""
        ...
