"""Fill the page from what triage, learning, proof and a trial returned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from twiceshy.attempts import Attempt, Outcome
from twiceshy.evidence.held_out import HeldOut as Proof
from twiceshy.evidence.held_out import Validity
from twiceshy.evidence.page import (
    FrontierPoint,
    HeldOut,
    Measure,
    OutcomeCount,
    Page,
    Score,
    Trial,
    TrialArm,
)
from twiceshy.evidence.stats.ranking import Auc
from twiceshy.evidence.trial import ArmResult, TrialResult
from twiceshy.frontier import STATES
from twiceshy.frontier.triage import TriageResult
from twiceshy.memory.contrast import Learned


def fill_page(
    *,
    title: str,
    attempts: Sequence[Attempt],
    triaged: TriageResult,
    learned: Learned,
    trial: TrialResult | None = None,
    manifest: dict[str, Any] | None = None,
) -> Page:
    """Return the page of one study."""
    reports = [triaged.report, learned.report]
    reports += [learned.proof] if learned.proof is not None else []
    reports += [trial.report] if trial is not None else []
    return Page(
        title=title,
        summary=summary_of(triaged, learned, trial=trial),
        headline=_headline(triaged, learned),
        outcomes=_outcomes(attempts),
        frontier=_frontier(triaged),
        lessons=learned.lessons,
        held_out=_held_out(learned.held_out) if learned.proof is not None else None,
        trial=_trial(trial) if trial is not None else None,
        reports=tuple(reports),
        manifest=manifest or {},
    )


def summary_of(
    triaged: TriageResult, learned: Learned, *, trial: TrialResult | None = None
) -> tuple[str, ...]:
    """Return the finding of each part, one sentence each, the whole in a handful."""
    parts = [triaged.report.summary[0]]
    if learned.proof is not None:
        parts.append(learned.proof.summary[0])
    parts.append(learned.report.summary[0])
    if trial is not None:
        parts.append(trial.report.summary[0])
    return tuple(dict.fromkeys(parts))


def _headline(triaged: TriageResult, learned: Learned) -> tuple[Measure, ...]:
    rate = triaged.report.numbers["solve_rate"]
    figures = [
        Measure(
            name="solve rate",
            estimate=rate["value"],
            low=rate["low"],
            high=rate["high"],
            n=rate["n"],
        ),
        Measure(
            name="mixed tasks to learn from",
            estimate=learned.mined.n_mixed_tasks if learned.mined.n_tasks else None,
            n=learned.mined.n_tasks,
        ),
    ]
    if learned.proof is not None:
        figures.append(_measure("within-task AUC, held out", learned.held_out.main.held_out.within))
    return tuple(figures)


def _measure(name: str, auc: Auc) -> Measure:
    return Measure(name=name, estimate=auc.value, low=auc.low, high=auc.high, n=auc.n_tasks)


def _score(name: str, validity: Validity, *, note: str = "") -> Score:
    within, overall = validity.within, validity.overall
    return Score(
        name=name.replace("_", " "),
        estimate=within.value,
        low=within.low,
        high=within.high,
        n=within.n_tasks,
        note=note,
        pooled=_measure("overall AUC", overall),
    )


def _outcomes(attempts: Sequence[Attempt]) -> tuple[OutcomeCount, ...]:
    counts = Counter(
        (each.outcome, "" if each.outcome.is_scored else each.verdict.reason) for each in attempts
    )
    for outcome in Outcome:
        if not any(known is outcome for known, _ in counts):
            counts[(outcome, "")] = 0
    return tuple(
        OutcomeCount(outcome=outcome, n=n, reason=reason)
        for (outcome, reason), n in sorted(
            counts.items(), key=lambda item: list(Outcome).index(item[0][0])
        )
    )


def _frontier(triaged: TriageResult) -> tuple[FrontierPoint, ...]:
    sheet = triaged.groups
    rates, tallies = sheet.intervals, sheet.tallies
    scored = tallies.n_success + tallies.n_failure
    return tuple(
        FrontierPoint(
            task=str(tallies.task[i]),
            policy=str(tallies.policy[i]),
            n=int(scored[i]),
            rate=float(rates.rate[i]),
            low=float(rates.low[i]),
            high=float(rates.high[i]),
            state=STATES[sheet.state[i]].value,
        )
        for i in np.flatnonzero(scored > 0).tolist()
    )


def _held_out(proof: Proof) -> HeldOut:
    main = proof.main
    return HeldOut(
        auc=_score("mined lessons", main.held_out),
        null=main.null.runs if main.null is not None else (),
        p_value=main.null.p_value if main.null is not None else None,
        arms=tuple(_score(arm.name, arm.held_out) for arm in proof.arms.values()),
        baselines=tuple(_score(each.name, each.held_out) for each in proof.baselines.values()),
        conclusion=" ".join(proof.verdict),
    )


def _trial(result: TrialResult) -> Trial:
    return Trial(
        arms=tuple(_trial_arm(arm, result) for arm in result.arms if arm.difference is not None),
        reference=result.reference,
        n_seeds=result.n_seeds,
        conclusion=result.report.summary[0],
    )


def _trial_arm(arm: ArmResult, result: TrialResult) -> TrialArm:
    gap = arm.difference
    return TrialArm(
        difference=Measure(
            name=arm.policy,
            estimate=gap.difference if gap else None,
            low=gap.low if gap else None,
            high=gap.high if gap else None,
            n=gap.n_tasks if gap else 0,
        ),
        rate=Measure(
            name="success rate",
            estimate=arm.rate.value,
            low=arm.rate.low,
            high=arm.rate.high,
            n=arm.rate.n,
        ),
        wrong_to_right=arm.n_gained,
        right_to_wrong=arm.n_lost,
        is_placebo=arm.policy == result.placebo,
    )
