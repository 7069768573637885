"""`audit shortcuts`: is the policy paid for something other than solving the task?

Each signal is cheap and read off the log. None proves a shortcut; each says where to look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.evidence.audits import signals
from twiceshy.evidence.audits.passk import NO_OUTCOMES
from twiceshy.evidence.audits.signals import Seen
from twiceshy.evidence.report import Alarm, Report, Table

Row = tuple[str | int | float | bool | None, ...]

DO_NOTHING = 0.05
"""Share of tasks that an agent which does nothing passes."""
TOP_ANSWER = 0.2
"""Share of all tasks' answers that are one and the same string."""
REPETITIVE_SHARE = 0.05
"""Share of attempts that repeat most of their 4-grams."""
MODAL_WRONG = 0.8
"""Mean share of a group's wrong answers that are its commonest one."""
_MIN_TASKS = 10
"""Tasks (or groups) needed before a rate may raise an alarm."""


def audit_shortcuts(attempts: Iterable[Attempt], *, seed: int = 0) -> Report:
    """Report doing nothing, repeated answers and text, skipped work, and short lone successes.

    Rates of passing leave broken attempts out, except `do_nothing`, which counts as the log
    recorded and has `excluding_broken` beside it, so that it adds up with the log's own score.

    Source: the signals of answer repetition, skipped computation and length outliers used for
    over-hard samples (2605.28388) and, for doing nothing, the Agentic Benchmark Checklist
    (2507.02825). Thresholds are ours unless an alarm says otherwise.

    Args:
        attempts: Attempts; siblings at one task make the relative signals possible.
        seed: Recorded in the manifest; nothing here is random.
    """
    everything = tuple(attempts)
    seen = signals.see(everything)
    numbers: dict[str, Any] = {
        "n_attempts": len(seen),
        "n_tasks": len({s.attempt.task for s in seen}),
        "n_scored": sum(s.is_counted for s in seen),
        "n_broken": sum(s.facts.outcome is Outcome.BROKEN for s in seen),
        "n_unscored": sum(s.facts.outcome is Outcome.UNSCORED for s in seen),
        "do_nothing": signals.do_nothing(seen),
        "top_answer": signals.top_answer(seen),
        "repetition": signals.repetition(seen),
        "skipped_work": signals.skipped_work(seen),
        "answer_position": signals.answer_position(seen),
        "modal_wrong_answer": signals.modal_wrong(everything),
        "lone_success": signals.lone_success(seen),
    }
    alarms = tuple(_alarms(numbers))
    return Report(
        kind="audit shortcuts",
        title="Shortcuts",
        summary=_summary(numbers, alarms=alarms),
        numbers=numbers,
        tables=tuple(_tables(numbers, seen=seen)),
        alarms=alarms,
        ok=not any(alarm.severity == "alarm" for alarm in alarms),
        manifest={"seed": seed, "n_attempts": len(seen)},
    )


def _alarms(numbers: Mapping[str, Any]) -> list[Alarm]:
    found: list[Alarm] = []
    baseline = numbers["do_nothing"]["baseline"]
    if baseline["n_tasks"] >= _MIN_TASKS and baseline["pass_rate"] > DO_NOTHING:
        found.append(
            Alarm(
                name="doing nothing pays",
                severity="alarm",
                message=f"An agent that does nothing would pass {baseline['pass_rate']:.0%} of "
                f"{baseline['n_tasks']} tasks (threshold {DO_NOTHING:.0%}).",
                value=baseline["pass_rate"],
                threshold=DO_NOTHING,
                source="ours; the check is the Agentic Benchmark Checklist's (2507.02825)",
            )
        )
    top, wrong = numbers["top_answer"], numbers["modal_wrong_answer"]
    repetitive, lone = numbers["repetition"]["repetitive"], numbers["lone_success"]
    if top["n_tasks"] >= _MIN_TASKS and top["share"] > TOP_ANSWER:
        message = f"{top['share']:.0%} of {top['n']} answers are the same: {top['answer'][:40]!r}"
        found.append(_warning("one answer for all", message, value=top["share"], limit=TOP_ANSWER))
    if repetitive["n"] >= _MIN_TASKS and repetitive["share"] > REPETITIVE_SHARE:
        message = (
            f"{repetitive['count']} of {repetitive['n']} attempts repeat most of their 4-grams"
        )
        found.append(
            _warning("repetition", message, value=repetitive["share"], limit=REPETITIVE_SHARE)
        )
    if wrong["n_groups"] >= _MIN_TASKS and wrong["mean_share"] > MODAL_WRONG:
        message = f"{wrong['mean_share']:.0%} of a group's wrong answers are its commonest one"
        message += f" ({wrong['n_groups']} groups)"
        found.append(
            _warning("one wrong answer", message, value=wrong["mean_share"], limit=MODAL_WRONG)
        )
    if lone["n_short"]:
        message = f"{lone['n_short']} of {lone['n']} lone successes are far shorter than siblings"
        found.append(_warning("short success", message, value=lone["n_short"], limit=0))
    return found


def _warning(name: str, message: str, *, value: float, limit: float) -> Alarm:
    return Alarm(
        name=name,
        severity="warning",
        message=f"{message} (threshold {limit:g}).",
        value=float(value),
        threshold=float(limit),
        source="Iglewicz and Hoaglin (1993) for z < -3.5" if name == "short success" else "ours",
    )


