"""The bank as recall sees it: one row per lesson, kept in memory and brought up to date.

A process loads the rows once. When `reader.head` has moved, only the lessons that the new events
name are read and embedded again.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson, LessonKind, Status
from twiceshy.memory.bank.protocol import BankReader, BankWriter
from twiceshy.memory.bank.types import (
    Add,
    Entry,
    Merge,
    Refine,
    RunStarted,
    SetEvidence,
    SetStatus,
    Split,
)
from twiceshy.memory.recall.errors_seen import Symptom, symptom_of
from twiceshy.memory.recall.texts import LEVELS, level_of, situation_of
from twiceshy.models.embedder import Embedder

_EMBED_BATCH = 4096


class Filter(NamedTuple):
    """Which rows may be recalled."""

    statuses: Collection[Status]
    kinds: Collection[LessonKind] | None = None
    scope: Mapping[str, str] = {}


class Index:
    """Rows of a bank for one embedding model.

    Attributes:
        ids: The lessons' ids, by row.
        run_tasks: The task of each run of the bank.
    """

    def __init__(self, reader: BankReader, embedder: Embedder | None) -> None:
        self.embedder = embedder
        self.ids: list[str] = []
        self.run_tasks: dict[str, str] = {}
        self._row: dict[str, int] = {}
        self._status: list[Status] = []
        self._kind: list[LessonKind] = []
        self._scopes: dict[tuple[tuple[str, str], ...], int] = {}
        self._scope = np.zeros(0, dtype=np.int64)
        self._codes = np.zeros((0, 3), dtype=np.int8)
        self._symptoms: dict[str, dict[str, Symptom]] = {}
        self._width = 0 if embedder is None else embedder.dimensions
        self._vectors = np.zeros((0, self._width), dtype=np.float32)
        self.head = reader.head
        self._load(reader)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Unit vectors, shape (n, dimensions), rounded to half precision as stored."""
        return self._vectors[: len(self.ids)]

    def refresh(self, reader: BankReader) -> None:
        """Take in what was committed since."""
        head = reader.head
        if head == self.head:
            return
        touched: dict[str, None] = {}
        for event in reader.events(after=self.head):
            if isinstance(event.what, RunStarted):
                self.run_tasks[event.what.run_id] = event.what.task
            touched.update(dict.fromkeys(edited(event.what)))
            head = max(head, event.number)
        self._put([reader.get(each) for each in touched])
        self.head = head

    def allowed(self, wanted: Filter) -> NDArray[np.bool_]:
        """Return which rows pass a filter, shape (n,)."""
        n = len(self.ids)
        by_status = np.array([each in wanted.statuses for each in _STATUSES])
        passes = by_status[self._codes[:n, 0]]
        if wanted.kinds is not None:
            passes &= np.array([each in wanted.kinds for each in _KINDS])[self._codes[:n, 1]]
        fits = np.array([_fits(each, wanted.scope) for each in self._scopes], dtype=np.bool_)
        return passes if fits.all() else passes & fits[self._scope[:n]]

    @property
    def is_of_one_task(self) -> NDArray[np.bool_]:
        """Which rows are about one task (demonstrations are), shape (n,)."""
        return self._codes[: len(self.ids), 2] == LEVELS.index("task")

    def row_of(self, lesson_id: str) -> int | None:
        """Return a lesson's row; None for one this index has not seen."""
        return self._row.get(lesson_id)

    def symptoms(self, tool: str) -> Mapping[str, Symptom]:
        """Return the errors of a tool that lessons name, by lesson id; "" is any tool."""
        return self._symptoms.get(tool, {})

    def _load(self, reader: BankReader) -> None:
        stored = self._stored(reader)
        self._put(reader.lessons(), stored=stored)
        self.run_tasks = {run.run_id: run.task for run in reader.runs()}

    def _stored(self, reader: BankReader) -> dict[str, NDArray[np.float16]]:
        if self.embedder is None:
            return {}
        ids, vectors = reader.vectors(self.embedder.name)
        if ids and vectors.shape[1] != self._width:
            raise BadInput(
                f"vectors of {self._width} numbers by {self.embedder.name!r}",
                got=f"{vectors.shape[1]} in the bank",
                fix="Use the model they were made with, or recall with embedder=None; "
                "nothing in the bank was changed.",
            )
        return dict(zip(ids, vectors, strict=True))

    def _put(
        self, lessons: Sequence[Lesson], *, stored: Mapping[str, NDArray[np.float16]] | None = None
    ) -> None:
        self._reserve(len(self.ids) + len(lessons))
        for lesson in lessons:
            self._set_row(lesson)
        if self.embedder is None or not lessons:
            return
        known = stored or {}
        missing = [each for each in lessons if each.id not in known]
        for lesson in lessons:
            if lesson.id in known:
                self._vectors[self._row[lesson.id]] = known[lesson.id]
        for start in range(0, len(missing), _EMBED_BATCH):
            batch = missing[start : start + _EMBED_BATCH]
            made = self.embedder.embed([situation_of(each) for each in batch])
            self._vectors[[self._row[each.id] for each in batch]] = made.astype(np.float16)

    def _reserve(self, n: int) -> None:
        have = len(self._scope)
        if n > have:
            extra = max(n - have, have // 2, 64)
            self._scope = np.concatenate([self._scope, np.zeros(extra, dtype=np.int64)])
            self._codes = np.concatenate([self._codes, np.zeros((extra, 3), dtype=np.int8)])
            more = np.zeros((extra, self._width), dtype=np.float32)
            self._vectors = np.concatenate([self._vectors, more])

    def _set_row(self, lesson: Lesson) -> None:
        row = self._row.setdefault(lesson.id, len(self.ids))
        if row == len(self.ids):
            self.ids.append(lesson.id)
        scope = tuple(sorted(lesson.scope.items()))
        self._scope[row] = self._scopes.setdefault(scope, len(self._scopes))
        self._codes[row] = (
            _STATUSES.index(lesson.status),
            _KINDS.index(lesson.kind),
            LEVELS.index(level_of(lesson)),
        )
        for named in self._symptoms.values():
            named.pop(lesson.id, None)
        symptom = symptom_of(lesson)
        if symptom is not None:
            self._symptoms.setdefault(symptom.tool, {})[lesson.id] = symptom


_STATUSES: tuple[Status, ...] = tuple(Status)
_KINDS: tuple[LessonKind, ...] = ("avoid", "recover", "strategy", "demonstration", "principle")


def _fits(scope: Iterable[tuple[str, str]], wanted: Mapping[str, str]) -> bool:
    """A lesson that names another value for a key is left out; one without the key holds."""
    return all(wanted.get(key, value) == value for key, value in scope)


def edited(entry: Entry) -> tuple[str, ...]:
    """Return the ids of the lessons that an event of the log changed.

    Example:
        >>> edited(SetStatus(lesson_id="x", status=Status.ACTIVE))
        ('x',)
    """
    match entry:
        case Add() | Refine():
            return (entry.lesson.id,)
        case Merge():
            return (entry.lesson.id, *entry.absorbed)
        case Split():
            return (entry.lesson_id, *(each.id for each in entry.into))
        case SetStatus() | SetEvidence():
            return (entry.lesson_id,)
        case _:
            return ()


_CACHE: WeakKeyDictionary[BankReader, dict[str, Index]] = WeakKeyDictionary()
_LOCK = threading.Lock()


def index_of(reader: BankReader, embedder: Embedder | None) -> Index:
    """Return the index of a reader for a model, loaded once per process and up to date.

    Raises:
        BadInput: The bank holds vectors of this model with another length.
    """
    name = "" if embedder is None else embedder.name
    with _LOCK:
        held = _CACHE.setdefault(reader, {})
        if name not in held:
            held[name] = Index(reader, embedder)
        else:
            held[name].refresh(reader)
        return held[name]


def embed_missing(bank: BankWriter, embedder: Embedder) -> int:
    """Store the vectors of lessons that have none by this model; return how many.

    Recall embeds them itself, but anew in every process; storing them is worth it for models that
    are slow or cost money.
    """
    have = set(bank.vectors(embedder.name)[0])
    missing = [each for each in bank.lessons() if each.id not in have]
    for start in range(0, len(missing), _EMBED_BATCH):
        batch = missing[start : start + _EMBED_BATCH]
        made = embedder.embed([situation_of(each) for each in batch])
        bank.put_vectors(embedder.name, [each.id for each in batch], made)
    return len(missing)
