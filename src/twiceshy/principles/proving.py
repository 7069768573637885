"""Does a prompt help, on questions its writer could not see? Every arm, paired by question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt, Outcome, Verdict
from twiceshy.errors import BadInput
from twiceshy.evidence.trial import ArmResult, TrialResult, compare_policies
from twiceshy.models import Completion
from twiceshy.principles.arms import Arm
from twiceshy.principles.executor import Executor, judge
from twiceshy.principles.extractors import Extractor, extractors
from twiceshy.principles.splits import Locked, Scorer
from twiceshy.principles.types import Answer, Example, Metric, Scored

SAMPLED = 0.7
"""Temperature of answers that are voted on. Ours."""


class Sheet(NamedTuple):
    """How one arm's answers were read in one way: nothing of a question is in it."""

    scores: NDArray[np.float64]
    """Shape (items, trials): 1 right, 0 wrong or unread, NaN where no answer came."""
    unread: NDArray[np.bool_]
    """Same shape: an answer came and could not be read."""


class ArmSheet(NamedTuple):
    """What an arm did on the locked questions."""

    arm: Arm
    sheets: dict[Extractor, Sheet]
    n_calls: int
    """Distinct calls of the proof alone."""

    @property
    def n_unread(self) -> int:
        """Answers that the proof's own metric could not read."""
        return int(self.sheets["as given"].unread.sum())

    @property
    def n_broken(self) -> int:
        """Answers that never came."""
        return int(np.isnan(self.sheets["as given"].scores).sum())


class Moved(NamedTuple):
    """A difference between an arm and the reference, read in several ways."""

    arm: str
    by_extractor: dict[Extractor, ArmResult]
    through_unread: float | None
    """Part of the difference that lies on items where an answer of either arm could not be read."""

    @property
    def by_reading(self) -> bool:
        """Whether the reading, not the prompt, moved the score.

        The difference is clear as given, and either most of it lies on unread items or the lenient
        reader finds none that is clear, or one the other way.
        """
        own = self.by_extractor["as given"]
        if not own.is_clear or own.difference is None or own.difference.difference is None:
            return False
        lenient = self.by_extractor.get("lenient")
        gone = lenient is not None and (
            not lenient.is_clear or _value(lenient) * own.difference.difference <= 0
        )
        mostly = abs(self.through_unread or 0.0) > abs(own.difference.difference) / 2
        return gone or mostly

    @property
    def hidden(self) -> bool:
        """Whether only the lenient reader sees a clear difference."""
        lenient = self.by_extractor.get("lenient")
        return (
            lenient is not None and lenient.is_clear and not self.by_extractor["as given"].is_clear
        )


class Proof(NamedTuple):
    """The arms on the locked questions."""

    against: str
    n_items: int
    arms: tuple[ArmSheet, ...]
    trials: dict[Extractor, TrialResult]
    """Comparisons with the reference, for every way to read an answer; none when the reference was
    not answered at all."""
    moved: tuple[Moved, ...]
    """One for each arm that was answered, but the reference."""


def prove(
    executor: Executor,
    arms: Sequence[Arm],
    locked: Locked,
    *,
    against: str = "few_shot",
    n_samples: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
) -> Proof:
    """Measure finished prompts on the locked questions, once.

    Args:
        executor: The model and its metric; another reading of the same answers costs no call.
        arms: The prompts.
        locked: The questions.
        against: The arm that the others are compared with.
        n_samples: Answers a question and arm.
        temperature: Of those answers; 0 with several samples asks for the same thing again.
        seed: Of the permutation test.

    Raises:
        BadInput: `against` is none of the arms, no question is locked away, or several samples are
            asked for at temperature 0.
    """
    if n_samples > 1 and temperature == 0:
        raise BadInput("a temperature above 0", got=f"{n_samples} samples at 0", where="n_samples")
    if not len(locked):
        raise BadInput("at least one locked question", got="none", where="test split")
    sheets: dict[str, ArmSheet] = {}
    scorers: dict[str, Scorer] = {
        each.name: _scorer(executor, each, sheets, n_samples=n_samples, temperature=temperature)
        for each in arms
    }
    locked.measure(scorers, against=against)
    told = tuple(sheets[each.name] for each in arms)
    trials: dict[Extractor, TrialResult] = {}
    if not np.isnan(sheets[against].sheets["as given"].scores).all():
        placebo = "filler" if _answered(sheets.get("filler")) and against != "filler" else None
        trials = {
            how: compare_policies(
                _attempts(told, how), reference=against, placebo=placebo, seed=seed
            )
            for how in told[0].sheets
        }
    return Proof(against, len(locked), told, trials, _moved(told, trials, against=against))


