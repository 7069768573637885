"""What a sidecar holds, counted from the file itself, so that any engine gives the same account."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from twiceshy.frontier.columns import quoted

if TYPE_CHECKING:
    import duckdb


class Cell(NamedTuple):
    """Rows that share state, outcome and reason."""

    state: str
    outcome: str
    why: str
    n_rows: int
    weight: float | None
    """Sum of their advantages; None where none has one."""


class SidecarCounts(NamedTuple):
    """The account of a sidecar."""

    cells: tuple[Cell, ...]
    n_groups: dict[str, int]
    """By state."""
    group_sizes: tuple[int, int]
    """Smallest and largest, in rows."""
    n_lucky_judged: int
    """Successes with a P(lucky)."""
    expected_lucky: float | None
    """How many of those were undeserved, in expectation."""

    @property
    def n_rows(self) -> int:
        """All rows."""
        return sum(cell.n_rows for cell in self.cells)

    @property
    def n_scored(self) -> int:
        """Rows that are a success or a failure."""
        scored = (cell.n_rows for cell in self.cells if cell.outcome in ("success", "failure"))
        return sum(scored)


def count_sidecar(connection: duckdb.DuckDBPyConnection, path: Path) -> SidecarCounts:
    """Return the account of a sidecar on disk."""
    source = f"read_parquet({quoted(str(path))})"
    cells = _cells(
        connection.execute(
            f"SELECT state, outcome, why, advantage::DOUBLE, count(*) FROM {source}"
            " GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    )
    # A group of n rows is in the file n times.
    groups = connection.execute(
        f"SELECT state, sum(n_rows // group_size)::BIGINT, min(group_size), max(group_size) FROM"
        f" (SELECT state, group_size, count(*) AS n_rows FROM {source} GROUP BY ALL)"
        " GROUP BY state ORDER BY state"
    ).fetchall()
    lucky = connection.execute(
        f"SELECT p_lucky, count(*) FROM {source} WHERE p_lucky IS NOT NULL GROUP BY ALL"
    ).fetchall()
    sizes = (min((g[2] for g in groups), default=0), max((g[3] for g in groups), default=0))
    return SidecarCounts(
        cells=cells,
        n_groups={row[0]: row[1] for row in groups},
        group_sizes=sizes,
        n_lucky_judged=sum(n for _, n in lucky),
        expected_lucky=fsum(p * n for p, n in lucky) if lucky else None,
    )


def _cells(rows: Iterable[tuple[str, str, str, float | None, int]]) -> tuple[Cell, ...]:
    """Return cells from counts by advantage; sums are exact, whatever order they come in."""
    found: dict[tuple[str, str, str], list[tuple[float | None, int]]] = {}
    for state, outcome, why, advantage, n_rows in rows:
        found.setdefault((state, outcome, why), []).append((advantage, n_rows))
    return tuple(Cell(*key, *_summed(parts)) for key, parts in found.items())


def _summed(parts: Iterable[tuple[float | None, int]]) -> tuple[int, float | None]:
    held = tuple(parts)
    weights = [advantage * n for advantage, n in held if advantage is not None]
    return sum(n for _, n in held), fsum(weights) if weights else None
