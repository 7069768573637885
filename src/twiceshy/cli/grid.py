"""A report's table laid out for the width of a terminal.

Columns that say nothing here (undefined everywhere, or one policy in every row) are left out; what
is too wide is wrapped to two lines before anything is cut.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from rich.markup import escape
from rich.table import Table as Grid

from twiceshy.evidence.report import Table

UNDEFINED = "–"
MAX_ROWS = 12
_MAX_CELL = 120
_MAX_LINES = 2
_SMALL = 0.1
"""A column of smaller numbers gets a decimal more."""

_MIN_TOLD = 3
"""Decimals from which a number too small for them is told from 0."""

Cell = str | int | float | bool | None


def laid_out(table: Table, *, width: int) -> Grid | None:
    """Return the first rows of a table in at most `width` characters; None when it says nothing.

    Example:
        >>> table = Table(title="Rates", columns=("task", "rate"), rows=(("a", None),))
        >>> laid_out(table, width=80) is None
        True
    """
    kept = _telling_columns(table) if table.rows else []
    if len(kept) < max(1, min(2, len(table.columns))):
        return None
    columns = [_as_text([row[column] for row in table.rows[:MAX_ROWS]]) for column in kept]
    headers = [table.columns[column].replace("_", " ") for column in kept]
    layout = _widths(headers, columns, width)
    grid = Grid(box=None, padding=(0, layout.gap, 0, 0), pad_edge=False)
    for column, header, own in zip(kept, headers, layout.widths, strict=True):
        grid.add_column(
            textwrap.fill(header, own),
            justify="right" if _is_numeric(table, column) else "left",
            width=own,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in zip(*columns, strict=True):
        cells = zip(row, layout.widths, strict=True)
        grid.add_row(*(escape(_wrapped(cell, own)) for cell, own in cells))
    return grid


def _telling_columns(table: Table) -> list[int]:
    found = []
    for column, name in enumerate(table.columns):
        values = {row[column] for row in table.rows}
        is_constant_policy = name == "policy" and "task" in table.columns and len(values) == 1
        if values != {None} and not is_constant_policy:
            found.append(column)
    return found


def _as_text(cells: Sequence[Cell]) -> list[str]:
    """Return a column as text, its numbers with as many decimals as its largest one deserves.

    Example:
        >>> _as_text([None, 0.25]), _as_text([1821.0, 2.5]), _as_text([True, 3, "a b"])
        (['–', '0.250'], ['1821', '2'], ['yes', '3', 'a b'])
        >>> _as_text([0.0004, 0.001]), _as_text([0.5, 0.0004, -1e-9])
        (['0.0004', '0.0010'], ['0.500', '<0.001', '>-0.001'])
        >>> _as_text([0.0001, 0.0])
        ['1e-04', '0.000']
    """
    sizes = [abs(cell) for cell in cells if isinstance(cell, float)]
    largest = max(sizes, default=0.0)
    decimals = 3 if largest < 10 else 1 if largest < 100 else 0
    if largest < _least(decimals):
        return [_plain(cell, decimals=decimals, in_powers=True) for cell in cells]
    if largest < _SMALL and any(0 < size < _least(decimals) for size in sizes):
        decimals += 1
    return [_plain(cell, decimals=decimals) for cell in cells]


def _plain(cell: Cell, *, decimals: int, in_powers: bool = False) -> str:
    if cell is None:
        return UNDEFINED
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        if decimals >= _MIN_TOLD and 0 < abs(cell) < _least(decimals):
            if in_powers:
                return f"{cell:.0e}"
            unit = f"{10**-decimals:.{decimals}f}"
            return f"<{unit}" if cell > 0 else f">-{unit}"
        return f"{cell:.{decimals}f}"
    text = printable(" ".join(str(cell).split()))
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def _least(decimals: int) -> float:
    """Return the number below which all decimals would be zeros."""
    return 0.5 * 10**-decimals


def printable(text: str) -> str:
    r"""Return text with every character that could steer a terminal shown as `\ufffd`.

    Logs are written by others: an escape sequence in one must not reach the terminal.

    Example:
        >>> printable("a\x1b[31mb\n")
        'a\ufffd[31mb\n'
    """
    return "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)


class _Layout(NamedTuple):
    """Column widths and the space between columns."""

    widths: list[int]
    gap: int


def _widths(headers: Sequence[str], columns: Sequence[Sequence[str]], width: int) -> _Layout:
    body = [max((len(cell) for cell in column), default=1) for column in columns]
    low = [max(_longest_word(header), own) for header, own in zip(headers, body, strict=True)]
    roomy = [max(_two_lines(header), own) for header, own in zip(headers, body, strict=True)]
    whole = [max(len(header), own) for header, own in zip(headers, body, strict=True)]
    for wanted, gap in ((whole, 2), (roomy, 2), (low, 2), (roomy, 1), (low, 1)):
        if sum(wanted) + gap * (len(wanted) - 1) <= width:
            return _Layout(wanted, gap)
    words = [
        max(_longest_word(header), *(_longest_word(cell) for cell in column))
        for header, column in zip(headers, columns, strict=True)
    ]
    return _Layout(fitted(low, words, room=width - (len(low) - 1)), 1)


def fitted(widths: Sequence[int], words: Sequence[int], *, room: int) -> list[int]:
    """Return the widths with the widest columns cut until all fit, words kept whole while possible.

    Example:
        >>> fitted([4, 30, 20], [4, 8, 20], room=40)
        [4, 16, 20]
        >>> fitted([4, 30, 20], [4, 30, 20], room=40)
        [4, 18, 18]
    """
    cut = list(widths)
    for floor in (words, [1] * len(cut)):
        while sum(cut) > room:
            spare = [(own, i) for i, own in enumerate(cut) if own > floor[i]]
            if not spare:
                break
            cut[max(spare)[1]] -= 1
    return cut


def _longest_word(text: str) -> int:
    return max((len(word) for word in text.split()), default=1)


def _two_lines(header: str) -> int:
    """Return the least width at which a header takes at most two lines."""
    width = _longest_word(header)
    while len(textwrap.wrap(header, width)) > _MAX_LINES:
        width += 1
    return width


def _wrapped(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    return "\n".join(textwrap.wrap(text, width, max_lines=_MAX_LINES, placeholder="…"))


def _is_numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows if row[column] is not None]
    return bool(cells) and all(
        isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells
    )
