"""What is written to a bank: edits of lessons, and what happened when they were used."""

from __future__ import annotations

from typing import Literal

import msgspec

from twiceshy.attempts.types import Verdict
from twiceshy.errors import BadInput
from twiceshy.lessons import Evidence, EvidenceLevel, Lesson, Status

Shown = Literal["shown", "withheld", "placebo"]
"""What a recall decision came to."""
Moment = Literal["start", "after_error"]
"""When lessons were recalled: before the first step, or after a failed one."""


class Add(msgspec.Struct, frozen=True, kw_only=True, tag="add"):
    """Put a new lesson in."""

    lesson: Lesson
    because: str = ""


class Refine(msgspec.Struct, frozen=True, kw_only=True, tag="refine"):
    """Give a lesson other words, evidence or conditions; its id and its past stay."""

    lesson: Lesson
    """The whole lesson as it is to be, under the id it has."""
    because: str = ""


class Merge(msgspec.Struct, frozen=True, kw_only=True, tag="merge"):
    """Fold near-duplicates into one lesson; the others are retired and stay as its ancestors."""

    lesson: Lesson
    """The lesson that stays, with evidence of all."""
    absorbed: tuple[str, ...]
    because: str = ""


class Split(msgspec.Struct, frozen=True, kw_only=True, tag="split"):
    """Replace a lesson by narrower ones; it is retired and stays as their ancestor."""

    lesson_id: str
    into: tuple[Lesson, ...]
    because: str = ""


class SetStatus(msgspec.Struct, frozen=True, kw_only=True, tag="set_status"):
    """Promote, retire or quarantine."""

    lesson_id: str
    status: Status
    because: str = ""


class SetEvidence(msgspec.Struct, frozen=True, kw_only=True, tag="set_evidence"):
    """Say what is known now."""

    lesson_id: str
    level: EvidenceLevel
    evidence: Evidence
    because: str = ""


Edit = Add | Refine | Merge | Split | SetStatus | SetEvidence
"""A change to the bank. Nothing is ever rewritten as a whole."""


class RunStarted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="run_started"):
    """An agent began a task."""

    run_id: str
    task: str
    """Identity of the task, as in `Attempt.task`."""
    text: str = ""
    """The task in words: what recall searched with."""
    family: str = ""
    scope: dict[str, str] = {}
    policy: str = "unknown"
    model_family: str = ""
    parent: str | None = None
    """The run whose lessons were in context when this one was made, for lineage."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="decision"):
    """One lesson that recall chose for a run, and what the coin made of it."""

    run_id: str
    lesson_id: str
    arm: Shown
    propensity: float
    """Probability in (0, 1] with which this arm was drawn, given the candidates and `whole`."""
    arms: dict[Shown, float] = {}
    """Probability of every arm, the drawn one too; empty: not told, and then not analysed."""
    whole: Shown = "shown"
    """What a first coin made of the run's candidates as a whole. Where it is not "shown", every
    lesson of the run has the same arm, with propensity 1."""
    whole_arms: dict[Shown, float] = {}
    """Probability of each value of `whole`; empty: no such coin was tossed."""
    score: float | None = None
    """Recall's score."""
    rank: int = 0
    """Place among the candidates, from 0."""
    moment: Moment = "start"
    step: int | None = None
    """Step after which it was recalled; None at the start."""

    def __post_init__(self) -> None:
        if not 0 < self.propensity <= 1:
            raise BadInput("a probability in (0, 1]", got=repr(self.propensity), where="propensity")
        for name, arms in (("arms", self.arms), ("whole_arms", self.whole_arms)):
            if arms and abs(sum(arms.values()) - 1.0) > 1e-9:
                raise BadInput("probabilities that add up to 1", got=repr(arms), where=name)


class StepCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="step_check"):
    """One step held against one `avoid`: its trigger was seen, and the bad action taken or not."""

    run_id: str
    lesson_id: str
    step: int
    took_bad_action: bool


class OutcomeRecorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="outcome"):
    """How a run ended, possibly told much later."""

    run_id: str
    verdict: Verdict


Use = RunStarted | Decision | StepCheck | OutcomeRecorded
"""Something that happened when lessons were used."""


class VectorsStored(msgspec.Struct, frozen=True, kw_only=True, tag="vectors_stored"):
    """Vectors of lessons were put in or replaced; they lie beside the log, not in it."""

    model: str
    dimensions: int
    ids: tuple[str, ...]


Entry = Edit | Use | VectorsStored
"""Whatever the log can hold."""
