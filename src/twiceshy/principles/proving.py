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
from twiceshy.principles.extractors import Extractor, Reading, extractors
from twiceshy.principles.splits import Locked, Scorer
from twiceshy.principles.types import Answer, Example, Metric, Scored
from twiceshy.principles.unread import Sheet, Unread, compare_unread

SAMPLED = 0.7
"""Temperature of answers that are voted on. Ours."""


class ArmSheet(NamedTuple):
    """What an arm did on the locked questions."""

    arm: Arm
    sheets: dict[Extractor, Sheet]
    """Its answers in every reading, shape (items, trials): 1 right, 0 wrong, NaN: no score."""
    n_calls: int
    """Distinct calls of the proof alone."""

    @property
    def n_unread(self) -> int:
        """Answers that the proof's own metric could not read."""
        return int(self.sheets["as given"].unread.sum())

    @property
    def n_broken(self) -> int:
        """Answers that never came."""
        return int((~self.sheets["as given"].came).sum())


class Moved(NamedTuple):
    """A difference between an arm and the reference, read in several ways."""

    arm: str
    by_extractor: dict[Extractor, ArmResult]
    """Without a reading in which no answer of the arm, or none of the reference, has a score."""
    through_unread: float | None
    """Part of the strict difference that lies on items where an answer of either arm could not be
    read."""
    unread: Unread
    """Unread answers against those of the reference, item by item."""

    @property
    def by_reading(self) -> bool:
        """Whether the reading, not the prompt, moved the score.

        It is clear as given and not, or the other way, with unread answers as wrong; or it is clear
        in that strict reading and lies mostly on unread items; or it is clear in either and the
        lenient reader finds none that is clear, or one the other way.
        """
        own, strict = self._clear("as given"), self._clear("strict")
        gone = "lenient" in self.by_extractor and any(
            each and self._clear("lenient") * each <= 0 for each in (own, strict)
        )
        mostly = abs(self.through_unread or 0.0) > abs(strict) / 2 > 0
        return gone or mostly or bool(own and own * strict <= 0)

    @property
    def hidden(self) -> bool:
        """Whether only the lenient reader sees a clear difference."""
        seen = self._clear("as given") or self._clear("strict")
        return bool(self._clear("lenient")) and not seen

    def _clear(self, how: Extractor) -> float:
        """Return the difference in one reading where it is clear, else 0."""
        found = self.by_extractor.get(how)
        return _value(found) if found is not None and found.is_clear else 0.0


class Proof(NamedTuple):
    """The arms on the locked questions."""

    against: str
    n_items: int
    arms: tuple[ArmSheet, ...]
    trials: dict[Extractor, TrialResult]
    """Comparisons with the reference, for every way to read an answer in which the reference has a
    score; none when it was not answered at all."""
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

    An answer that cannot be read has no score and leaves its pair. How many there are is compared
    too, and the strict reading beside it counts them as wrong.

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
    for how in told[0].sheets:
        if _has_scores(sheets[against], how):
            has_filler = "filler" in sheets and _has_scores(sheets["filler"], how)
            trials[how] = compare_policies(
                _attempts(told, how),
                reference=against,
                placebo="filler" if has_filler and against != "filler" else None,
                seed=seed,
            )
    return Proof(against, len(locked), told, trials, _moved(told, trials, against=against))


def _has_scores(told: ArmSheet, how: Extractor) -> bool:
    return not np.isnan(told.sheets[how].scores).all()


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
            how: _sheet(drawn, reading, votes=arm.votes)
            for how, reading in extractors(executor.metric).items()
        }
        n_calls = executor.asker.spent.by_step.get(step, 0)
        sheets[arm.name] = ArmSheet(arm, found, n_calls)
        return _item_means(found["as given"].scores)

    return score


def _sheet(drawn: Sequence[Sequence[Answer]], reading: Reading, *, votes: int) -> Sheet:
    voted = [
        [
            voted_on(of_one[start : start + votes], reading.metric)
            for start in range(0, len(of_one), votes)
        ]
        for of_one in drawn
    ]
    sheet = Sheet(
        scores=np.array([[_right(each) for each in row] for row in voted]),
        unread=np.array([[each.outcome is Outcome.UNSCORED for each in row] for row in voted]),
    )
    return Sheet(sheet.strict, sheet.unread) if reading.unread_is_wrong else sheet


def _right(scored: Scored) -> float:
    return float(scored.right) if scored.outcome.is_scored else float("nan")


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


def _item_means(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each item's trials; NaN where none has a score."""
    kept = ~np.isnan(scores)
    total = np.where(kept, scores, 0.0).sum(axis=1)
    return np.divide(total, kept.sum(axis=1), out=np.full(len(total), np.nan), where=kept.any(1))


def _attempts(told: Sequence[ArmSheet], how: Extractor) -> list[Attempt]:
    """Return the answers as attempts of arms at numbered tasks."""
    return [
        Attempt(
            task=f"{item:06d}",
            policy=each.arm.name,
            trial=str(trial),
            verdict=_verdict(float(score), unread=bool(unread)),
        )
        for each in told
        for item, rows in enumerate(zip(*each.sheets[how], strict=True))
        for trial, (score, unread) in enumerate(zip(*rows, strict=True))
    ]


def _verdict(score: float, *, unread: bool) -> Verdict:
    if np.isnan(score) and unread:
        return Verdict(outcome=Outcome.UNSCORED)
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
            {how: by_name[name] for how, by_name in found.items() if name in by_name},
            _through_unread(sheets[against], sheets[name]),
            compare_unread(sheets[name], sheets[against]),
        )
        for name in found.get("strict", {})
    )


def _through_unread(before: Sheet, after: Sheet) -> float | None:
    """Return what items with an unread answer in either arm add to the strict mean difference."""
    d = _item_means(after.strict) - _item_means(before.strict)
    both = ~np.isnan(d)
    if not both.any():
        return None
    touched = before.unread.any(axis=1) | after.unread.any(axis=1)
    return float(d[both & touched].sum() / both.sum())


def _value(arm: ArmResult) -> float:
    found = arm.difference
    return 0.0 if found is None or found.difference is None else found.difference
