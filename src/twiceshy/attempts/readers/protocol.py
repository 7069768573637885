"""What a reader is, and what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from twiceshy.attempts.types import Attempt, Unreadable


class Source(Protocol):
    """One input file, decompressed on the fly. Implemented in `attempts.sources`."""

    @property
    def path(self) -> Path:
        """The file as given."""
        ...

    @property
    def label(self) -> str:
        """The path as shown in messages and stored in provenance."""
        ...

    @property
    def head(self) -> bytes:
        """The first 64 KiB, decompressed; what `Reader.matches` looks at."""
        ...

    def open(self) -> BinaryIO:
        """Open the whole file for reading, decompressed."""
        ...

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield (1-based line number, line without its newline), blank lines left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What the caller said about the input."""

    threshold: float | None = None
    """A reward at or above it is a success. None: only 0 and 1 are accepted as verdicts."""
    policy: str | None = None
    """Name of the policy, when the log does not give one."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """`--map`: our field to the log's column, dotted paths allowed."""


class Reader(Protocol):
    """Turns one log format into attempts.

    `read` is a generator: it yields an `Attempt` or, for a record it cannot use, an `Unreadable`
    with `file:line`, and goes on. It raises nothing for bad content. It leaves `Attempt.id` empty
    (the caller seals it) and never invents a verdict: no judgement in the log means `unscored`.
    Tool crashes, timeouts and limits that the format *types* are reported as `broken` with their
    reason, keeping what the log recorded in `Verdict.recorded`.
    """

    @property
    def name(self) -> str:
        """Short name, as in `--format NAME` and `Provenance.format`."""
        ...

    def matches(self, source: Source) -> bool:
        """Whether the head of the file looks like this format. Cheap; must not raise."""
        ...

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        """Yield the file's attempts in order, in bounded memory where the format allows."""
        ...
