"""Does the bank help, and which lesson does?

Three ideas:

1. The coin that showed or withheld a lesson is known, so its runs weighted by one over their chance
   are a fair comparison, however hard the tasks are for which it is recalled.
2. A run counts by how far it came out above what earlier runs at the task led to expect. That takes
   difficulty out of the noise.
3. Intervals are anytime-valid: look after every run, stop when you like.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from twiceshy.evidence.stats.confidence import running_mean
from twiceshy.evidence.stats.shrinkage import Prior, fit_prior, shrink_towards
from twiceshy.lessons import Lesson, LessonKind, Status
from twiceshy.memory.bank.protocol import BankReader
from twiceshy.memory.bank.types import Decision, Shown
from twiceshy.memory.trials.log import Counts, Reliability, ScoredRun, TrialLog, read_log

ARMS: tuple[Shown, ...] = ("shown", "withheld", "placebo")


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """P(success) in one arm minus another; positive: the first is better. None is undefined."""

    estimate: float | None
    low: float | None
    """Lower end of the interval that holds at every n at once."""
    high: float | None
    error: float | None
    """Standard error, for shrinking; not for tests."""
    e_better: float
    """Evidence (capital of a fair bet) against "no better"; 20 or more is a claim at 5 per cent."""
    e_worse: float
    """Evidence against "no worse"."""
    n: int
    """Scored runs in which either arm could have been drawn."""
    n_first: int
    n_second: int


class Near(msgspec.Struct, frozen=True, kw_only=True):
    """What steps say about one lesson: its trigger was met, the bad action taken or not."""

    exposures: dict[Shown, int]
    """Steps of scored runs at which the trigger was met, by arm."""
    taken: dict[Shown, int]
    """Of those, steps that took the bad action."""
    runs: dict[Shown, int]
    """Runs with an exposure, by arm."""
    over_withheld: Contrast
    """P(the run never takes the bad action), shown minus withheld, over *all* its runs: whether a
    trigger is met at all may be the lesson's doing."""

    @property
    def compliance(self) -> float | None:
        """Share of exposures with the lesson in view at which the bad action was not taken."""
        seen = self.exposures.get("shown", 0)
        return 1 - self.taken.get("shown", 0) / seen if seen else None

    def recurrence(self, arm: Shown) -> float | None:
        """Share of exposures in an arm at which the bad action was taken again."""
        seen = self.exposures.get(arm, 0)
        return self.taken.get(arm, 0) / seen if seen else None


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """An effect given the effects of all lessons of its kind."""

    estimate: float
    error: float
    prior_mean: float
    prior_variance: float
    n_lessons: int


class LessonEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial says about one lesson so far."""

    lesson_id: str
    kind: LessonKind
    status: Status
    n_recalled: int
    """Runs in which it was recalled, whatever became of them."""
    arms: dict[Shown, int]
    """Scored runs with a coin for this lesson, by what the coin said."""
    over_withheld: Contrast
    over_placebo: Contrast
    shrunk: Pulled | None
    """`over_withheld` shrunk across its kind; None below three lessons with an effect."""
    near: Near | None
    """None: no step was ever checked against it."""


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What a bank's trials say so far."""

    whole_over_withheld: Contrast
    """Runs that were dealt lessons against runs that got none."""
    whole_over_placebo: Contrast
    lessons: tuple[LessonEffect, ...]
    counts: Counts
    reliability: Reliability
    level: float


class Draw(NamedTuple):
    """One coin of one scored run, with what came of the run."""

    arm: Shown
    arms: dict[Shown, float]
    good: bool
    """Whether what is measured came out well."""
    expected: float
    """P(good) foreseen without knowing the coin."""


def effect(
    reader: BankReader,
    *,
    lesson_id: str | None = None,
    policy: str | None = None,
    level: float = 0.95,
) -> Effects:
    """Return the effect of a bank as a whole and of each lesson that was ever recalled.

    Args:
        reader: The bank.
        lesson_id: Only this lesson (shrinking still uses all of its kind).
        policy: Only runs of this policy. Effects differ between models.
        level: Confidence of each interval, over all looks together.

    Raises:
        BadInput: There is no such lesson.
    """
    log = read_log(reader, policy=policy)
    wanted = None if lesson_id is None else reader.get(lesson_id)
    known = {each.id: each for each in reader.lessons() if log.recalled[each.id]}
    found = [_lesson_effect(each, log=log, level=level) for each in known.values()]
    if wanted is not None and wanted.id not in known:
        found.append(_lesson_effect(wanted, log=log, level=level))
    shrunk = _shrunk(found)
    whole = [
        Draw(coin.whole, coin.whole_arms, run.success, run.expected) for run, coin in log.wholes
    ]
    return Effects(
        whole_over_withheld=contrast(whole, second="withheld", level=level),
        whole_over_placebo=contrast(whole, second="placebo", level=level),
        lessons=tuple(each for each in shrunk if lesson_id in (None, each.lesson_id)),
        counts=log.counts,
        reliability=log.reliability,
        level=level,
    )


