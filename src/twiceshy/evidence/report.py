"""A report: named numbers, tables and words, in text, JSON or HTML.

`Report` is data. Text for the terminal is rendered in `cli`, the page in `evidence.page`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

REPORT_VERSION = 1

Severity = Literal["info", "warning", "alarm"]


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rows under named columns. A cell that is None is undefined and shown as such."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | bool | None, ...], ...]
    note: str = ""


class Alarm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something a reader should not miss."""

    name: str
    severity: Severity
    message: str
    value: float | None = None
    threshold: float | None = None
    source: str = ""
    """Where the threshold comes from (paper, section or "ours")."""


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one command."""

    kind: str
    """The command, as "audit passk"."""
    title: str
    summary: tuple[str, ...]
    """One line first, then at most a handful of sentences."""
    numbers: dict[str, Any] = {}
    """What `--json` prints, at the top level. None is undefined; every rate has its n beside it."""
    tables: tuple[Table, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    ok: bool = True
    """False when an audit or a gate failed; the command then exits with code 1."""
    manifest: dict[str, Any] = {}
    """Versions, seed, configuration, inputs, counts and wall time; enough to repeat the run."""
    version: int = REPORT_VERSION
