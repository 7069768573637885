"""What a sidecar came to, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum
from typing import Any

from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.frontier.groups import STATES
from twiceshy.frontier.weights.counting import Cell, SidecarCounts
from twiceshy.frontier.weights.rulings import Why
from twiceshy.frontier.weights.settings import WeightSettings

_MEANS = {
    Why.HAS_GRADIENT: "its advantage is not 0",
    Why.NO_GRADIENT: "the objective gives it 0",
    Why.ALL_WRONG: "all-wrong groups were to be dropped",
    Why.LUCKY: "P(lucky) above the limit",
    Why.SMALL_GROUP: "too few rows to compare",
    Why.BROKEN: "the world failed",
    Why.UNSCORED: "nobody judged it",
    Why.TRUNCATED: "cut at a length limit",
}


def weights_report(counts: SidecarCounts, settings: WeightSettings) -> Report:
    """Return the account of a sidecar as a report."""
    numbers = _numbers(counts, settings)
    return Report(
        kind="weights",
        title="Weights",
        summary=_summary(numbers),
        numbers=numbers,
        tables=(_why_table(counts), _state_table(counts)),
        alarms=tuple(_alarms(numbers)),
    )


def _numbers(counts: SidecarCounts, settings: WeightSettings) -> dict[str, Any]:
    kept = [cell for cell in counts.cells if cell.why == Why.HAS_GRADIENT]
    n_kept = sum(cell.n_rows for cell in kept)
    judged = counts.n_lucky_judged
    return {
        "objective": settings.objective,
        "n_rows": counts.n_rows,
        "n_scored": counts.n_scored,
        "n_kept": n_kept,
        "share_kept": n_kept / counts.n_rows if counts.n_rows else None,
        "weight_of_successes": _weight(kept, "success"),
        "weight_of_failures": _weight(kept, "failure"),
        "rows_by_why": {why.value: _rows(counts.cells, why) for why in Why},
        "n_groups": sum(counts.n_groups.values()),
        "groups": {state.value: counts.n_groups.get(state.value, 0) for state in STATES},
        "group_sizes": list(counts.group_sizes),
        "lucky": {"n_judged": judged, "expected": counts.expected_lucky if judged else None},
    }


def _weight(cells: Iterable[Cell], outcome: str) -> float | None:
    weights = [c.weight for c in cells if c.outcome == outcome and c.weight is not None]
    return fsum(weights) if weights else None


def _rows(cells: Iterable[Cell], why: str) -> int:
    return sum(cell.n_rows for cell in cells if cell.why == why)


def _summary(numbers: dict[str, Any]) -> tuple[str, ...]:
    first = (
        f"{numbers['n_kept']} of {numbers['n_rows']} attempts in {numbers['n_groups']} groups are"
        f" kept by {numbers['objective']}; {numbers['n_rows'] - numbers['n_scored']} are not scored"
        " and have no advantage."
    )
    lucky = numbers["lucky"]
    if not lucky["n_judged"]:
        return (first,)
    return (
        first,
        f"Of {lucky['n_judged']} successes {lucky['expected']:.1f} are expected to be luck.",
    )


def _why_table(counts: SidecarCounts) -> Table:
    rows = tuple(
        (why.value, "kept" if why is Why.HAS_GRADIENT else "left out", n, _MEANS[why])
        for why in Why
        if (n := _rows(counts.cells, why))
    )
    return Table(title="Rows", columns=("why", "row is", "rows", "meaning"), rows=rows)


def _state_table(counts: SidecarCounts) -> Table:
    rows = []
    for state in STATES:
        cells = [cell for cell in counts.cells if cell.state == state.value]
        kept = [cell for cell in cells if cell.why == Why.HAS_GRADIENT]
        n_rows, n_kept = (sum(cell.n_rows for cell in part) for part in (cells, kept))
        weights = (_weight(kept, outcome) for outcome in ("success", "failure"))
        if n_rows:
            n_groups = counts.n_groups.get(state.value, 0)
            rows.append((state.value, n_groups, n_rows, n_kept, *weights))
    columns = ("state", "groups", "rows", "kept", "weight of successes", "of failures")
    note = "Weight: sum of the advantages of kept rows."
    return Table(title="Groups", columns=columns, rows=tuple(rows), note=note)


def _alarms(numbers: dict[str, Any]) -> Iterable[Alarm]:
    least, most = numbers["group_sizes"]
    if not numbers["n_kept"]:
        yield Alarm(
            name="nothing_kept",
            severity="warning",
            message=f"No row has a gradient under {numbers['objective']}; see the reasons above.",
        )
    if least != most:
        yield Alarm(
            name="group_sizes",
            severity="info",
            message=f"Groups have {least} to {most} rows; in a mean over rows large ones weigh"
            " more.",
        )