def contrast(draws: Sequence[Draw], *, second: Shown, level: float = 0.95) -> Contrast:
    """Compare "shown" with another arm.

    score = (1[shown]/p_shown − 1[second]/p_second)·(good − expected),  bound = 1 / min(p)
    estimate = mean of the scores, weighted by 1 / (1 + bound)

    Source: the augmented inverse-propensity (AIPW) score of Robins, Rotnitzky and Zhao (1994) with
    known propensities; interval `evidence.stats.confidence.running_mean`. Differs: one prediction,
    from earlier runs, stands for both arms, so the score is unbiased whatever it predicts; draws in
    which one of the two arms was impossible are left out.

    Args:
        draws: In the order of their runs, at most one a run.
        second: The arm to compare with.
        level: Confidence of the interval.

    Returns:
        The contrast; estimate and interval are None while either arm is empty.

    Example:
        >>> even = {"shown": 0.5, "withheld": 0.5}
        >>> draws = [
        ...     Draw("shown", even, good=True, expected=0.5),
        ...     Draw("withheld", even, good=False, expected=0.25),
        ... ]
        >>> contrast(draws, second="withheld").estimate  # (0.5/0.5 + 0.25/0.5) / 2
        0.75
    """
    able = [draw for draw in draws if draw.arms.get("shown") and draw.arms.get(second)]
    n_first, n_second = (sum(draw.arm == arm for draw in able) for arm in ("shown", second))
    mean = running_mean(
        [_score(draw, second) for draw in able],
        bounds=[1 / min(draw.arms["shown"], draw.arms[second]) for draw in able],
        level=level,
    )
    defined = bool(n_first and n_second)
    return Contrast(
        estimate=mean.value if defined else None,
        low=mean.low if defined else None,
        high=mean.high if defined else None,
        error=mean.error if defined else None,
        e_better=mean.e_greater,
        e_worse=mean.e_less,
        n=len(able),
        n_first=n_first,
        n_second=n_second,
    )


def _score(draw: Draw, second: Shown) -> float:
    if draw.arm not in ("shown", second):
        return 0.0
    sign = 1.0 if draw.arm == "shown" else -1.0
    return sign * (draw.good - draw.expected) / draw.arms[draw.arm]


def _lesson_effect(lesson: Lesson, *, log: TrialLog, level: float) -> LessonEffect:
    coins = log.coins.get(lesson.id, ())
    draws = [Draw(each.arm, each.arms, run.success, run.expected) for run, each in coins]
    return LessonEffect(
        lesson_id=lesson.id,
        kind=lesson.kind,
        status=lesson.status,
        n_recalled=log.recalled[lesson.id],
        arms={arm: sum(draw.arm == arm for draw in draws) for arm in ARMS},
        over_withheld=contrast(draws, second="withheld", level=level),
        over_placebo=contrast(draws, second="placebo", level=level),
        shrunk=None,
        near=_near(coins, log=log, level=level),
    )


def _near(
    coins: Sequence[tuple[ScoredRun, Decision]], *, log: TrialLog, level: float
) -> Near | None:
    """Return the step-level signal; P(clean run) is foreseen from the lesson's earlier runs."""
    exposures, taken, runs = (dict.fromkeys(ARMS, 0) for _ in range(3))
    draws: list[Draw] = []
    n_clean = 0
    for run, each in coins:
        seen = log.checks.get((run.run_id, each.lesson_id), ())
        bad = sum(check.took_bad_action for check in seen)
        exposures[each.arm] += len(seen)
        taken[each.arm] += bad
        runs[each.arm] += bool(seen)
        draws.append(Draw(each.arm, each.arms, not bad, (n_clean + 1) / (len(draws) + 2)))
        n_clean += not bad
    if not any(runs.values()):
        return None
    clean = contrast(draws, second="withheld", level=level)
    return Near(exposures=exposures, taken=taken, runs=runs, over_withheld=clean)


def _shrunk(effects: Iterable[LessonEffect]) -> list[LessonEffect]:
    by_kind: dict[LessonKind, list[LessonEffect]] = defaultdict(list)
    for each in effects:
        by_kind[each.kind].append(each)
    return sorted(
        (pulled for group in by_kind.values() for pulled in _pulled(group)),
        key=lambda each: each.lesson_id,
    )


def _pulled(group: Sequence[LessonEffect]) -> list[LessonEffect]:
    usable = [
        (each.over_withheld.estimate, each.over_withheld.error)
        for each in group
        if each.over_withheld.estimate is not None and each.over_withheld.error is not None
    ]
    prior = fit_prior([effect for effect, _ in usable], [error for _, error in usable])
    return [msgspec.structs.replace(each, shrunk=_pull(each, prior)) for each in group]


def _pull(each: LessonEffect, prior: Prior | None) -> Pulled | None:
    estimate, error = each.over_withheld.estimate, each.over_withheld.error
    if prior is None or estimate is None or error is None:
        return None
    pulled = shrink_towards(prior, estimate, error=error)
    return Pulled(
        estimate=pulled.value,
        error=pulled.error,
        prior_mean=prior.mean,
        prior_variance=prior.variance,
        n_lessons=prior.n,
    )
