"""What the page shows: plain frozen records, filled by the command line.

Every estimate is a `Measure`: it carries its n and its interval, and is None (undefined) when
nothing was there to estimate it from. Empty tuples and None mean "no data", and the page says so.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm, Report
from twiceshy.lessons import Lesson

GroupState = Literal["all_wrong", "mixed", "all_right", "single", "unscored"]


def _check(estimate: float | None, low: float | None, high: float | None, n: int) -> None:
    if n < 0:
        raise BadInput("a count n of at least 0", got=str(n))
    if n == 0 and estimate is not None:
        raise BadInput(
            "no estimate where n = 0", got=str(estimate), fix="Pass None: it is undefined."
        )
    if any(x is not None and not math.isfinite(x) for x in (estimate, low, high)):
        raise BadInput(
            "finite numbers", got=f"{estimate} [{low}, {high}]", fix="Pass None: it is undefined."
        )
    if low is not None and high is not None and low > high:
        raise BadInput("an interval with low <= high", got=f"[{low}, {high}]")


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One estimate with its interval and its n.

    Raises:
        BadInput: If n is negative, if n is 0 and an estimate is given, if a number is not finite,
            or if low > high.

    >>> Measure(name="success rate", estimate=0.42, low=0.31, high=0.53, n=50, unit="tasks").n
    50
    """

    name: str
    estimate: float | None
    """None is undefined, never zero."""
    low: float | None = None
    high: float | None = None
    n: int
    """How many units it rests on; the page prints it beside the estimate."""
    unit: str = "tasks"
    """What n counts, in the plural."""
    confidence: float = 0.95
    note: str = ""

    def __post_init__(self) -> None:
        _check(self.estimate, self.low, self.high, self.n)


class Score(Measure, frozen=True, kw_only=True):
    """A within-task AUC, with the pooled AUC of the same score beside it."""

    pooled: Measure | None = None
    """Over all failure-success pairs, task difficulty not removed. Never proof."""


class OutcomeCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many attempts ended one way, for one reason."""

    outcome: Outcome
    n: int
    reason: str = ""
    """Why they are broken or unscored; empty for success and failure."""


class FrontierPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The solve rate of one group: one task, one policy.

    Raises:
        BadInput: As `Measure`.
    """

    task: str
    policy: str = ""
    n: int
    """Scored attempts: successes and failures only."""
    rate: float | None
    """Solve rate in [0, 1]; None when n is 0."""
    low: float | None = None
    high: float | None = None
    state: GroupState

    def __post_init__(self) -> None:
        _check(self.rate, self.low, self.high, self.n)


class HeldOut(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the lessons rank failures above successes on tasks they were not mined from."""

    auc: Score
    """Of the real run, within task."""
    null: tuple[float, ...] = ()
    """Within-task AUC of each run of the whole pipeline on shuffled labels."""
    p_value: float | None = None
    """Of the real run among the shuffled ones, one-sided."""
    arms: tuple[Score, ...] = ()
    """Success-only, failure-only, both."""
    baselines: tuple[Score, ...] = ()
    """What needs no mining: hand checks, oddness, length, a pooled miner."""
    conclusion: str = ""
    """What the data can and cannot tell, in a sentence or two."""


class TrialArm(msgspec.Struct, frozen=True, kw_only=True):
    """One arm of a randomised trial, paired by task with the reference arm."""

    difference: Measure
    """Success rate minus that of the reference arm; `name` is the arm's name."""
    rate: Measure | None = None
    """Success rate of the arm itself."""
    wrong_to_right: int = 0
    """Attempts wrong in the reference arm and right in this one."""
    right_to_wrong: int = 0
    is_placebo: bool = False


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A randomised trial of telling the agent."""

    arms: tuple[TrialArm, ...]
    reference: str = "no lessons"
    n_seeds: int = 1
    conclusion: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page, in the order it is shown."""

    title: str
    summary: tuple[str, ...]
    """The finding first, then at most a handful of sentences."""
    headline: tuple[Measure, ...] = ()
    """Two to five figures shown large under the summary."""
    alarms: tuple[Alarm, ...] = ()
    """Beside those of `reports`, which are added by the page; the same alarm is shown once."""
    outcomes: tuple[OutcomeCount, ...] = ()
    frontier: tuple[FrontierPoint, ...] = ()
    """In any order; up to hundreds of thousands."""
    lessons: tuple[Lesson, ...] = ()
    """In any order; the page ranks them by evidence."""
    held_out: HeldOut | None = None
    trial: Trial | None = None
    reports: tuple[Report, ...] = ()
    """Shown with their tables under "Tables"."""
    manifest: dict[str, Any] = {}
    """Versions, seed, inputs, counts, wall time. Those of `reports` are shown as well."""
