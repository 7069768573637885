"""One file per log format; `READERS` lists them in the order in which they are tried."""

from __future__ import annotations

from twiceshy.attempts.readers.protocol import Reader, ReadOptions, Source

READERS: tuple[Reader, ...] = ()
"""All readers, most specific first: the first whose `matches` says yes reads the file."""

__all__ = ["READERS", "ReadOptions", "Reader", "Source"]
