"""The page as text and as a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from twiceshy.attempts.types import Outcome
from twiceshy.evidence.page.figures import (
    disagrees,
    frontier_figure,
    null_figure,
    outcome_figure,
    scores_figure,
    trial_figure,
)
from twiceshy.evidence.page.frontier_plot import MARKS
from twiceshy.evidence.page.lesson_view import lessons_view
from twiceshy.evidence.page.tables import Ids, TableView, mapping_table, report_table, table
from twiceshy.evidence.page.types import FrontierPoint, HeldOut, Page, Trial
from twiceshy.evidence.page.words import (
    clean,
    counted,
    interval,
    measured,
    number,
)
from twiceshy.evidence.report import Alarm, Report
from twiceshy.files import write_whole

if TYPE_CHECKING:
    from jinja2 import Environment

_FEW_SHUFFLES = 100
_MAX_POLICIES = 30
_SEVERITIES = ("alarm", "warning", "info")


class StateCount(NamedTuple):
    """How many groups are in one state."""

    state: str
    name: str
    n: int


class ReportView(NamedTuple):
    """One report with its tables."""

    report: Report
    numbers: TableView | None
    tables: tuple[TableView, ...]


def render_page(page: Page) -> str:
    """Return the page as one HTML document that loads nothing from anywhere.

    All text is escaped and control characters are made visible. There is no script.

    >>> "&lt;script&gt;" in render_page(Page(title="<script>", summary=()))
    True
    """
    template = _environment().get_template("template.html.jinja")
    return template.render(_context(page))


def write_page(page: Page, path: str | os.PathLike[str]) -> Path:
    """Write the page so that a reader never sees half of it; return where it is.

    The text goes to a file beside `path` first, which then takes its place.

    Raises:
        BadInput: If the folder does not exist or cannot be written to.
    """
    target = Path(path)
    write_whole(target, render_page(page).encode())
    return target


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("twiceshy.evidence.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "number": number,
        "interval": interval,
        "measured": measured,
        "counted": counted,
    }
    environment.filters.update(filters)
    return environment


def _context(page: Page) -> dict[str, Any]:
    from markupsafe import Markup

    ids = Ids()
    style = files("twiceshy.evidence.page").joinpath("style.css").read_text(encoding="utf-8")
    return {
        "page": page,
        "style": Markup(style),
        "alarms": _alarms(page),
        "confidence": " and ".join(
            sorted({f"{100 * one.confidence:g} %" for one in page.headline})
        ),
        **_outcomes(ids, page),
        **_frontier(ids, page.frontier),
        "lessons": lessons_view(ids, page.lessons),
        **_held_out(ids, page.held_out),
        **_trial(ids, page.trial),
        "reports": [_report(ids, report) for report in page.reports],
        "provenance": _provenance(ids, page),
    }


def _alarms(page: Page) -> list[Alarm]:
    every = [*page.alarms, *(alarm for report in page.reports for alarm in report.alarms)]
    distinct = [alarm for i, alarm in enumerate(every) if alarm not in every[:i]]
    return sorted(distinct, key=lambda alarm: _SEVERITIES.index(alarm.severity))


def _outcomes(ids: Ids, page: Page) -> dict[str, Any]:
    totals = {
        outcome: sum(c.n for c in page.outcomes if c.outcome is outcome) for outcome in Outcome
    }
    scored = totals[Outcome.SUCCESS] + totals[Outcome.FAILURE]
    return {
        "totals": [(outcome.value, n) for outcome, n in totals.items()],
        "n_attempts": sum(totals.values()),
        "n_scored": scored,
        "outcome_figure": outcome_figure(ids, page.outcomes),
    }


def _frontier(ids: Ids, points: Sequence[FrontierPoint]) -> dict[str, Any]:
    states = [point.state for point in points]
    counts = [StateCount(state, mark.name, states.count(state)) for state, mark in MARKS.items()]
    policies = sorted({point.policy for point in points})
    return {
        "state_counts": [each for each in counts if each.n],
        "n_groups": len(points),
        "n_mixed": states.count("mixed"),
        "n_undefined": sum(point.rate is None for point in points),
        "frontier_figure": frontier_figure(ids, points),
        "policies": _policy_table(ids, points, policies) if len(policies) > 1 else None,
    }


def _policy_table(ids: Ids, points: Sequence[FrontierPoint], policies: Sequence[str]) -> TableView:
    def row(policy: str) -> tuple[str | int, ...]:
        states = [point.state for point in points if point.policy == policy]
        return (policy, len(states), *(states.count(state) for state in MARKS))

    return table(
        ids,
        "Groups by policy and state",
        columns=("policy", "groups", *(mark.name for mark in MARKS.values())),
        rows=[row(policy) for policy in policies[:_MAX_POLICIES]],
        note=f"The first {_MAX_POLICIES} policies." if len(policies) > _MAX_POLICIES else "",
    )


def _held_out(ids: Ids, held_out: HeldOut | None) -> dict[str, Any]:
    if held_out is None:
        return {"null_figure": None, "scores_figure": None, "verdict": "", "rank": "", "split": []}
    scores = (held_out.auc, *held_out.arms, *held_out.baselines)
    return {
        "null_figure": null_figure(ids, held_out),
        "scores_figure": scores_figure(ids, held_out),
        "verdict": _verdict(held_out),
        "rank": _rank(held_out),
        "split": [score for score in scores if disagrees(score)],
    }


def _verdict(held_out: HeldOut) -> str:
    auc = held_out.auc
    if auc.estimate is None:
        return "The score is undefined: no held-out task has both a success and a failure."
    if auc.low is None or auc.high is None:
        return "There is no interval, so nothing can be claimed."
    if auc.low > 0.5:
        return "The whole interval lies above 0.5, which is chance."
    if auc.high < 0.5:
        return "The whole interval lies below 0.5: the lessons rank worse than chance."
    return "The interval contains 0.5, which is chance: these data cannot decide."


def _rank(held_out: HeldOut) -> str:
    real, n = held_out.auc.estimate, len(held_out.null)
    if n == 0:
        return "The pipeline was not run on shuffled labels, so there is no null to compare with."
    if real is None:
        return f"There are {counted(n, 'shuffled run')}, and no real score to rank among them."
    above = sum(value >= real for value in held_out.null)
    text = f"{number(above)} of {counted(n, 'run')} on shuffled labels scored as high or higher"
    text += f" (p = {number(held_out.p_value)})." if held_out.p_value is not None else "."
    few = f" Fewer than {_FEW_SHUFFLES} shuffled runs make that rank coarse."
    return text + (few if n < _FEW_SHUFFLES else "")


def _trial(ids: Ids, trial: Trial | None) -> dict[str, Any]:
    if trial is None:
        return {"trial_figure": None, "has_placebo": False}
    return {
        "trial_figure": trial_figure(ids, trial),
        "has_placebo": any(arm.is_placebo for arm in trial.arms),
    }


def _report(ids: Ids, report: Report) -> ReportView:
    numbers = mapping_table(ids, f"Numbers of {report.kind}", report.numbers)
    tables = tuple(report_table(ids, each) for each in report.tables)
    return ReportView(report, numbers if report.numbers else None, tables)


def _provenance(ids: Ids, page: Page) -> list[TableView]:
    named = [("This page", page.manifest)]
    named += [(report.kind, report.manifest) for report in page.reports]
    distinct = [
        one for i, one in enumerate(named) if one[1] and one[1] not in [m for _, m in named[:i]]
    ]
    return [mapping_table(ids, f"Manifest: {name}", values) for name, values in distinct]
