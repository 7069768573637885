"""What a run leaves: how its student did along the way, what it was taught, and the alarm."""

from __future__ import annotations

from typing import Any

import msgspec


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A student at one moment, on one kind of problems."""

    epoch: int
    domain: str
    accuracy: float
    length: float
    """Words a response."""
    markers: float
    """A hundred words."""
    forks: float
    """Share of positions above the base's entropy threshold."""
    right: tuple[float, ...]
    """Success rate by problem."""


class Taught(msgspec.Struct, frozen=True, kw_only=True):
    """What a teacher wrote."""

    n: int
    """Traces its student learned from."""
    accuracy: float
    """Of everything it wrote."""
    length: float
    markers: float
    gap: float | None
    """Its accuracy minus the base's, at the same problems."""
    check: dict[str, Any]
    """The library's verdict on the traces."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run."""

    points: tuple[Point, ...]
    taught: Taught
    alarm: dict[str, Any]
    """The collapse alarm after training, against the base."""

    def point(self, *, domain: str, epoch: int) -> Point:
        """Return one evaluation."""
        return next(p for p in self.points if (p.domain, p.epoch) == (domain, epoch))
