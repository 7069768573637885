"""From what recall found to what an agent is told: coins, placebos, text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from twiceshy.attempts.types import Step
from twiceshy.lessons import Lesson, Status
from twiceshy.memory.bank.protocol import BankReader
from twiceshy.memory.bank.types import Decision, Moment
from twiceshy.memory.recall import (
    Recalled,
    Wish,
    line_of,
    placebo_of,
    recall,
    recall_after_error,
    render,
)
from twiceshy.memory.trials.design import TrialDesign, decide

IN_TRIAL = (Status.ACTIVE, Status.SHADOW)
"""Statuses whose lessons compete for a place in the text."""
AFTER_ERROR_TOKENS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """What came of one recall in one run."""

    decisions: tuple[Decision, ...] = ()
    recalled: tuple[Lesson, ...] = ()
    """Lessons decided on, whatever the coin said."""
    shown: tuple[Lesson, ...] = ()
    text: str = ""
    """The block for a user-level message, placebos included; "" when there is nothing to tell."""
    n_tokens: int = 0
    notes: tuple[str, ...] = ()
    """What recall did without, and why it found nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealer:
    """How lessons are recalled and dealt; shared by all runs of a memory."""

    reader: BankReader
    wish: Wish
    design: TrialDesign
    seed: int

    def at_start(self, run_id: str, *, text: str, wish: Wish) -> Dealt:
        """Return what a run is told before its first step.

        Candidates are looked up apart, so that they take no place from lessons that may be told.
        """
        found = recall(self.reader, text, **replace(wish, statuses=IN_TRIAL).keywords)
        waiting = recall(self.reader, text, **replace(wish, statuses=(Status.CANDIDATE,)).keywords)
        return self._dealt(found, _decided(waiting), run_id=run_id, wish=wish)

    def after_error(
        self,
        run_id: str,
        step: Step,
        *,
        before: Sequence[Step],
        wish: Wish,
        known: Sequence[str],
        room: int,
    ) -> Dealt:
        """Return what a run is told after a failed call: lessons not decided on in it so far.

        Args:
            run_id: The run.
            step: The reply that is typed as an error.
            before: The steps before it.
            wish: What holds for this run.
            known: Ids of lessons already decided on.
            room: Lessons that may still be told in this run.
        """
        given = replace(wish, statuses=IN_TRIAL, k=1, budget_tokens=AFTER_ERROR_TOKENS).keywords
        kept = {name: given[name] for name in given if name not in _ONLY_AT_START}
        found = recall_after_error(self.reader, step, before=before, **kept)
        lessons = [each for each in _decided(found) if each.id not in known][:room]
        return self._dealt(
            found,
            [],
            run_id=run_id,
            wish=wish,
            only=lessons,
            step=len(before),
            moment="after_error",
        )

    def _dealt(
        self,
        found: Recalled,
        waiting: Sequence[Lesson],
        *,
        run_id: str,
        wish: Wish,
        only: Sequence[Lesson] | None = None,
        moment: Moment = "start",
        step: int | None = None,
    ) -> Dealt:
        lessons = [*(_decided(found) if only is None else only), *waiting]
        decisions = decide(
            lessons,
            run_id=run_id,
            design=self.design,
            seed=self.seed,
            scores={each.lesson.id: each.score for each in found.candidates},
            moment=moment,
            step=step,
        )
        arm = {each.lesson_id: each.arm for each in decisions}
        pool = [each.lesson for each in found.candidates]
        told = [self._told(each, arm[each.id], pool=pool, wish=wish) for each in lessons]
        # All of the set fitted its budget; a placebo may be a token longer than what it replaces.
        rendered = render(
            [each for each in told if each is not None],
            budget_tokens=2 * wish.budget_tokens,
            count=wish.count,
            form=wish.form,
        )
        return Dealt(
            decisions=decisions,
            recalled=tuple(lessons),
            shown=tuple(each for each in lessons if arm[each.id] == "shown"),
            text=rendered.text,
            n_tokens=rendered.n_tokens,
            notes=(*found.notes, *([found.nothing] if found.nothing else [])),
        )

    def _told(
        self, lesson: Lesson, arm: str, *, pool: Sequence[Lesson], wish: Wish
    ) -> Lesson | None:
        """Return what stands in the text for a lesson; None for nothing."""
        if arm == "withheld" or not line_of(lesson, form=wish.form):
            return None
        if arm == "shown":
            return lesson
        return placebo_of(lesson, pool, self.seed, count=wish.count, form=wish.form)


_ONLY_AT_START = ("kinds", "floor", "lexical_weight")


def _decided(found: Recalled) -> list[Lesson]:
    """Return lessons that a coin is tossed for: those to be told, and those only checked."""
    return [each.lesson for each in found.candidates if each.fate in ("chosen", "no_words")]
