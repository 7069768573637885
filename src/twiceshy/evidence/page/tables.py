"""Tables as the template wants them: captions, text cells, and what was left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any, NamedTuple

from twiceshy.evidence.page.words import counted, flatten, number
from twiceshy.evidence.report import Table

MAX_ROWS = 200
Value = str | int | float | bool | None


class Cell(NamedTuple):
    """One cell, formatted."""

    text: str
    is_number: bool


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


def cell(value: Value) -> Cell:
    """Format one value; text that is only a number with its interval counts as a number."""
    is_number = value is None or not isinstance(value, str | bool)
    text = number(value)
    return Cell(
        text, is_number or bool(re.fullmatch(r"[−+]?[\d.,e−]+( \[.*\])?|undefined.*", text))
    )


def table(
    ids: Ids,
    caption: str,
    *,
    columns: Sequence[str],
    rows: Iterable[Sequence[Value]],
    note: str = "",
    n_rows: int | None = None,
) -> TableView:
    """Build a table of at most 200 rows; the note counts what was left out.

    Args:
        ids: Of the page.
        caption: Says what the table shows.
        columns: Headings; the first column heads the rows.
        rows: One value a column.
        note: Under the table.
        n_rows: How many rows there are, where `rows` is not a sequence.
    """
    shown = tuple(tuple(cell(value) for value in row) for row in islice(rows, MAX_ROWS))
    total = n_rows if n_rows is not None else (len(rows) if isinstance(rows, Sequence) else 0)
    left = max(0, total - len(shown))
    cut = f"{counted(left, 'further row')} not shown; --json prints them all." if left else ""
    numeric = [
        bool(shown) and all(row[i].is_number for row in shown if i < len(row))
        for i in range(len(columns))
    ]
    heads = tuple(Cell(name, is_number) for name, is_number in zip(columns, numeric, strict=True))
    return TableView(ids.new("table"), caption, heads, shown, " ".join(filter(None, (note, cut))))


def report_table(ids: Ids, source: Table) -> TableView:
    """Build a table from a report's."""
    return table(ids, source.title, columns=source.columns, rows=source.rows, note=source.note)


def mapping_table(ids: Ids, caption: str, values: Mapping[str, Any]) -> TableView:
    """Build a two-column table from nested values."""
    entries = list(flatten(values))
    return table(ids, caption, columns=("name", "value"), rows=entries)
