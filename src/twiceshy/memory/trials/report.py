"""What a trial says, for people: one line, a table of lessons, and what to beware of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.lessons import Status
from twiceshy.memory.bank.protocol import BankReader
from twiceshy.memory.bank.types import Shown
from twiceshy.memory.trials.design import TrialDesign
from twiceshy.memory.trials.effects import ARMS, Contrast, Effects, LessonEffect, Near
from twiceshy.memory.trials.log import Counts, TrialLog, read_log
from twiceshy.memory.trials.plan import Plan, Question, tasks_needed_for
from twiceshy.memory.trials.verdicts import Rule, ruling

DIFFERENCES = (0.03, 0.05, 0.1, 0.2)
"""Gains in P(success) that a plan is made for."""
MIN_KNOWN = 20
"""Scored runs from which a bank's own rates are used in a plan. Ours."""
_ATTENUATED = 0.8
"""Below this share of a true effect left by the judge an alarm is raised. Ours."""


def effect_report(effects: Effects, *, rule: Rule | None = None) -> Report:
    """Return effects as a report; positive points mean that showing helps.

    Args:
        effects: What `effect` found.
        rule: The rule behind the verdicts. Default: `Rule()`.
    """
    chosen = rule or Rule()
    rulings = {each.lesson_id: ruling(each, rule=chosen) for each in effects.lessons}
    lessons = sorted(effects.lessons, key=lambda each: (-each.over_withheld.n, each.lesson_id))
    body = msgspec.to_builtins(effects)
    for lesson in body["lessons"]:
        status, because = rulings[lesson["lesson_id"]]
        lesson["verdict"] = {"status": status.value, "because": because}
    return Report(
        kind="bank effect",
        title="Does the memory help?",
        summary=(_whole(effects), _runs(effects.counts)),
        numbers={**body, "rule": msgspec.to_builtins(chosen)},
        tables=(
            _lesson_table(lessons, level=effects.level),
            _verdict_table(lessons, rulings),
            _kind_table(effects),
        ),
        alarms=tuple(_alarms(effects)),
    )


def plan_report(
    reader: BankReader,
    *,
    design: TrialDesign | None = None,
    policy: str | None = None,
    seed: int = 0,
) -> Report:
    """Return how many tasks each question would need, by the bank's own rates where it knows them.

    Args:
        reader: The bank.
        design: The coins. Default: `TrialDesign()`.
        policy: Only runs of this policy tell the rates.
        seed: Seed of the simulated bets.
    """
    log = read_log(reader, policy=policy)
    known = _known(log)
    plans = [
        tasks_needed_for(
            question,
            difference=difference,
            design=design,
            rate=known["rate"],
            explained=known["explained"],
            recalled=known["engaged" if question == "bank" else "recalled"],
            seed=seed,
        )
        for question in _QUESTIONS
        for difference in DIFFERENCES
        if known["rate"] + difference < 1
    ]
    from_bank = log.counts.n_scored >= MIN_KNOWN
    source = f"{log.counts.n_scored} scored runs of this bank" if from_bank else "assumed"
    return Report(
        kind="bank effect --plan",
        title="What would it take to know?",
        summary=(
            f"P(success) {known['rate']:.2f}, task difficulty explains {known['explained']:.0%} of "
            f"its variance, a lesson recalled in {known['recalled']:.0%} of runs ({source}).",
        ),
        numbers={
            "n_scored": log.counts.n_scored,
            "from_bank": from_bank,
            **known,
            "plans": [msgspec.to_builtins(plan) for plan in plans],
        },
        tables=(_plan_table(plans),),
        manifest={"seed": seed},
    )


_QUESTIONS: dict[Question, str] = {
    "pair": "does the bank help? each task with and without it",
    "bank": "does the bank help? by the coin of a run",
    "lesson": "does one lesson help? by its coin",
}


def _known(log: TrialLog) -> dict[str, float]:
    """Return rates of the log; with too few scored runs 0.5, none explained, always recalled."""
    if log.counts.n_scored < MIN_KNOWN:
        return {"rate": 0.5, "explained": 0.0, "engaged": 1.0, "recalled": 1.0}
    success = np.array([run.success for run in log.runs], dtype=float)
    left = success - np.array([run.expected for run in log.runs])
    whole = float(success.var())
    explained = 1 - float(np.mean(left**2)) / whole if whole else 0.0
    shares = [n / log.counts.n_runs for n in log.recalled.values()]
    return {
        "rate": min(0.99, max(0.01, float(success.mean()))),
        "explained": min(0.95, max(0.0, explained)),
        "engaged": max(log.counts.n_engaged, 1) / log.counts.n_scored,
        "recalled": float(np.median(shares)) if shares else 1.0,
    }


def _plan_table(plans: Sequence[Plan]) -> Table:
    return Table(
        title="Tasks needed for 80 per cent power",
        columns=("question", "gain, points", "looked at once", "looked at all the while", "runs"),
        rows=tuple(
            (
                _QUESTIONS[plan.question],
                round(100 * plan.difference),
                plan.at_once,
                plan.anytime,
                plan.runs,
            )
            for plan in plans
        ),
        note="Looked at once: two-sided 5 per cent. Looked at all the while: one-sided 5 per cent, "
        "as promotion is decided; undefined is beyond eight times as many.",
    )


