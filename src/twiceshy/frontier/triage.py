"""Triage: what failed, what broke, what was luck, and which tasks can teach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.evidence.stats.intervals import Estimate, clustered_mean
from twiceshy.frontier import findings
from twiceshy.frontier.alarms import Check, fact_checks, p0_against_rate, tally_checks
from twiceshy.frontier.dead import DeadGroup, classify_dead
from twiceshy.frontier.facts import AttemptFacts, mode_of, read_facts, uses_tools
from twiceshy.frontier.groups import Tallies, tally_outcomes
from twiceshy.frontier.ledger import DEFAULT_BAND, SolveRateLedger
from twiceshy.frontier.rates import JEFFREYS, checked_band
from twiceshy.frontier.sheets import P0, AttemptRow, GroupSheet, Settings, attempt_rows, group_sheet
from twiceshy.frontier.undeserved import UndeservedRate, estimate_p0


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageResult:
    """The report with the rows behind it."""

    report: Report
    groups: GroupSheet
    attempts: tuple[AttemptRow, ...] | None
    """One row an attempt; None when triage saw counts only."""
    dead: tuple[DeadGroup, ...]
    """All-wrong groups, as recorded, with the reason; empty when only counts were seen."""


def triage(
    source: Iterable[Attempt] | Tallies,
    *,
    p0: P0 = None,
    tau: float = 1.0,
    band: tuple[float, float] = DEFAULT_BAND,
    confidence: float = 0.95,
    prior: tuple[float, float] = JEFFREYS,
    ledger: SolveRateLedger | None = None,
) -> TriageResult:
    """Sort attempts into what teaches and what does not; nothing is changed or written.

    Args:
        source: Attempts in the order made (read once), or counts from `tally_file`.
        p0: Undeserved-reward rate for all tasks, or by task. None: estimated where the log allows
            it, else unknown, and then no success is called lucky or sound.
        tau: The checker's true-positive rate in (0, 1].
        band: Solve rates that count as the frontier.
        confidence: Of every interval.
        prior: Pseudo-counts (success, failure), each at least ½.
        ledger: Past evidence to add to the counts; read, not updated.

    Returns:
        Report and rows. Rates over nothing are None with n = 0.

    Raises:
        BadInput: p0, tau, band, confidence or prior out of range.
    """
    settings = Settings(band=checked_band(band), prior=prior, tau=tau, confidence=confidence)
    facts = None if isinstance(source, Tallies) else tuple(read_facts(source))
    tallies = source if isinstance(source, Tallies) else _tally(facts or ())
    from_log = estimate_p0(facts) if facts else UndeservedRate(None, 0, "not estimable from counts")
    estimate = _given(p0) or from_log
    sheet = group_sheet(
        tallies, p0=p0 if p0 is not None else estimate.value, settings=settings, ledger=ledger
    )
    rate = solve_rate(tallies, confidence=confidence)
    checks = [
        *tally_checks(tallies),
        p0_against_rate(estimate.value, rate=rate.value, low=rate.low, n_tasks=rate.n),
    ]
    dead, rows = _look_closer(facts, sheet, checks)
    report = findings.report(
        sheet,
        settings=settings,
        p0=estimate,
        from_log=from_log,
        rate=rate,
        checks=checks,
        facts=facts,
        dead=dead,
        by_task=isinstance(p0, Mapping),
    )
    return TriageResult(report=report, groups=sheet, attempts=rows, dead=dead)


def solve_rate(tallies: Tallies, *, confidence: float = 0.95) -> Estimate:
    """Return the share of scored attempts that succeeded, its interval clustered by task.

    Attempts at one task are alike, so the tasks are the units: `n` counts them.
    """
    code: dict[str, int] = {}
    tasks = np.array([code.setdefault(t, len(code)) for t in tallies.task.tolist()], dtype=np.int64)
    counts = np.concatenate([tallies.n_success, tallies.n_failure])
    values = np.repeat(np.repeat([1.0, 0.0], len(tallies)), counts)
    return clustered_mean(values, np.repeat(np.tile(tasks, 2), counts), level=confidence)


def _tally(facts: Iterable[AttemptFacts]) -> Tallies:
    return tally_outcomes((f.task, f.policy, f.outcome, f.recorded) for f in facts)


def _given(p0: P0) -> UndeservedRate | None:
    if p0 is None:
        return None
    if not isinstance(p0, Mapping):
        return UndeservedRate(p0, 0, "given, one rate for all tasks")
    values = [float(value) for value in p0.values()]
    if not values:
        raise BadInput("at least one task's p0", got="none", where="p0")
    return UndeservedRate(float(np.mean(values)), len(values), "given by task; this is the mean")


def _look_closer(
    facts: Sequence[AttemptFacts] | None, sheet: GroupSheet, checks: list[Check]
) -> tuple[tuple[DeadGroup, ...], tuple[AttemptRow, ...] | None]:
    """Add the checks that need attempts to `checks`; return dead groups and rows."""
    if facts is None:
        return (), None
    checks.extend(fact_checks(facts))
    tools = uses_tools(facts)
    dead = _dead_groups(facts, tools=tools)
    by_key = {(group.task, group.policy): group for group in dead}
    return dead, tuple(attempt_rows(facts, sheet, tools=tools, dead=by_key))


def _dead_groups(facts: Sequence[AttemptFacts], *, tools: bool) -> tuple[DeadGroup, ...]:
    groups: dict[tuple[str, str], list[AttemptFacts]] = {}
    passed: dict[str, set[str]] = {}
    for fact in facts:
        groups.setdefault((fact.task, fact.policy), []).append(fact)
        mode = mode_of(fact, tools=tools)
        if fact.outcome is Outcome.SUCCESS and mode is not None:
            passed.setdefault(fact.task, set()).add(mode)
    found = (
        classify_dead(group, tools=tools, passed_modes=passed.get(task, ()))
        for (task, _), group in groups.items()
    )
    return tuple(group for group in found if group is not None)
