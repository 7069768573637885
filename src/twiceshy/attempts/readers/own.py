"""Our own attempts: JSONL as `store` writes it, or Parquet with a `record` column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from twiceshy.attempts.codec import decode_attempt
from twiceshy.attempts.readers import parquet
from twiceshy.attempts.readers.peek import has_keys, peek
from twiceshy.attempts.readers.protocol import ReadOptions, Source
from twiceshy.attempts.types import Attempt, Provenance, Unreadable
from twiceshy.errors import BadInput

_COLUMNS = frozenset({"id", "task", "policy", "outcome", "record"})


class Own:
    """Reader for the files this package writes; ids and verdicts are taken as they are."""

    name: Literal["own"] = "own"

    def matches(self, source: Source) -> bool:
        """Whether the first line has a task and a verdict, or the Parquet file our columns."""
        if parquet.is_parquet(source):
            return set(parquet.columns(source)) >= _COLUMNS
        found = next(iter(peek(source)), {})
        return has_keys(found, "task", "verdict")

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield one attempt per line or row."""
        del options  # a stored attempt has its policy and its verdict
        for number, line in _records(source):
            try:
                attempt = decode_attempt(line)
            except BadInput as error:
                where = f"{source.label}:{number}"
                yield Unreadable(where, error.expected, error.got, error.fix)
                continue
            if not attempt.provenance.file:
                place = Provenance(file=source.label, line=number, format="own")
                attempt = msgspec.structs.replace(attempt, provenance=place)
            yield attempt


def _records(source: Source) -> Iterator[tuple[int, bytes]]:
    if not parquet.is_parquet(source):
        yield from source.lines()
        return
    for number, row in parquet.rows(source, columns=["record"]):
        yield number, str(row["record"]).encode("utf-8", "surrogatepass")
