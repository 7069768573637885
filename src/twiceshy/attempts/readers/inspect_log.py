"""Inspect: `.eval` logs and their JSON form, through Inspect's own reader (the `inspect` extra).

The richest source of typed faults: a sample says whether it raised an error, hit a limit or was
invalidated, and each tool's reply carries the type of its error. Samples are read one at a time, so
a damaged one costs only itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.inspect_sample import attempt_of
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.peek import has_keys, peek
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.types import Attempt, Unreadable
from twiceshy.errors import missing_extra

_ZIP = b"PK\x03\x04"
_NOT_NEEDED = {"events", "store", "timelines"}


class _Key(NamedTuple):
    id: int | str
    epoch: int


class InspectLog:
    """Reader for Inspect evaluation logs."""

    name: Literal["inspect_log"] = "inspect_log"

    def matches(self, source: Source) -> bool:
        """Whether it is a zip with Inspect's entries, or a JSON log."""
        if source.head.startswith(_ZIP):
            return source.path.suffix == ".eval" or b"_journal/start.json" in source.head
        keys = ("version", "status", "eval")
        return any(has_keys(found, *keys) for found in peek(source)[:1])

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt per sample and epoch.

        Raises:
            MissingExtra: When inspect-ai is not installed.
        """
        library = _library()
        is_zip = source.head.startswith(_ZIP)
        header = _header(library, source, is_zip=is_zip)
        if isinstance(header, Unreadable):
            yield header
        elif is_zip:
            yield from _from_zip(library, source, header=header, options=options)
        else:
            yield from _from_json(library, source, header=header, options=options)


def _library() -> Any:
    try:
        return importlib.import_module("inspect_ai.log")
    except ImportError as error:
        raise missing_extra("reading Inspect logs", "inspect") from error


def _header(library: Any, source: Source, *, is_zip: bool) -> Record | Unreadable:
    """Return the log without its samples."""
    kind = "eval" if is_zip else "json"
    try:
        log = library.read_eval_log(source.path, header_only=True, format=kind)
        return {"status": log.status, "eval": log.eval.model_dump(mode="json", exclude_none=True)}
    except Exception as error:  # noqa: BLE001 - Inspect's reader: what it raised is reported
        return _unreadable(source, 1, expected="an Inspect log", error=error)


def _from_zip(
    library: Any, source: Source, *, header: Record, options: ReadOptions
) -> Iterator[Attempt | Unreadable]:
    try:
        summaries = library.read_eval_log_sample_summaries(source.path, format="eval")
        keys = [_Key(summary.id, summary.epoch) for summary in summaries]
    except Exception as error:  # noqa: BLE001 - Inspect's reader: what it raised is reported
        yield _unreadable(source, 1, expected="the log's list of samples", error=error)
        return
    for index, key in enumerate(keys, start=1):
        try:
            sample = library.read_eval_log_sample(
                source.path,
                id=key.id,
                epoch=key.epoch,
                resolve_attachments=True,
                format="eval",
                exclude_fields=_NOT_NEEDED,
            )
            record = _dumped(sample)
        except Exception as error:  # noqa: BLE001 - Inspect's reader: what it raised is reported
            wanted = f"sample {key.id!r} of epoch {key.epoch}"
            yield _unreadable(source, index, expected=wanted, error=error)
            continue
        yield attempt_of(source, index, sample=record, header=header, options=options)


def _from_json(
    library: Any, source: Source, *, header: Record, options: ReadOptions
) -> Iterator[Attempt | Unreadable]:
    """Yield the samples of a JSON log, which Inspect can only read whole."""
    try:
        log = library.read_eval_log(source.path, resolve_attachments=True, format="json")
        samples = [_dumped(sample) for sample in log.samples or []]
    except Exception as error:  # noqa: BLE001 - Inspect's reader: what it raised is reported
        yield _unreadable(source, 1, expected="the log's samples", error=error)
        return
    for index, record in enumerate(samples, start=1):
        yield attempt_of(source, index, sample=record, header=header, options=options)


def _dumped(sample: Any) -> Record:
    dumped: Record = sample.model_dump(mode="json", exclude_none=True, exclude=_NOT_NEEDED)
    return dumped


def _unreadable(source: Source, index: int, *, expected: str, error: Exception) -> Unreadable:
    got = parts.first_line(f"{type(error).__name__}: {error}")
    return Unreadable(where=f"{source.label}:{index}", expected=expected, got=got)
