"""Records a run looked up, and what a later call does to them.

A tool's reply that is a JSON object is a record, known by the id it was asked for with. A write
that names the same id acts on that record; the record's fields are the situation it acts in.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from twiceshy.memory.contrast.toolcalls_moves import Move

MAX_VALUES = 8
"""A field with more distinct values than this is no situation."""
MIN_RECORDS_PER_VALUE = 4
"""Distinct records a field must have been seen in, for each of its distinct values."""

SAFE_VALUE = re.compile(r"[A-Za-z0-9_.+-]{1,24}")
_ID = re.compile(r"(?:^|_)id$|[a-z]Id$|ID$")
_SCALAR = (str, int, float, bool, type(None))
_FIELD = re.compile(r"[A-Za-z_]\w{0,31}")


class Record(NamedTuple):
    """A looked-up object."""

    kind: str
    """The name of the id it is known by, without the "_id" ("reservation")."""
    key: str
    fields: Mapping[str, Any]


class Action(NamedTuple):
    """A call with the records that were known of what it names, just before it."""

    move: Move
    records: tuple[Record, ...]
    names_unknown: bool
    """Whether it names something by an id of a kind that was looked up elsewhere, but not this."""


class Fact(NamedTuple):
    """A field of a record and its value, as in an event's name."""

    field: str
    """As "reservation cabin"."""
    value: str


def read_actions(moves: Iterable[Move]) -> Iterator[Action]:
    """Yield each call with the records seen before it, in order."""
    records: dict[str, Record] = {}
    kinds: set[str] = set()
    for move in moves:
        ids = ids_of(move.arguments)
        named = [records[value] for value in ids.values() if value in records]
        linked = [
            records[value]
            for record in named
            for value in ids_of(record.fields).values()
            if value in records and records[value] not in named
        ]
        unknown = any(kind in kinds and value not in records for kind, value in ids.items())
        yield Action(move, (*named, *linked), unknown)
        if isinstance(move.reply, Mapping) and not move.is_error:
            own = _own_id(move, ids, ids_of(move.reply))
            if own is not None:
                records[own[1]] = Record(own[0], own[1], move.reply)
                kinds.add(own[0])


def ids_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that are ids, by kind: {"user": "mia_li_3668"}."""
    return {
        _kind(name): str(value)
        for name, value in fields.items()
        if isinstance(value, str | int)
        and not isinstance(value, bool)
        and _is_id(str(name))
        and _FIELD.fullmatch(_kind(str(name)))
    }


def _is_id(name: str) -> bool:
    return _ID.search(name) is not None


def _own_id(
    move: Move, asked: Mapping[str, str], told: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return (kind, id) a reply is known by.

    A read answers with what it was asked for; a write answers with what it made or changed, whose
    own id conventionally comes first.
    """
    if told and (move.is_write or any(told.get(kind) == value for kind, value in asked.items())):
        return next(iter(told.items()))
    return next(iter(asked.items()), None)


def _kind(name: str) -> str:
    kind = re.sub(r"_?(?:id|Id|ID)$", "", name)
    return kind.lower() or "item"


def facts_of(record: Record) -> Iterator[Fact]:
    """Yield the record's plain fields, and the lengths of its lists."""
    for name, value in record.fields.items():
        if not _FIELD.fullmatch(str(name)):
            continue
        if isinstance(value, list):
            yield Fact(f"{record.kind} number of {name}", str(min(len(value), 5)))
        elif isinstance(value, bool):
            yield Fact(f"{record.kind} {name}", str(value).lower())
        elif isinstance(value, str | int) and SAFE_VALUE.fullmatch(str(value)):
            yield Fact(f"{record.kind} {name}", str(value))


def situation_fields(runs: Iterable[Iterable[Action]]) -> frozenset[str]:
    """Return the fields with few distinct values over many records, without any label."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for actions in runs:
        for record in {r.key: r for action in actions for r in action.records}.values():
            for fact in facts_of(record):
                values[fact.field].add(fact.value)
                keys[fact.field].add(record.key)
    return frozenset(
        field
        for field, seen in values.items()
        if 2 <= len(seen) <= MAX_VALUES and len(keys[field]) >= MIN_RECORDS_PER_VALUE * len(seen)
    )


def changes(action: Action) -> Iterator[str]:
    """Yield what the call would change of the records it names: "changes cabin", "fewer flights".

    An argument counts as a field when a record has a field of the same name. Of list items only
    the keys that the argument gives are compared.
    """
    for record in action.records:
        for name, value in action.move.arguments.items():
            if name not in record.fields or not _FIELD.fullmatch(name) or _is_id(name):
                continue
            before = record.fields[name]
            if isinstance(value, list) and isinstance(before, list):
                yield from _list_changes(name, before, value)
            elif isinstance(value, _SCALAR) and isinstance(before, _SCALAR):
                yield f"changing {name}" if value != before else f"keeping {name}"


def _list_changes(name: str, before: list[Any], after: list[Any]) -> Iterator[str]:
    if len(after) != len(before):
        yield f"giving {'fewer' if len(after) < len(before) else 'more'} {name} than before"
    same = len(after) == len(before) and all(
        _matches(old, new) for old, new in zip(before, after, strict=True)
    )
    yield f"keeping {name}" if same else f"changing {name}"


def _matches(old: Any, new: Any) -> bool:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(old.get(key) == value for key, value in new.items())
    return bool(old == new)
