"""One run of an agent, as a memory sees it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple, TypedDict, Unpack

import msgspec

from twiceshy.attempts.types import BrokenKind, Outcome, Step, Verdict, VerdictSource
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.memory.bank.protocol import BankWriter
from twiceshy.memory.bank.types import Decision, OutcomeRecorded, RunStarted, StepCheck
from twiceshy.memory.recall import Wish, check, check_end, line_of
from twiceshy.memory.recall.checking import Check
from twiceshy.memory.runs.dealing import Dealer, Dealt

ACTOR = "memory"
"""Who writes the log of runs."""


class Told(TypedDict, total=False):
    """The grounds of an outcome; all may be left out."""

    evidence: str
    """What the judge pointed at: a test name, a message, a hash."""
    reward: float | None
    """The judge's number, untouched."""
    source: VerdictSource | None
    """Who judged."""
    reliability: float | None
    """Probability in [0, 1] that the verdict is right."""
    broken: BrokenKind | None
    """For "broken" only: which boundary broke; "user_rule" when left out."""
    reason: str
    """For "broken" and "unscored": why, in words."""


class Advice(NamedTuple):
    """What a memory has to say about a step."""

    violated: tuple[Lesson, ...] = ()
    """Lessons in view that the step goes against; a veto where the agent allows one."""
    text: str = ""
    """For the agent: "do Y instead of X" of each; after an error, what helped before."""
    lessons: tuple[Lesson, ...] = ()
    """Lessons newly told, after an error."""

    @property
    def veto(self) -> bool:
        """Whether the step goes against a lesson in view."""
        return bool(self.violated)


