"""What is to be done with a lesson after its trial, by one stated rule.

    candidate  → shadow       recalled in `min_recalled` runs
    shadow     → active       e(shown better than withheld) ≥ 1/alpha
    any in use → quarantined  e(shown worse than withheld) ≥ 1/alpha
    any in use → retired      the whole interval lies below `worth`

and the level *supported in a trial* where showing it beats the placebo as well, e ≥ 1/alpha. The
last three need `min_scored` runs. Because e-values may be looked at after every run, a lesson
that does nothing or harms is *ever* promoted with chance at most alpha, one that does nothing or
helps is ever quarantined with chance at most alpha, and one worth more than `worth` is ever retired
with chance at most (1 − level) / 2. The rates hold for each lesson, not for the bank: of many
lessons that do nothing, a share of up to alpha is promoted.

Lessons that are recalled rarely never have `min_scored` runs, and of lessons that stand in for each
other (five demonstrations of one thing) each by itself adds nothing although none may be missing.
For those there is `by_set`: a lesson in trial also becomes active where the coin that holds back a
run's *whole* set has shown that the set helps. A set that does not help is then promoted with
chance at most alpha; nothing is said about a single lesson in it, whose own trial may still take it
out. `experiments/reasoning-memory` compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from twiceshy.lessons import Effect, Evidence, EvidenceLevel, Lesson, Status
from twiceshy.memory.bank.types import SetEvidence, SetStatus
from twiceshy.memory.trials.effects import Contrast, Effects, LessonEffect


def hoeffding_runs(width: float, *, alpha: float = 0.05) -> int:
    """Return how many runs make Hoeffding's one-sided bound for scores in [-1, 1] this narrow.

    n = 2·ln(1/alpha) / width²

    Source: Hoeffding (1963), theorem 2.

    Example:
        >>> hoeffding_runs(0.25), hoeffding_runs(0.55)
        (96, 20)
    """
    return math.ceil(2 * math.log(1 / alpha) / width**2)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """When a lesson is promoted, retired or quarantined."""

    alpha: float = 0.05
    """Chance of a wrong promotion, and of a wrong quarantine, of one lesson, over all looks."""
    worth: float = 0.05
    """Gain in P(success) below which a lesson is not worth its words. Ours."""
    min_recalled: int = 3
    """Runs in which a candidate is recalled before it is told to anybody. Ours."""
    min_scored: int = hoeffding_runs(0.25)
    """Scored runs before any verdict, also about the set: 96, where Hoeffding's bound is narrower
    than an effect of 25 points. At 20 runs it is 55 points wide, and a verdict would be noise."""
    by_set: bool = False
    """Whether a lesson in trial is promoted with a set that helps."""


def verdicts(
    effects: Effects, *, lessons: Iterable[Lesson], rule: Rule | None = None
) -> list[SetStatus | SetEvidence]:
    """Return the edits that follow from a trial; nothing is written anywhere.

    Args:
        effects: What `effect` found.
        lessons: The lessons as they are now.
        rule: Default: `Rule()`.

    Returns:
        Edits in order of the effects. A lesson whose status and level stay gets none.
    """
    chosen, known = rule or Rule(), {each.id: each for each in lessons}
    pairs = ((known[each.lesson_id], each) for each in effects.lessons if each.lesson_id in known)
    whole = effects.whole_over_withheld
    return [
        edit for lesson, each in pairs for edit in _edits(lesson, each, rule=chosen, whole=whole)
    ]


def ruling(
    effect: LessonEffect, *, rule: Rule | None = None, whole: Contrast | None = None
) -> tuple[Status, str]:
    """Return the status that a lesson should have, and why.

    Args:
        effect: What its trial says.
        rule: Default: `Rule()`.
        whole: What the trial of whole sets says; looked at only by a rule that goes `by_set`.
    """
    chosen, status, found = rule or Rule(), effect.status, effect.over_withheld
    if status is Status.CANDIDATE and effect.n_recalled >= chosen.min_recalled:
        return Status.SHADOW, f"recalled in {effect.n_recalled} runs: worth a trial"
    if status not in (Status.SHADOW, Status.ACTIVE):
        return status, "not in trial"
    if found.n >= chosen.min_scored:
        decided = _by_own_trial(found, rule=chosen)
        if decided is not None:
            return decided
    if status is Status.SHADOW and _set_helps(whole, rule=chosen):
        return Status.ACTIVE, "the set it is told with helps"
    if found.n < chosen.min_scored:
        return status, f"n = {found.n} of {chosen.min_scored} before any verdict"
    return status, f"undecided: {_told(found)}"


def _by_own_trial(found: Contrast, *, rule: Rule) -> tuple[Status, str] | None:
    if found.e_worse >= 1 / rule.alpha:
        return Status.QUARANTINED, f"harms: {_told(found)}, e = {found.e_worse:.3g}"
    if found.high is not None and found.high < rule.worth:
        return Status.RETIRED, f"not worth its words: {_told(found)}, below {rule.worth:+.2f}"
    if found.e_better >= 1 / rule.alpha:
        return Status.ACTIVE, f"helps: {_told(found)}, e = {found.e_better:.3g}"
    return None


def _set_helps(whole: Contrast | None, *, rule: Rule) -> bool:
    if whole is None or not rule.by_set:
        return False
    return whole.n >= rule.min_scored and whole.e_better >= 1 / rule.alpha


def _edits(
    lesson: Lesson, effect: LessonEffect, *, rule: Rule, whole: Contrast
) -> Sequence[SetStatus | SetEvidence]:
    status, because = ruling(effect, rule=rule, whole=whole)
    level = _level(lesson, effect, status=status, rule=rule)
    edits: list[SetStatus | SetEvidence] = []
    if status is not lesson.status:
        edits.append(SetStatus(lesson_id=lesson.id, status=status, because=because))
    if level is not lesson.level or (edits and effect.over_withheld.n):
        evidence = _evidence(lesson, effect)
        edits.append(
            SetEvidence(lesson_id=lesson.id, level=level, evidence=evidence, because=because)
        )
    return edits


def _level(lesson: Lesson, effect: LessonEffect, *, status: Status, rule: Rule) -> EvidenceLevel:
    """Return the level; what a later trial took back is only *described*."""
    supported = EvidenceLevel.SUPPORTED_IN_TRIAL
    if status in (Status.RETIRED, Status.QUARANTINED) and lesson.level is supported:
        return EvidenceLevel.DESCRIBED
    both = min(effect.over_withheld.e_better, effect.over_placebo.e_better)
    enough = effect.over_withheld.n >= rule.min_scored
    if status is Status.ACTIVE and enough and both >= 1 / rule.alpha:
        return supported
    return lesson.level


def _evidence(lesson: Lesson, effect: LessonEffect) -> Evidence:
    return msgspec.structs.replace(
        lesson.evidence,
        trial=_as_effect(effect.over_withheld),
        over_placebo=_as_effect(effect.over_placebo),
    )


def _as_effect(found: Contrast) -> Effect | None:
    """Return a contrast as a difference in P(failure), the sign that a lesson's evidence has."""
    if found.estimate is None or found.low is None or found.high is None:
        return None
    return Effect(
        estimate=-found.estimate,
        low=-found.high,
        high=-found.low,
        n_attempts=found.n,
        extra={"n_shown": found.n_first, "n_other": found.n_second, "anytime_valid": True},
    )


def _told(found: Contrast) -> str:
    if found.estimate is None or found.low is None or found.high is None:
        return f"undefined, n = {found.n}"
    return f"{found.estimate:+.2f} [{found.low:+.2f}, {found.high:+.2f}], n = {found.n}"