def _answered(told: ArmSheet | None) -> bool:
    return told is not None and not np.isnan(told.sheets["as given"].scores).all()


def _scorer(
    executor: Executor,
    arm: Arm,
    sheets: dict[str, ArmSheet],
    *,
    n_samples: int,
    temperature: float,
) -> Scorer:
    """Return what scores one arm; it keeps its sheet and lets go of the questions."""

    def score(examples: Sequence[Example]) -> NDArray[np.float64]:
        step = f"prove {arm.name}"
        drawn = executor.answers(
            examples,
            step=step,
            block=arm.block,
            shots=arm.shots,
            n_samples=n_samples * arm.votes,
            temperature=SAMPLED if arm.votes > 1 else temperature,
        )
        found = {
            how: _sheet(drawn, metric, votes=arm.votes)
            for how, metric in extractors(executor.metric).items()
        }
        n_calls = executor.asker.spent.by_step.get(step, 0)
        sheets[arm.name] = ArmSheet(arm, found, n_calls)
        return _item_means(found["as given"])

    return score


def _sheet(drawn: Sequence[Sequence[Answer]], metric: Metric, *, votes: int) -> Sheet:
    voted = [
        [voted_on(of_one[start : start + votes], metric) for start in range(0, len(of_one), votes)]
        for of_one in drawn
    ]
    return Sheet(
        scores=np.array([[_right(each) for each in row] for row in voted]),
        unread=np.array([[each.outcome is Outcome.UNSCORED for each in row] for row in voted]),
    )


def _right(scored: Scored) -> float:
    return float("nan") if scored.outcome is Outcome.BROKEN else float(scored.right)


def voted_on(answers: Sequence[Answer], metric: Metric) -> Scored:
    """Return the judgement of the commonest answer that can be read; of equals, the first drawn."""
    scored = [
        each.scored
        if each.scored.outcome is Outcome.BROKEN
        else judge(metric, each.example, Completion(text=each.text))
        for each in answers
    ]
    read = Counter(each.answer for each in scored if each.answer is not None)
    if not read:
        came = [each for each in scored if each.outcome is not Outcome.BROKEN]
        return (came or scored)[0]
    (commonest, _), *_ = read.most_common(1)
    return next(each for each in scored if each.answer == commonest)


def _item_means(sheet: Sheet) -> NDArray[np.float64]:
    """Return the mean of each item's trials; NaN where none came."""
    came = ~np.isnan(sheet.scores)
    total = np.where(came, sheet.scores, 0.0).sum(axis=1)
    return np.divide(total, came.sum(axis=1), out=np.full(len(total), np.nan), where=came.any(1))


def _attempts(told: Sequence[ArmSheet], how: Extractor) -> list[Attempt]:
    """Return the answers as attempts of arms at numbered tasks; an unread answer is a failure."""
    return [
        Attempt(
            task=f"{item:06d}",
            policy=each.arm.name,
            trial=str(trial),
            verdict=_verdict(float(score)),
        )
        for each in told
        for item, row in enumerate(each.sheets[how].scores)
        for trial, score in enumerate(row)
    ]


def _verdict(score: float) -> Verdict:
    if np.isnan(score):
        return Verdict(outcome=Outcome.BROKEN, source="verifier", broken="tool_crash")
    right = score >= 0.5
    return Verdict(
        outcome=Outcome.SUCCESS if right else Outcome.FAILURE, reward=score, source="verifier"
    )


def _moved(
    told: Sequence[ArmSheet], trials: Mapping[Extractor, TrialResult], *, against: str
) -> tuple[Moved, ...]:
    sheets: dict[str, Sheet] = {each.arm.name: each.sheets["as given"] for each in told}
    found = {
        how: {each.policy: each for each in trial.arms if each.policy != against}
        for how, trial in trials.items()
    }
    return tuple(
        Moved(
            name,
            {how: by_name[name] for how, by_name in found.items()},
            _through_unread(sheets[against], sheets[name]),
        )
        for name in found.get("as given", {})
    )


def _through_unread(before: Sheet, after: Sheet) -> float | None:
    """Return what items with an unread answer in either arm add to the mean difference."""
    d = _item_means(after) - _item_means(before)
    both = ~np.isnan(d)
    if not both.any():
        return None
    touched = before.unread.any(axis=1) | after.unread.any(axis=1)
    return float(d[both & touched].sum() / both.sum())


def _value(arm: ArmResult) -> float:
    found = arm.difference
    return 0.0 if found is None or found.difference is None else found.difference