def _summary(numbers: Mapping[str, Any], *, alarms: Sequence[Alarm]) -> tuple[str, ...]:
    if numbers["n_attempts"] == 0:
        return ("No attempts, so nothing can be said about shortcuts (n = 0).",)
    if numbers["n_scored"] == 0:
        return (*NO_OUTCOMES, *(alarm.message for alarm in alarms))
    lines = [alarms[0].message if alarms else "No shortcut stands out."]
    idle, skipped = numbers["do_nothing"]["no_write"], numbers["skipped_work"]
    less, rest = skipped["less_than_siblings"], skipped["rest"]
    if idle["n"]:
        share = numbers["do_nothing"]["share_of_passes_without_write"]
        lines.append(
            f"{idle['n']} attempts changed nothing and {idle['n_passed']} of them passed "
            f"({_percent(idle['pass_rate'])}), which is {_percent(share)} of all passes. "
            f"{_within(numbers['do_nothing']['within_task'])}"
        )
    if less["n"]:
        lines.append(
            f"{less['n']} attempts did fewer {skipped['unit']} than their siblings' median; "
            f"{_percent(less['pass_rate'])} of them passed, and {_percent(rest['pass_rate'])} of "
            f"the other {rest['n']}. {_within(skipped['within_task'])}"
        )
    return tuple(lines)


def _within(found: Mapping[str, Any]) -> str:
    if found["difference"] is None:
        return "No task has both kinds to compare."
    span = "" if found["low"] is None else f" [{found['low']:+.2f}, {found['high']:+.2f}]"
    n_tasks = found["n_tasks"]
    return f"At the same task the difference is {found['difference']:+.2f}{span} ({n_tasks} tasks)."


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.0%}"


def _tables(numbers: Mapping[str, Any], *, seen: Sequence[Seen]) -> list[Table]:
    tables = [_pass_table(numbers), _within_table(numbers), _signal_table(numbers)]
    policies = sorted({s.attempt.policy for s in seen})
    if len(policies) > 1:
        tables.append(_policy_table(policies, seen=seen))
    return tables


def _pass_table(numbers: Mapping[str, Any]) -> Table:
    nothing, skipped = numbers["do_nothing"], numbers["skipped_work"]
    rows = (
        ("changed nothing", nothing["no_write"]),
        ("changed nothing, broken set aside", nothing["excluding_broken"]["no_write"]),
        ("changed nothing where the gold actions do", nothing["no_write_where_gold_writes"]),
        ("made no call at all", nothing["no_call"]),
        ("changed something", nothing["with_write"]),
        (f"fewer {skipped['unit']} than siblings' median", skipped["less_than_siblings"]),
        ("as many or more", skipped["rest"]),
        ("answer stated in the first tenth", numbers["answer_position"]["early"]),
        ("gave the commonest answer", numbers["top_answer"]["pass"]),
    )
    return Table(
        title="How attempts fare that took a shortcut, and the others",
        columns=("attempts that ...", "n", "passed", "pass rate", "low", "high"),
        rows=tuple(
            (name, r["n"], r["n_passed"], r["pass_rate"], r["low"], r["high"]) for name, r in rows
        ),
        note="95% intervals, clustered by task. Pooled over tasks, and easy tasks need less work: "
        "only the next table compares like with like.",
    )


def _within_table(numbers: Mapping[str, Any]) -> Table:
    found = {
        "changed nothing, against changed something": numbers["do_nothing"]["within_task"],
        "did less than siblings, against the others": numbers["skipped_work"]["within_task"],
    }
    return Table(
        title="The same within tasks",
        columns=("attempts that ...", "difference", "low", "high", "tasks"),
        rows=tuple(
            (name, w["difference"], w["low"], w["high"], w["n_tasks"]) for name, w in found.items()
        ),
        note="Difference in pass rate at the same task, over tasks with both kinds; 95% intervals. "
        "Not adjusted for policy.",
    )


def _signal_table(numbers: Mapping[str, Any]) -> Table:
    nothing, repeats = numbers["do_nothing"]["baseline"], numbers["repetition"]
    top, wrong, lone = (numbers[k] for k in ("top_answer", "modal_wrong_answer", "lone_success"))
    position = numbers["answer_position"]

    def row(name: str, found: Mapping[str, Any], limit: float | None) -> Row:
        return (name, found["share"], found["n"], limit)

    return Table(
        title="Signals",
        columns=("signal", "value", "n", "threshold"),
        rows=(
            ("tasks doing nothing passes", nothing["pass_rate"], nothing["n_tasks"], DO_NOTHING),
            row("commonest answer's share", top, TOP_ANSWER),
            row("repetitive attempts", repeats["repetitive"], REPETITIVE_SHARE),
            row("boxed more than once", repeats["boxed_twice"], None),
            row("same write made twice", repeats["repeats_a_write"], None),
            ("modal wrong answer's share", wrong["mean_share"], wrong["n_groups"], MODAL_WRONG),
            ("answer first stated at, successes", position["median_success"], position["n"], None),
            ("answer first stated at, failures", position["median_failure"], position["n"], None),
            ("short lone successes", lone["n_short"], lone["n"], 0),
        ),
        note="A value without a threshold is shown, not judged. Stated at: 0 is the start of the "
        "text, 1 the end.",
    )


def _policy_table(policies: Sequence[str], *, seen: Sequence[Seen]) -> Table:
    rows: list[Row] = []
    for policy in policies:
        own = [s for s in seen if s.attempt.policy == policy]
        top, repeats = signals.top_answer(own), signals.repetition(own)
        idle = signals.do_nothing(own)["no_write"]
        rows.append(
            (
                policy,
                len(own),
                top["answer"],
                top["share"],
                repeats["repetitive"]["share"],
                idle["n"],
                idle["pass_rate"],
            )
        )
    return Table(
        title="By policy",
        columns=(
            "policy",
            "attempts",
            "top answer",
            "its share",
            "repetitive",
            "changed nothing",
            "of them passed",
        ),
        rows=tuple(rows),
    )