def _whole(effects: Effects) -> str:
    found = effects.whole_over_withheld
    if found.estimate is None:
        return (
            f"Whether the memory helps is undefined, n = {found.n}: "
            f"{found.n_first} scored runs were dealt lessons and {found.n_second} were held back."
        )
    helps = (
        "helps"
        if found.low is not None and found.low > 0
        else "harms"
        if found.high is not None and found.high < 0
        else "makes no clear difference"
    )
    return (
        f"The memory {helps}: {points(found)} points of success over none, from {found.n} scored "
        f"runs ({found.n_first} dealt lessons, {found.n_second} held back)."
    )


def _runs(counts: Counts) -> str:
    return (
        f"{counts.n_runs} runs: {counts.n_scored} scored, {counts.n_broken} broken, "
        f"{counts.n_unscored} unscored, {counts.n_open} still open; in {counts.n_engaged} of the "
        "scored ones there was a lesson to tell."
    )


def points(found: Contrast) -> str | None:
    """Return a contrast in percentage points with its interval; None when undefined.

    Example:
        >>> from twiceshy.memory.trials.effects import Draw, contrast
        >>> points(contrast([], second="withheld")) is None
        True
    """
    if found.estimate is None or found.low is None or found.high is None:
        return None
    ends = f"[{100 * found.low:+.0f}, {100 * found.high:+.0f}]"
    return f"{100 * found.estimate:+.1f} {ends}"


def _lesson_table(lessons: Sequence[LessonEffect], *, level: float) -> Table:
    return Table(
        title="Lessons, gain in success when shown, in points",
        columns=(
            "lesson",
            "shown",
            "withheld",
            "placebo",
            "over withheld",
            "over placebo",
            "shrunk",
        ),
        rows=tuple(_row(each) for each in lessons),
        note=f"Intervals at {level:.0%} hold at all looks together. Shrunk: over withheld, pulled "
        "towards the mean of its kind.",
    )


def _row(each: LessonEffect) -> tuple[str | int | float | None, ...]:
    return (
        each.lesson_id,
        *(each.arms.get(arm, 0) for arm in ARMS),
        points(each.over_withheld),
        points(each.over_placebo),
        None if each.shrunk is None else f"{100 * each.shrunk.estimate:+.1f}",
    )


def _verdict_table(
    lessons: Sequence[LessonEffect], rulings: dict[str, tuple[Status, str]]
) -> Table:
    return Table(
        title="What follows",
        columns=("lesson", "is", "should be", "because", "mistake again: shown, withheld"),
        rows=tuple(
            (
                each.lesson_id,
                each.status.value,
                rulings[each.lesson_id][0].value,
                rulings[each.lesson_id][1],
                _again(each.near),
            )
            for each in lessons
        ),
        note="Mistake again: of the steps at which it could be made. Nothing was changed.",
    )


def _again(near: Near | None) -> str | None:
    if near is None:
        return None
    arms: tuple[Shown, ...] = ("shown", "withheld")
    return ", ".join(f"{near.taken[arm]} of {near.exposures[arm]}" for arm in arms)


def _kind_table(effects: Effects) -> Table:
    priors = {each.kind: each.shrunk for each in effects.lessons if each.shrunk is not None}
    number = Counter(each.kind for each in effects.lessons)
    return Table(
        title="Kinds of lessons: what is expected of one before its own trial",
        columns=("kind", "lessons", "mean, points", "standard deviation, points", "estimated from"),
        rows=tuple(
            (
                kind,
                number[kind],
                round(100 * prior.prior_mean, 1),
                round(100 * prior.prior_variance**0.5, 1),
                prior.n_lessons,
            )
            for kind, prior in sorted(priors.items())
        ),
    )


def _alarms(effects: Effects) -> list[Alarm]:
    found = []
    in_use = [each for each in effects.lessons if each.status in (Status.ACTIVE, Status.SHADOW)]
    if in_use and not any(each.over_withheld.n for each in in_use):
        message = "No coin was tossed for any lesson in use: nothing can be said about one of them."
        found.append(Alarm(name="no_trial", severity="warning", message=message, source="ours"))
    elif in_use and not any(each.over_placebo.n for each in in_use):
        message = "No placebo: a gain may come from any text at all, not from these lessons."
        found.append(Alarm(name="no_placebo", severity="warning", message=message, source="ours"))
    left = effects.reliability.attenuation
    if left is not None and left < _ATTENUATED:
        message = (
            f"The judges say they are right {effects.reliability.mean:.0%} of the time, so about "
            f"{left:.0%} of a true effect is seen."
        )
        found.append(
            Alarm(
                name="unreliable_judges",
                severity="warning",
                message=message,
                value=left,
                threshold=_ATTENUATED,
                source="ours",
            )
        )
    return found
