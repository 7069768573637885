"""The triage report: numbers, tables and sentences made from the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from twiceshy.attempts.types import Outcome
from twiceshy.evidence.report import Report, Table
from twiceshy.evidence.stats.intervals import Estimate
from twiceshy.frontier.advice import ADVICE, budget_sentence, contrast_by_state
from twiceshy.frontier.alarms import Check
from twiceshy.frontier.dead import CURES, DeadGroup
from twiceshy.frontier.facts import AttemptFacts, uses_tools
from twiceshy.frontier.groups import STATES, across_policies, count_states
from twiceshy.frontier.sheets import GroupSheet, Settings, defined
from twiceshy.frontier.undeserved import UndeservedRate

MAX_ROWS = 200
"""Rows of a table or list in the report; the rest is in the sidecar."""
MAX_POINTS = 2000
"""Points of the frontier plot."""
SAMPLE_SEED = 0
LUCKY = 0.5
"""P(lucky) above which a success is counted as probably undeserved."""
SIGNIFICANT = 0.05

_LABELS = (("all_wrong", "all-wrong"), ("all_right", "all-right"), ("mixed", "mixed"))
_ODD_LABELS = (
    ("single", "with one scored attempt"),
    ("broken", "all broken"),
    ("unscored", "not scored"),
)


def report(
    sheet: GroupSheet,
    *,
    settings: Settings,
    p0: UndeservedRate,
    from_log: UndeservedRate,
    rate: Estimate,
    checks: Sequence[Check],
    facts: Sequence[AttemptFacts] | None,
    dead: Sequence[DeadGroup],
    by_task: bool,
) -> Report:
    """Return the report of one triage."""
    numbers = _counts(sheet)
    numbers |= {
        "solve_rate": rate._asdict() | {"confidence": settings.confidence},
        "p0": p0.value,
        "p0_n": p0.n,
        "p0_source": p0.source,
        "p0_low": p0.low,
        "p0_high": p0.high,
        "p0_from_log": from_log._asdict(),
        "p0_by_task": by_task,
        "lucky": _lucky(sheet, facts),
        "frontier": _frontier(sheet, settings),
        "dead": dict(Counter(group.kind.value for group in dead)) if facts is not None else None,
        "broken": _broken(facts),
        "checks": [_check(check) for check in checks],
    }
    numbers |= _points(sheet)
    return Report(
        kind="triage",
        title="Triage",
        summary=_summary(numbers, by_task=by_task),
        numbers=numbers,
        tables=tuple(_tables(numbers, dead)),
        alarms=tuple(check.alarm() for check in checks if check.raised),
    )


def _counts(sheet: GroupSheet) -> dict[str, Any]:
    t = sheet.tallies
    counts = {
        "n_success": int(t.n_success.sum()),
        "n_failure": int(t.n_failure.sum()),
        "n_broken": int(t.n_broken.sum()),
        "n_unscored": int(t.n_unscored.sum()),
    }
    return {
        "n_attempts": sum(counts.values()),
        **counts,
        "n_recorded_success": int(t.n_recorded_success.sum()),
        "n_recorded_failure": int(t.n_recorded_failure.sum()),
        "n_tasks": len(set(t.task.tolist())),
        "n_policies": len(set(t.policy.tolist())),
        "n_groups": len(t),
        "groups_as_recorded": count_states(sheet.state_as_recorded),
        "groups": count_states(sheet.state),
        "tasks_across_policies": across_policies(t),
    }


def _broken(facts: Sequence[AttemptFacts] | None) -> list[dict[str, Any]] | None:
    if facts is None:
        return None
    broken = [fact for fact in facts if fact.outcome is Outcome.BROKEN]
    return [
        {
            "task": fact.task,
            "policy": fact.policy,
            "trial": fact.trial,
            "kind": fact.broken,
            "reason": fact.reason,
            "recorded": fact.recorded.value,
        }
        for fact in broken[:MAX_ROWS]
    ]


def _lucky(sheet: GroupSheet, facts: Sequence[AttemptFacts] | None) -> dict[str, Any]:
    t, lucky = sheet.tallies, sheet.p_lucky
    judged = ~np.isnan(lucky)
    n_judged = int(t.n_success[judged].sum())
    result: dict[str, Any] = {
        "n_judged": n_judged,
        "n_above_half": None,
        "n_groups": 0,
        "expected": None,
        "n_groups_beyond_luck": None,
        "n_did_nothing": _successes_without_write(facts),
        "tasks": [],
    }
    if not n_judged:
        return result
    above = judged & (np.nan_to_num(lucky) > LUCKY)
    order = np.flatnonzero(above)
    order = order[np.argsort(-lucky[order], kind="stable")][:MAX_ROWS]
    result["n_groups"] = int(above.sum())
    result["n_above_half"] = int(t.n_success[above].sum())
    result["expected"] = float((t.n_success[judged] * lucky[judged]).sum())
    result["n_groups_beyond_luck"] = int((sheet.q_lucky < SIGNIFICANT).sum())
    result["tasks"] = [_lucky_row(sheet, int(i)) for i in order]
    return result


def _lucky_row(sheet: GroupSheet, i: int) -> dict[str, Any]:
    t = sheet.tallies
    return {
        "task": t.task[i],
        "policy": t.policy[i],
        "n_success": int(t.n_success[i]),
        "n_scored": int(t.n_scored[i]),
        "p_lucky": float(sheet.p_lucky[i]),
        "q_value": defined(sheet.q_lucky[i]),
    }


def _successes_without_write(facts: Sequence[AttemptFacts] | None) -> int | None:
    if facts is None or not uses_tools(facts):
        return None
    return sum(fact.outcome is Outcome.SUCCESS and not fact.writes for fact in facts)


def _frontier(sheet: GroupSheet, settings: Settings) -> dict[str, Any]:
    scored = sheet.tallies.n_scored > 0
    n, n_in = int(scored.sum()), int((scored & (sheet.p_in_band > 0.5)).sum())
    advice = np.bincount(sheet.advice, minlength=len(ADVICE))
    more = int(np.median(sheet.tallies.n_scored[scored])) if n else 0
    chances = contrast_by_state(sheet.state, sheet.alpha, sheet.beta, more=max(more, 2))
    return {
        "band": list(settings.band),
        "n_groups_scored": n,
        "n_in_band": n_in if n else None,
        "share_in_band": n_in / n if n else None,
        "advice": {a.value: int(k) for a, k in zip(ADVICE, advice, strict=True)},
        "more_attempts": max(more, 2) if n else None,
        "chance_of_contrast": chances,
        "budget": budget_sentence(count_states(sheet.state), chances),
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "value": check.value,
        "n": check.n,
        "threshold": check.threshold,
        "raised": check.raised,
        "source": check.source,
    }


def _points(sheet: GroupSheet) -> dict[str, Any]:
    scored = np.flatnonzero(sheet.tallies.n_scored > 0)
    shown = scored
    if len(scored) > MAX_POINTS:
        rng = np.random.default_rng(SAMPLE_SEED)
        shown = np.sort(rng.choice(scored, MAX_POINTS, replace=False))
    sampling = {"n_shown": len(shown), "n_groups_scored": len(scored), "seed": SAMPLE_SEED}
    return {
        "frontier_points": [_point(sheet, int(i)) for i in shown],
        "frontier_points_sampling": sampling,
    }


def _point(sheet: GroupSheet, i: int) -> dict[str, Any]:
    t, limits = sheet.tallies, sheet.intervals
    return {
        "task": t.task[i],
        "policy": t.policy[i],
        "n": int(t.n_scored[i]),
        "rate": defined(limits.rate[i]),
        "low": defined(limits.low[i]),
        "high": defined(limits.high[i]),
        "state": STATES[int(sheet.state[i])].value,
        "p_in_band": defined(sheet.p_in_band[i]),
        "advice": ADVICE[int(sheet.advice[i])].value,
    }


def _summary(numbers: dict[str, Any], *, by_task: bool) -> tuple[str, ...]:
    first = (
        f"{numbers['n_attempts']} attempts at {numbers['n_tasks']} tasks:"
        f" {numbers['n_success']} succeeded, {numbers['n_failure']} failed,"
        f" {numbers['n_broken']} broke, {numbers['n_unscored']} were not scored."
    )
    if not numbers["n_attempts"]:
        return ("No attempts: every rate is undefined (n = 0).",)
    if not numbers["n_success"] + numbers["n_failure"]:
        return (first, *_nothing_scored(numbers))
    sentences = [first, _states_sentence(numbers), _luck_sentence(numbers, by_task=by_task)]
    return (*sentences, numbers["frontier"]["budget"])


def _nothing_scored(numbers: dict[str, Any]) -> tuple[str, ...]:
    undefined = "Every rate is undefined (n = 0): no attempt has a verdict that counts."
    if not numbers["n_unscored"]:
        return (undefined, "All attempts broke; repair the set-up and run them again.")
    return (
        undefined,
        "Join outcomes from a second file with --outcomes FILE (one row an attempt, with its task"
        " or id and a success, reward or outcome).",
    )


def _states_sentence(numbers: dict[str, Any]) -> str:
    def told(states: dict[str, int]) -> str:
        odd = [pair for pair in _ODD_LABELS if states[pair[0]]]
        return ", ".join(f"{states[key]} {label}" for key, label in (*_LABELS, *odd))

    text = f"Groups as recorded: {told(numbers['groups_as_recorded'])}"
    if numbers["n_broken"]:
        aside = f"after {numbers['n_broken']} broken attempts are set aside"
        text += f"; {aside}: {told(numbers['groups'])}"
    if numbers["n_policies"] == 1:
        return text + "."
    mixed = numbers["tasks_across_policies"]["mixed"]
    return (
        f"{text}. Pooled over {numbers['n_policies']} policies, {mixed} of {numbers['n_tasks']}"
        " tasks are mixed; such a contrast is partly one between policies."
    )


def _luck_sentence(numbers: dict[str, Any], *, by_task: bool) -> str:
    p0, lucky = numbers["p0"], numbers["lucky"]
    if p0 is None:
        return (
            f"Luck is not judged: p0, the rate of undeserved reward, is unknown"
            f" ({numbers['p0_source']}). Give it with --p0."
        )
    if not lucky["n_judged"]:
        return "Luck is not judged: no success to judge."
    text = (
        f"With p0 = {p0:.3g} ({numbers['p0_source']}), {lucky['n_above_half']} of"
        f" {lucky['n_judged']} successes are more likely luck than not"
        f" ({lucky['expected']:.1f} expected to be)."
    )
    if by_task or lucky["n_did_nothing"] is None:
        return text if by_task else f"{text} One p0 is an average over tasks."
    nothing, log = lucky["n_did_nothing"], numbers["p0_from_log"]
    here = [] if log["value"] is None or numbers["p0_source"] == log["source"] else [log["source"]]
    here += [f"{nothing} of {lucky['n_judged']} successes changed nothing"] if nothing else []
    return (
        f"{text} One p0 is an average over tasks: where some tasks pay for doing nothing and others"
        " never do, it blames the latter's successes and spares the former's; give p0 by task."
        + (f" In this log {' and '.join(here)}." if here else "")
    )


def _tables(numbers: dict[str, Any], dead: Sequence[DeadGroup]) -> list[Table]:
    tables = [_state_table(numbers), _frontier_table(numbers)]
    if numbers["broken"]:
        tables.append(
            _table(
                _title("Broken attempts", numbers["n_broken"]),
                ("task", "policy", "trial", "kind", "reason", "recorded"),
                numbers["broken"],
                note=f"{numbers['n_broken']} in all; they enter no rate",
            )
        )
    if numbers["lucky"]["tasks"]:
        tables.append(
            _table(
                _title("Groups whose successes are probably luck", numbers["lucky"]["n_groups"]),
                ("task", "policy", "n_success", "n_scored", "p_lucky", "q_value"),
                numbers["lucky"]["tasks"],
                note="q_value: as many successes by luck alone, over the batch",
            )
        )
    if dead:
        rows = [group._asdict() | {"kind": group.kind.value} for group in dead[:MAX_ROWS]]
        columns = ("task", "policy", "kind", "rule", "n_failure", "n_broken")
        kinds = dict.fromkeys(group.kind for group in dead)
        cures = ". ".join(f"{kind.capitalize()}: {CURES[kind]}" for kind in kinds)
        title = _title("Groups nobody solved", len(dead))
        tables.append(_table(title, columns, rows, note=f"{cures}."))
    return tables


def _title(text: str, n: int) -> str:
    return f"{text} (first {MAX_ROWS} of {n})" if n > MAX_ROWS else text


def _state_table(numbers: dict[str, Any]) -> Table:
    before, after = numbers["groups_as_recorded"], numbers["groups"]
    return Table(
        title="Groups",
        columns=("state", "as recorded", "broken set aside"),
        rows=tuple((state.value, before[state.value], after[state.value]) for state in STATES),
    )


def _frontier_table(numbers: dict[str, Any]) -> Table:
    middle = sorted(numbers["frontier_points"], key=lambda point: -point["p_in_band"])
    sampling = numbers["frontier_points_sampling"]
    drawn = sampling["n_shown"] < sampling["n_groups_scored"]
    note = f"drawn from a sample of {sampling['n_shown']} groups" if drawn else ""
    columns = ("task", "policy", "n", "rate", "low", "high", "state", "p_in_band", "advice")
    return _table("Nearest the frontier", columns, middle[:20], note=note)


def _table(
    title: str, columns: tuple[str, ...], rows: Sequence[dict[str, Any]], *, note: str = ""
) -> Table:
    cells = tuple(tuple(row[column] for column in columns) for row in rows)
    return Table(title=title, columns=columns, rows=cells, note=note)