class Run:
    """A run that has started. Made by `Memory.run`, `Memory.start` and their async twins.

    Steps are held against every `avoid` that was recalled, also where the coin withheld it, so that
    what happens with and without a lesson can be compared; but only lessons in view give advice.

    Attributes:
        id: The run's id, for `Memory.outcome` and for the `parents` of lessons written from it.
        started: What was logged about it.
    """

    def __init__(
        self, bank: BankWriter, dealer: Dealer, *, started: RunStarted, wish: Wish
    ) -> None:
        self.id = started.run_id
        self.started = started
        self._bank, self._dealer, self._wish = bank, dealer, wish
        self._lock = threading.RLock()
        self._dealt: list[Dealt] = []
        self._steps: list[Step] = []
        self._violated: set[str] = set()
        self._ended = False

    def open(self, *, told_after_errors: int) -> None:
        """Recall, toss the coins, and log both with the start. Called once, by `Memory`.

        Args:
            told_after_errors: Lessons that may be told after failed calls, in the whole run.
        """
        words = self.started.text or self.started.task
        dealt = self._dealer.at_start(self.id, text=words, wish=self._wish)
        self._bank.record([self.started, *dealt.decisions], actor=ACTOR)
        self._dealt.append(dealt)
        self._room = told_after_errors

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """Lessons in view: told at the start or since; for `penalties` and `allowed` as well."""
        return tuple(each for dealt in self._dealt for each in dealt.shown)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What the coins said."""
        return tuple(each for dealt in self._dealt for each in dealt.decisions)

    @property
    def text(self) -> str:
        """What to tell the agent at the start; "" for nothing, which is a valid answer."""
        return self._dealt[0].text

    @property
    def notes(self) -> tuple[str, ...]:
        """Why nothing was found, and what recall did without."""
        return tuple(note for dealt in self._dealt for note in dealt.notes)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Steps told so far."""
        return tuple(self._steps)

    def check(self, step: Step, *, options: Sequence[Step] | None = None) -> Advice:
        """Say what lessons in view have against a step not taken yet; nothing is logged.

        Args:
            step: What the agent is about to do.
            options: What it could do instead, with facts where there are any.
        """
        with self._lock:
            found = check(step, self.lessons, before=self._steps, options=options)
            return self._against(found)

    def step(self, step: Step, *, options: Sequence[Step] | None = None) -> Advice:
        """Take a step into account: log what it means for every lesson decided on.

        Args:
            step: What the agent did, or a reply it got. After a reply typed as an error, lessons
                that fit it are recalled.
            options: What it could have done instead.

        Raises:
            BadInput: The run has ended.
        """
        with self._lock:
            self._check_open("a step")
            found = check(step, self._decided(), before=self._steps, options=options)
            place = len(self._steps)
            dealt = self._after_error(step) if step.error is not None else Dealt()
            self._log(found, place, decisions=dealt.decisions)
            self._steps.append(step)
            self._dealt.append(dealt)
            self._room -= sum(each.arm != "withheld" for each in dealt.decisions)
            advice = self._against(found)
            return Advice(advice.violated, advice.text + dealt.text, dealt.shown)

    def end(self, outcome: Outcome | str, **told: Unpack[Told]) -> OutcomeRecorded:
        """Tell how the run ended, once. Later judgements go through `Memory.outcome`.

        Args:
            outcome: "success", "failure", "broken" or "unscored".
            **told: Its grounds, as in `Told`.

        Raises:
            BadInput: The run has ended already, or the verdict is impossible.
        """
        given = verdict_of(outcome, **told)
        with self._lock:
            self._check_open("an outcome")
            found = check_end(self._steps, self._decided(), prompt=self.started.text)
            ended = OutcomeRecorded(run_id=self.id, verdict=given)
            last = max(len(self._steps) - 1, 0)
            self._bank.record([*self._events(found, last), ended], actor=ACTOR)
            self._ended = True
            return ended

    def close(self, error: BaseException | None = None) -> None:
        """End a run that nobody ended: unscored, or broken by what was raised in it."""
        if self._ended:
            return
        if error is None:
            self.end(Outcome.UNSCORED, reason="the run was left without an outcome")
        else:
            # Only the type: a message may hold a secret or somebody else's words.
            self.end(Outcome.BROKEN, broken=_boundary(error), reason=type(error).__name__)

    def descended(self, lesson: Lesson) -> Lesson:
        """Return a lesson written from this run, with the run among its parents.

        A bank knows which lessons were in view in a run, so a rollback of one of those reaches what
        was written under its influence.
        """
        parents = (*lesson.parents, *([] if self.id in lesson.parents else [self.id]))
        return msgspec.structs.replace(lesson, parents=parents)

    def _decided(self) -> list[Lesson]:
        return [each for dealt in self._dealt for each in dealt.recalled]

    def _after_error(self, step: Step) -> Dealt:
        if self._room <= 0:
            return Dealt()
        return self._dealer.after_error(
            self.id,
            step,
            before=self._steps,
            wish=self._wish,
            known=[each.id for each in self._decided()],
            room=self._room,
        )

    def _log(self, found: Sequence[Check], place: int, *, decisions: Sequence[Decision]) -> None:
        uses = [*decisions, *self._events(found, place)]
        if uses:
            self._bank.record(uses, actor=ACTOR)

    def _events(self, found: Sequence[Check], place: int) -> list[StepCheck]:
        events = [each.as_event(run_id=self.id, step=place) for each in found]
        return [each for each in events if each is not None]

    def _against(self, found: Sequence[Check]) -> Advice:
        bad = {each.lesson_id for each in found if each.verdict == "violated"}
        violated = tuple(each for each in self.lessons if each.id in bad)
        lines = [line_of(each, form=self._wish.form) for each in violated]
        return Advice(violated, "".join(f"{line}\n" for line in lines if line))

    def _check_open(self, what: str) -> None:
        if self._ended:
            raise BadInput(
                f"{what} of a run that goes on",
                got=f"run {self.id}, which has ended",
                fix="Tell a later judgement by memory.outcome(run.id, …).",
            )


def verdict_of(outcome: Outcome | str, **told: Unpack[Told]) -> Verdict:
    """Return a checked verdict.

    Raises:
        BadInput: The outcome is none of the four, the reliability is no probability, or `broken` is
            told of an outcome that is not "broken".
    """
    try:
        known = Outcome(outcome)
    except ValueError:
        names = ", ".join(each.value for each in Outcome)
        raise BadInput(f"an outcome ({names})", got=repr(outcome), where="outcome") from None
    reliability, broken = told.get("reliability"), told.get("broken")
    if reliability is not None and not 0 <= reliability <= 1:
        raise BadInput("a probability in [0, 1]", got=repr(reliability), where="reliability")
    if broken is not None and known is not Outcome.BROKEN:
        raise BadInput("broken only with the outcome 'broken'", got=known.value, where="broken")
    kind: BrokenKind | None = (broken or "user_rule") if known is Outcome.BROKEN else None
    return Verdict(
        outcome=known,
        reward=told.get("reward"),
        source=told.get("source"),
        reliability=reliability,
        evidence=told.get("evidence", ""),
        broken=kind,
        reason=told.get("reason", ""),
    )


def _boundary(error: BaseException) -> BrokenKind:
    if isinstance(error, TimeoutError):
        return "timeout"
    return "tool_crash" if isinstance(error, Exception) else "limit"
