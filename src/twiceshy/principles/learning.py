"""From examples to accepted principles, in one call: err, say why, gate, pool, gate again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from twiceshy.lessons import Lesson
from twiceshy.models import Completer
from twiceshy.principles.asking import Asker, Progress, Spent
from twiceshy.principles.cost import Planned
from twiceshy.principles.executor import Executor
from twiceshy.principles.gates import Bench, Gated, accept
from twiceshy.principles.metrics import AnswerMatch
from twiceshy.principles.pool import summarise
from twiceshy.principles.procedure import Leap, LeapConfig, leap
from twiceshy.principles.splits import Splits
from twiceshy.principles.steps import StepFile
from twiceshy.principles.types import Metric

CURED_NOTHING = "flips_its_mistake"
"""The gate whose refused principles go into the mistake pool."""


class LearnedPrinciples(NamedTuple):
    """What was written and what was let through."""

    leap: Leap
    gated: Gated | None
    """None when the gates were left out."""
    n_pooled: int
    """Principles that cured nothing, whose mistakes went into the pool."""
    n_agreeing: int
    """Principles written for several mistakes of the pool that agree."""
    spent: Spent
    """All of it, gates included."""

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """Every principle with its ruling; without gates, both lists as they were written."""
        if self.gated is not None:
            return self.gated.lessons
        return (*self.leap.low, *self.leap.high)


def learn_principles(
    model: Completer,
    splits: Splits,
    *,
    metric: Metric | None = None,
    config: LeapConfig | None = None,
    steps: StepFile | None = None,
    foreign: Sequence[Sequence[str]] = (),
    gates: bool = True,
    progress: Progress | None = None,
    announce: Callable[[Planned], object] | None = None,
) -> LearnedPrinciples:
    """Learn principles from train, and let through what validation shows to help this model.

    The locked test split is not looked at: prove the finished prompt on it once, elsewhere.

    Args:
        model: Writes the principles and is the executor that they are judged on.
        splits: Train and validation are used.
        metric: Judges an answer; default `AnswerMatch()`.
        config: Of the procedure.
        steps: Where calls are kept.
        foreign: Lists of principles learned on other tasks; without any, whether a principle is
            specific cannot be told, and that gate is left out.
        gates: Whether to judge what was written.
        progress: Told how far it is, by step.
        announce: Told the cost of the procedure before the first call.
    """
    chosen, judge = config or LeapConfig(), metric or AnswerMatch()
    asker = Asker(model, steps=steps, progress=progress)
    found = leap(asker, splits.train, metric=judge, config=chosen, announce=announce)
    if not gates:
        return LearnedPrinciples(found, None, 0, 0, asker.spent)
    bench = Bench(
        Executor(asker, judge, chosen.chain_tokens, chosen.seed),
        splits.train,
        splits.validation,
        foreign=tuple(tuple(each) for each in foreign),
        temperature=chosen.temperature,
        seed=chosen.seed,
    )
    written = [*found.low, *found.high]
    first = accept(written, bench, whole=(), progress=progress)
    low = {each.id for each in found.low}
    pool = [
        ruling.candidate.lessons[0]
        for ruling in first.rulings
        if ruling.stopped_by == CURED_NOTHING and ruling.candidate.lessons[0].id in low
    ]
    agreeing = summarise(asker, pool, max_tokens=chosen.principle_tokens).principles
    gated = accept([*written, *agreeing], bench, progress=progress)
    return LearnedPrinciples(found, gated, len(pool), len(agreeing), asker.spent)
