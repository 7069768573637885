"""Tables as the template wants them: captions, text cells, and what was left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from twiceshy.evidence.page.words import counted, flatten, number
from twiceshy.evidence.report import Table

MAX_ROWS = 200
Value = str | int | float | bool | None


class Cell(NamedTuple):
    """One cell, formatted."""

    text: str
    is_number: bool
    """Whether its column holds numbers only."""


class TableView(NamedTuple):
    """One table, ready to print."""

    id: str
    caption: str
    columns: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str


class Ids:
    """Ids that are unique on one page."""

    def __init__(self) -> None:
        self._numbers: Iterator[int] = count(1)

    def new(self, kind: str) -> str:
        """Return the next id of a kind, as "table-7"."""
        return f"{kind}-{next(self._numbers)}"


def _reads_as_number(text: str) -> bool:
    return re.fullmatch(r"< 0.001|[−+]?[\d.,e−]+%?( \[.*\])?|\[.*\]|undefined.*", text) is not None


def _is_numeric(texts: Sequence[str]) -> bool:
    """Whether a column holds numbers, intervals and dashes only, and not dashes alone."""
    given = [text for text in texts if text not in ("—", "no interval")]
    return bool(given) and all(_reads_as_number(text) for text in given)


def table(
    ids: Ids,
    caption: str,
    *,
    columns: Sequence[str],
    rows: Sequence[Sequence[Value]],
    note: str = "",
) -> TableView:
    """Build a table of at most 200 rows; the note counts what was left out.

    Args:
        ids: Of the page.
        caption: Says what the table shows.
        columns: Headings; the first column heads the rows.
        rows: One value a column.
        note: Under the table.
    """
    texts = [[number(value) for value in row] for row in rows[:MAX_ROWS]]
    left = len(rows) - len(texts)
    cut = f"{counted(left, 'further row')} not shown; --json prints them all." if left else ""
    numeric = [_is_numeric([row[i] for row in texts if i < len(row)]) for i in range(len(columns))]
    heads = tuple(map(Cell, columns, numeric))
    shown = tuple(tuple(map(Cell, row, numeric)) for row in texts)
    return TableView(ids.new("table"), caption, heads, shown, " ".join(filter(None, (note, cut))))


def report_table(ids: Ids, source: Table) -> TableView:
    """Build a table from a report's."""
    return table(ids, source.title, columns=source.columns, rows=source.rows, note=source.note)


def mapping_table(ids: Ids, caption: str, values: Mapping[str, Any]) -> TableView:
    """Build a two-column table from nested values."""
    entries = list(flatten(values))
    return table(ids, caption, columns=("name", "value"), rows=entries)
