"""Any JSONL, CSV or Parquet with a declared mapping from our fields to its columns.

`task=question,answer=solution,success=is_correct` names the columns; a dotted path reaches into
objects. Where a row holds several attempts, as objects that each have the mapped columns
(`{"question": ..., "model_a": {"solution": ..., "is_correct": ...}, "b": {...}}`), each is one
attempt and its key is the policy. Columns that are not mapped are kept in `extra`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec

from twiceshy.attempts.readers import parquet, parts, records
from twiceshy.attempts.readers.labels import verdict_from_columns
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.types import Attempt, Step, Unreadable
from twiceshy.errors import BadInput

Field = Literal[
    "task", "answer", "success", "reward", "outcome", "policy", "trial", "prompt", "split",
    "messages", "ending", "truncated", "evidence", "reliability",
]  # fmt: skip
FIELDS: tuple[str, ...] = get_args(Field)
_OF_THE_ATTEMPT = ("answer", "success", "reward", "outcome", "messages")
"""Fields of which at least one must be in an object for it to be an attempt of its own."""

Row = dict[str, Any]


class Table:
    """Reader for tables with declared columns; without a declaration our own names are tried."""

    name: Literal["table"] = "table"

    def matches(self, source: Source) -> bool:
        """Whether there is a `task` column beside one with a judgement."""
        found = set(column_names(source))
        return "task" in found and bool(found & {"success", "reward", "outcome"})

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield the attempts of every row."""
        mapping = checked_mapping(options.mapping)
        for number, row in table_rows(source):
            if isinstance(row, Unreadable):
                yield row
            else:
                yield from _attempts(source, number, row=row, mapping=mapping, options=options)


