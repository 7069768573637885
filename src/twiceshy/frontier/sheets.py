"""What triage says of every group and of every attempt, in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.evidence.stats.fdr import q_values
from twiceshy.frontier.advice import ADVICE, WHY, advise
from twiceshy.frontier.dead import DeadGroup
from twiceshy.frontier.facts import AttemptFacts, did_nothing, mode_of
from twiceshy.frontier.groups import ObjectArray, Tallies
from twiceshy.frontier.ledger import SolveRateLedger
from twiceshy.frontier.luck import chance_tail, p_lucky
from twiceshy.frontier.rates import (
    FloatArray,
    IntArray,
    Intervals,
    band_chances,
    jeffreys_interval,
    unique_pairs,
)
from twiceshy.frontier.value import failure_value, value_of_failures, verdict_trust

P0 = float | Mapping[str, float] | None
"""An undeserved-reward rate for all tasks, or one a task, or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What triage is told."""

    band: tuple[float, float]
    """Solve rates that count as the frontier, (lo, hi)."""
    prior: tuple[float, float]
    """Pseudo-counts (success, failure) of the solve rate and of p_r."""
    tau: float
    """The checker's true-positive rate."""
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSheet:
    """One row a group; every array has shape (n_groups,). NaN is undefined.

    Attributes:
        tallies: Task, policy and counts.
        state: Codes into `STATES`, after broken attempts are set aside.
        state_as_recorded: Codes into `STATES`, by the log's own scoring.
        intervals: Solve rate with Jeffreys limits, of this batch alone.
        alpha: Posterior success pseudo-counts, a ledger's evidence included.
        beta: Posterior failure pseudo-counts.
        p_in_band: Chance that the solve rate lies in the band.
        p_lucky: Chance that one of the group's successes was undeserved; NaN without a success.
        q_lucky: q-value of "as many successes by luck alone", over the batch; NaN without p0.
        failure_value: `E[p(1−p)²]`; NaN where nothing is scored.
        advice: Codes into `ADVICE`.
    """

    tallies: Tallies
    state: IntArray
    state_as_recorded: IntArray
    intervals: Intervals
    alpha: FloatArray
    beta: FloatArray
    p_in_band: FloatArray
    p_lucky: FloatArray
    q_lucky: FloatArray
    failure_value: FloatArray
    advice: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One attempt as triaged."""

    id: str
    file: str
    line: int | None
    task: str
    policy: str
    trial: str | None
    outcome: str
    recorded: str
    reason: str
    """Why it broke or was not scored."""
    did_nothing: bool | None
    p_lucky: float | None
    """For a success, when p0 is known."""
    value: float | None
    """For a failure."""
    advice: str
    """Of its group."""
    why: str


def group_sheet(
    tallies: Tallies, *, p0: P0, settings: Settings, ledger: SolveRateLedger | None = None
) -> GroupSheet:
    """Return what can be said of each group; costly parts once a distinct count pair.

    Raises:
        BadInput: Settings or p0 out of range.
    """
    r, n = tallies.n_success.astype(float), tallies.n_scored.astype(float)
    past_r, past_n = r, n
    if ledger is not None:
        held = ledger.evidence(tallies.task.tolist(), tallies.policy.tolist())
        past_r, past_n = r + held.successes, n + held.trials
    now, past = unique_pairs(r, n), unique_pairs(past_r, past_n)
    limits = jeffreys_interval(now.successes, now.trials, confidence=settings.confidence)
    alpha = settings.prior[0] + past.successes
    beta = settings.prior[1] + past.trials - past.successes
    chances = band_chances(alpha, beta, band=settings.band)
    states = tallies.states
    worth = np.where(n > 0, failure_value(alpha, beta)[past.index], np.nan)
    lucky, q_lucky = _luck(tallies, past_r, past_n, p0=p0, settings=settings)
    return GroupSheet(
        tallies=tallies,
        state=states,
        state_as_recorded=tallies.states_as_recorded,
        intervals=Intervals(*(column[now.index] for column in limits)),
        alpha=alpha[past.index],
        beta=beta[past.index],
        p_in_band=chances.inside[past.index],
        p_lucky=lucky,
        q_lucky=q_lucky,
        failure_value=worth,
        advice=advise(states, type(chances)(*(part[past.index] for part in chances))),
    )


def attempt_rows(
    facts: Sequence[AttemptFacts],
    sheet: GroupSheet,
    *,
    tools: bool,
    dead: Mapping[tuple[str, str], DeadGroup],
) -> list[AttemptRow]:
    """Return one row an attempt, in order; group figures come from the sheet."""
    keys = zip(sheet.tallies.task.tolist(), sheet.tallies.policy.tolist(), strict=True)
    place = {key: number for number, key in enumerate(keys)}
    groups = [place[fact.task, fact.policy] for fact in facts]
    values = _values(facts, groups, sheet, tools=tools)
    rows = []
    for fact, group, value in zip(facts, groups, values, strict=True):
        advice = ADVICE[int(sheet.advice[group])]
        gone = dead.get((fact.task, fact.policy))
        lucky = sheet.p_lucky[group] if fact.outcome is Outcome.SUCCESS else np.nan
        rows.append(
            AttemptRow(
                id=fact.id,
                file=fact.file,
                line=fact.line,
                task=fact.task,
                policy=fact.policy,
                trial=fact.trial,
                outcome=fact.outcome.value,
                recorded=fact.recorded.value,
                reason=fact.reason,
                did_nothing=did_nothing(fact, tools=tools),
                p_lucky=defined(lucky),
                value=value,
                advice=advice.value,
                why=WHY[advice] if gone is None else f"{WHY[advice]}; {gone.kind}: {gone.rule}",
            )
        )
    return rows


def defined(number: float | np.floating) -> float | None:
    """Return the number, or None where it is NaN (undefined).

    Example:
        >>> defined(float("nan")) is None
        True
    """
    return None if np.isnan(number) else float(number)


def _luck(
    tallies: Tallies, r: FloatArray, n: FloatArray, *, p0: P0, settings: Settings
) -> tuple[FloatArray, FloatArray]:
    lucky, q_lucky = np.full(r.shape, np.nan), np.full(r.shape, np.nan)
    if p0 is None:
        return lucky, q_lucky
    if isinstance(p0, Mapping):
        floor = np.array([p0.get(task, np.nan) for task in tallies.task.tolist()], dtype=float)
        known = np.flatnonzero(~np.isnan(floor))
        if not len(known) and len(floor):
            raise BadInput("p0 for tasks of this input", got="none of them", where="p0")
        triples = _Triples(r[known], n[known], floor[known], np.arange(len(known)))
    else:
        known = np.arange(len(r))
        pairs = unique_pairs(r, n)
        floor = np.full(len(pairs.trials), float(p0))
        triples = _Triples(pairs.successes, pairs.trials, floor, pairs.index)
    judged = p_lucky(triples.r, triples.n, p0=triples.p0, tau=settings.tau, prior=settings.prior)
    # A group without a current success has none to judge, whatever the ledger remembers.
    now = tallies.n_success[known] > 0
    lucky[known] = np.where(now, judged[triples.index], np.nan)
    tail = chance_tail(triples.r, triples.n, p0=triples.p0)[triples.index]
    q_lucky[known] = q_values(np.where(now, tail, np.nan))
    return lucky, q_lucky


@dataclass(frozen=True, slots=True)
class _Triples:
    r: FloatArray
    n: FloatArray
    p0: FloatArray
    index: IntArray


def _values(
    facts: Sequence[AttemptFacts], groups: Sequence[int], sheet: GroupSheet, *, tools: bool
) -> list[float | None]:
    failed = [i for i, fact in enumerate(facts) if fact.outcome is Outcome.FAILURE]
    own = [groups[i] for i in failed]
    worth = value_of_failures(
        sheet.failure_value[own],
        [
            verdict_trust(reliability=facts[i].reliability, truncated=facts[i].truncated)
            for i in failed
        ],
        groups=own,
        modes=[mode_of(facts[i], tools=tools) for i in failed],
    )
    values: list[float | None] = [None] * len(facts)
    for i, value in zip(failed, worth.tolist(), strict=True):
        values[i] = value
    return values


def object_column(labels: Sequence[str], codes: IntArray) -> ObjectArray:
    """Return the label of each code as an object array of shared strings."""
    return np.array(labels, dtype=object)[codes]
