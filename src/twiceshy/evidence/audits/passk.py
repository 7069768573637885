"""`audit passk`: how often one of k attempts succeeds, and how often all k do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.evidence.stats import PassRate, pass_curve

NO_OUTCOMES = (
    "No attempt carries a verdict, so every rate is undefined (n = 0).",
    "To get rates, join outcomes from a second file: --outcomes FILE, with the task (and trial or "
    "id) of each attempt and whether it succeeded.",
)
"""What any audit says when nothing was judged."""


@dataclass(slots=True)
class _Tally:
    """Counts of one policy at one task."""

    n_attempts: int = 0
    n_broken: int = 0
    n_unscored: int = 0
    n_recorded: int = 0
    c_recorded: int = 0
    n_kept: int = 0
    c_kept: int = 0

    def add(self, attempt: Attempt) -> None:
        recorded, outcome = attempt.verdict.as_recorded, attempt.outcome
        self.n_attempts += 1
        self.n_broken += outcome is Outcome.BROKEN
        self.n_unscored += outcome is Outcome.UNSCORED
        self.n_recorded += recorded.is_scored
        self.c_recorded += recorded is Outcome.SUCCESS
        self.n_kept += outcome.is_scored
        self.c_kept += outcome is Outcome.SUCCESS


class _Curves(NamedTuple):
    """Both metrics over the same counts."""

    hat: tuple[PassRate, ...]
    at: tuple[PassRate, ...]
    n_scored: int


def audit_passk(attempts: Iterable[Attempt], *, seed: int = 0, level: float = 0.95) -> Report:
    """Report pass^k and pass@k for k = 1 up to the most attempts at a task by one policy.

    The top-level figures count attempts as the log recorded them, so that they equal the table the
    log's own benchmark publishes; `excluding_broken` has them with broken attempts set aside.
    Attempts of different policies are never counted as trials of one: a group is one policy at one
    task, the top level averages over groups, and intervals are clustered by task.

    Args:
        attempts: Any iterable; read once, only counts are kept.
        seed: Recorded in the manifest; the intervals are closed-form and need none.
        level: Confidence of the intervals.
    """
    tallies: dict[tuple[str, str], _Tally] = defaultdict(_Tally)
    for attempt in attempts:
        tallies[attempt.policy, attempt.task].add(attempt)
    policies = sorted({policy for policy, _ in tallies})
    numbers = _numbers(tallies, level=level)
    if len(policies) > 1:
        numbers["policies"] = {
            policy: _numbers(_only(tallies, policy), level=level) for policy in policies
        }
    return Report(
        kind="audit passk",
        title="pass^k and pass@k",
        summary=_summary(numbers, n_policies=len(policies)),
        numbers=numbers,
        tables=tuple(_tables(numbers)),
        alarms=tuple(_alarms(numbers)),
        manifest={"seed": seed, "level": level, "n_attempts": numbers["n_attempts"]},
    )


def _only(tallies: Mapping[tuple[str, str], _Tally], policy: str) -> dict[tuple[str, str], _Tally]:
    return {key: tally for key, tally in tallies.items() if key[0] == policy}


def _numbers(tallies: Mapping[tuple[str, str], _Tally], *, level: float) -> dict[str, Any]:
    tasks = [task for _, task in tallies]
    rows = list(tallies.values())
    recorded = _curves(tasks, [(t.n_recorded, t.c_recorded) for t in rows], level=level)
    kept = _curves(tasks, [(t.n_kept, t.c_kept) for t in rows], level=level)
    return {
        **_as_lists(recorded, level=level),
        "counting": "attempts as the log recorded them",
        "n_tasks": len(set(tasks)),
        "n_groups": len(rows),
        "n_attempts": sum(t.n_attempts for t in rows),
        "n_scored": recorded.n_scored,
        "n_broken": sum(t.n_broken for t in rows),
        "n_unscored": sum(t.n_unscored for t in rows),
        "excluding_broken": {
            **_as_lists(kept, level=level),
            "n_tasks": len({task for task, t in zip(tasks, rows, strict=True) if t.n_kept}),
            "n_attempts": kept.n_scored,
        },
    }


def _curves(tasks: Sequence[str], counts: Sequence[tuple[int, int]], *, level: float) -> _Curves:
    n, c = [pair[0] for pair in counts], [pair[1] for pair in counts]
    last = max(n, default=0) or 1
    hat = pass_curve(n, c, metric="pass^k", max_k=last, tasks=tasks, level=level)
    at = pass_curve(n, c, metric="pass@k", max_k=last, tasks=tasks, level=level)
    return _Curves(hat, at, sum(n))


def _as_lists(curves: _Curves, *, level: float) -> dict[str, Any]:
    return {
        "k": [rate.k for rate in curves.hat],
        "pass_hat_k": [rate.estimate for rate in curves.hat],
        "pass_at_k": [rate.estimate for rate in curves.at],
        "intervals": {
            "level": level,
            "pass_hat_k": [[rate.low, rate.high] for rate in curves.hat],
            "pass_at_k": [[rate.low, rate.high] for rate in curves.at],
        },
        "n_tasks_with_k": [rate.n_tasks for rate in curves.hat],
        "n_tasks_left_out": [rate.n_tasks_left_out for rate in curves.hat],
    }


def _summary(numbers: Mapping[str, Any], *, n_policies: int) -> tuple[str, ...]:
    if numbers["n_attempts"] == 0:
        return ("No attempts, so every rate is undefined (n = 0).",)
    if numbers["n_scored"] == 0:
        return NO_OUTCOMES
    lines = [_headline(numbers), _broken_line(numbers)]
    if numbers["n_unscored"]:
        lines.append(
            f"{numbers['n_unscored']} attempts were never judged and are in no rate; "
            "--outcomes FILE joins verdicts from a second file."
        )
    if n_policies > 1:
        lines.append(
            f"{n_policies} policies: each (task, policy) pair is a group of its own, and the line "
            "above averages over groups. The table by policy is the one to compare."
        )
    return tuple(lines)


def _headline(numbers: Mapping[str, Any]) -> str:
    last = numbers["k"][-1]
    first = f"pass^1 is {_rate(numbers, 'pass_hat_k', 0)}"
    over = f"over {_count(numbers['n_tasks'], 'task')} and {numbers['n_scored']} scored attempts"
    if last == 1:
        return f"{first} {over}; there is one attempt a group, so no larger k can be estimated."
    return (
        f"{first}; all {last} of {last} attempts succeed with chance "
        f"{_rate(numbers, 'pass_hat_k', -1)}, at least one of {last} with "
        f"{_rate(numbers, 'pass_at_k', -1)}, {over}."
    )


def _broken_line(numbers: Mapping[str, Any]) -> str:
    n_broken = numbers["n_broken"]
    if n_broken == 0:
        return "No attempt is classified as broken."
    return (
        f"These figures count attempts as the log recorded them. {n_broken} of "
        f"{numbers['n_attempts']} are classified as broken (the world's fault, not the policy's); "
        f"without them pass^1 is {_rate(numbers['excluding_broken'], 'pass_hat_k', 0)}."
    )


def _rate(numbers: Mapping[str, Any], metric: str, index: int) -> str:
    value = numbers[metric][index]
    low, high = numbers["intervals"][metric][index]
    if value is None:
        return "undefined (n = 0)"
    return f"{value:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _tables(numbers: Mapping[str, Any]) -> list[Table]:
    tables = [_curve_table(numbers, title="As the log recorded them")]
    if numbers["n_broken"]:
        without = numbers["excluding_broken"]
        tables.append(_curve_table(without, title="Broken attempts set aside"))
    if "policies" in numbers:
        tables.append(_policy_table(numbers["policies"]))
    return tables


def _curve_table(numbers: Mapping[str, Any], *, title: str) -> Table:
    hat, at = numbers["intervals"]["pass_hat_k"], numbers["intervals"]["pass_at_k"]
    shown = [i for i, k in enumerate(numbers["k"]) if k <= 8 or k & (k - 1) == 0]
    shown += [] if len(numbers["k"]) - 1 in shown else [len(numbers["k"]) - 1]
    return Table(
        title=title,
        columns=("k", "pass^k", "low", "high", "pass@k", "low", "high", "tasks", "left out"),
        rows=tuple(
            (
                numbers["k"][i],
                numbers["pass_hat_k"][i],
                *hat[i],
                numbers["pass_at_k"][i],
                *at[i],
                numbers["n_tasks_with_k"][i],
                numbers["n_tasks_left_out"][i],
            )
            for i in shown
        ),
        note=f"Intervals: {numbers['intervals']['level']:.0%}, clustered by task. "
        "Left out: tasks with fewer than k scored attempts.",
    )


def _policy_table(policies: Mapping[str, Mapping[str, Any]]) -> Table:
    return Table(
        title="By policy, as the log recorded them",
        columns=("policy", "tasks", "scored", "broken", "k", "pass@1", "low", "high", "pass^k"),
        rows=tuple(
            (
                policy,
                own["n_tasks"],
                own["n_scored"],
                own["n_broken"],
                own["k"][-1],
                own["pass_at_k"][0],
                *own["intervals"]["pass_at_k"][0],
                own["pass_hat_k"][-1],
            )
            for policy, own in policies.items()
        ),
        note="k is the most scored attempts this policy has at one task.",
    )


def _alarms(numbers: Mapping[str, Any]) -> list[Alarm]:
    left_out, last = numbers["n_tasks_left_out"][-1], numbers["k"][-1]
    if numbers["n_scored"] == 0 or left_out == 0:
        return []
    return [
        Alarm(
            name="unequal attempts",
            severity="warning",
            message=f"{left_out} of {numbers['n_tasks']} tasks have fewer than {last} scored "
            "attempts, so the columns for different k are not about the same tasks.",
            value=float(left_out),
            threshold=0.0,
            source="ours",
        )
    ]