def checked_mapping(mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the mapping with our own names for fields it leaves out.

    Raises:
        BadInput: When a field is not one of ours.

    Example:
        >>> checked_mapping({"task": "question"})["task"]
        'question'
    """
    for name in mapping:
        if name not in FIELDS:
            raise BadInput(
                f"fields among {', '.join(FIELDS)}",
                got=repr(name),
                where="--map",
                fix="Write our field first: --map task=question,success=is_correct",
            )
    return {name: mapping.get(name, name) for name in FIELDS}


def table_rows(source: Source) -> Iterator[tuple[int, Row | Unreadable]]:
    """Yield (line or row number, column to value) of a JSONL, JSON list, CSV or Parquet file."""
    if parquet.is_parquet(source):
        yield from parquet.rows(source)
    elif _is_json(source):
        for number, data in records.raw_records(source):
            yield number, parts.decode(data, where=f"{source.label}:{number}")
    else:
        yield from _csv_rows(source)


def column_names(source: Source) -> tuple[str, ...]:
    """Return the columns of the first row, cheaply."""
    if parquet.is_parquet(source):
        return parquet.columns(source)
    if _is_json(source):
        return tuple(records.first_keys(source))
    first_line = source.head.partition(b"\n")[0].decode("utf-8-sig", "replace")
    if not first_line.isprintable() and not first_line.rstrip("\r").replace("\t", "").isprintable():
        return ()
    names = first_line.strip().split(_delimiter(first_line))
    return tuple(name.strip('"') for name in names if name)


def value_at(row: Row, path: str) -> Any:
    """Return the value under a column name or a dotted path; None when there is none.

    Example:
        >>> value_at({"a": {"b": 1}, "a.c": 2}, "a.b"), value_at({"a.c": 2}, "a.c")
        (1, 2)
    """
    if path in row:
        return row[path]
    found: Any = row
    for key in path.split("."):
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


def _is_json(source: Source) -> bool:
    return source.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _csv_rows(source: Source) -> Iterator[tuple[int, Row | Unreadable]]:
    header = source.head.partition(b"\n")[0].decode("utf-8-sig", "replace")
    with io.TextIOWrapper(source.open(), encoding="utf-8-sig", errors="strict", newline="") as text:
        reader = csv.DictReader(text, delimiter=_delimiter(header), strict=True)
        line = 1
        while True:
            try:
                line = reader.line_num + 1
                row = next(reader, None)
            except (csv.Error, UnicodeDecodeError) as error:
                where = f"{source.label}:{line}"
                yield line, Unreadable(where, "a CSV row in UTF-8", str(error))
                if isinstance(error, UnicodeDecodeError):
                    return
                continue
            if row is None:
                return
            yield max(line, 2), _checked_row(row, where=f"{source.label}:{max(line, 2)}")


def _checked_row(row: dict[Any, Any], *, where: str) -> Row | Unreadable:
    if None in row or None in row.values():
        n_columns = len([name for name in row if name is not None])
        got = "more" if None in row else "fewer"
        return Unreadable(where, f"{n_columns} columns, as in the header", got)
    return {name: (value if value != "" else None) for name, value in row.items()}


def _attempts(
    source: Source, number: int, *, row: Row, mapping: dict[str, str], options: ReadOptions
) -> Iterator[Attempt | Unreadable]:
    task = _text(value_at(row, mapping["task"]))
    where = f"{source.label}:{number}"
    if task is None:
        got = f"columns {', '.join(sorted(row)[:8])}"
        yield Unreadable(where, f"a task in column {mapping['task']!r}", got, "Give --map task=…")
        return
    declared = [name for name in _OF_THE_ATTEMPT if name in options.mapping]
    nested = _nested(row, [mapping[name] for name in declared or _OF_THE_ATTEMPT])
    shared = {k: v for k, v in row.items() if k not in nested and k != mapping["task"]}
    if not nested:
        yield _attempt(source, number, task=task, row=row, mapping=mapping, options=options)
    for key, inner in nested.items():
        together = {**shared, **inner}
        together.setdefault(mapping["policy"], key)
        yield _attempt(source, number, task=task, row=together, mapping=mapping, options=options)


def _nested(row: Row, paths: list[str]) -> dict[str, Row]:
    """Return the row's objects that are attempts, unless the row itself has such a column."""
    if any(value_at(row, path) is not None for path in paths):
        return {}
    return {
        key: value
        for key, value in row.items()
        if isinstance(value, dict) and any(value_at(value, path) is not None for path in paths)
    }


def _attempt(
    source: Source,
    number: int,
    *,
    task: str,
    row: Row,
    mapping: dict[str, str],
    options: ReadOptions,
) -> Attempt:
    at = {name: value_at(row, path) for name, path in mapping.items()}
    answer = _text(at["answer"])
    steps = parts.chat_steps(at["messages"]) if at["messages"] is not None else ()
    if not steps and answer is not None:
        steps = (Step(role="assistant", text=answer),)
    used = set(mapping.values())
    return Attempt(
        task=task,
        policy=_text(at["policy"]) or options.policy or "unknown",
        trial=_text(at["trial"]),
        prompt=_text(at["prompt"]) or (task if " " in task else None),
        steps=steps,
        answer=answer,
        ending=_text(at["ending"]),
        truncated=at["truncated"] if isinstance(at["truncated"], bool) else None,
        split=_text(at["split"]),
        verdict=verdict_from_columns(
            outcome=at["outcome"],
            success=at["success"],
            reward=at["reward"],
            threshold=options.threshold,
            evidence=_text(at["evidence"]) or "",
            reliability=_probability(at["reliability"]),
        ),
        provenance=parts.provenance(source, number, format="table"),
        extra={name: _plain(value) for name, value in row.items() if name not in used},
    )


def _probability(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        return None
    return number if number is not None and 0.0 <= number <= 1.0 else None


def _text(value: object) -> str | None:
    """Return a cell as text; None for an empty one. Objects become JSON."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool | int | float):
        return str(value)
    return msgspec.json.encode(_plain(value), order="deterministic").decode()


def _plain(value: Any) -> Any:
    """Return a cell as JSON can hold it: dates as text, not-a-number as None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return msgspec.to_builtins(value, str_keys=True)
