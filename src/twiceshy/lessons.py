"""A lesson: one learned item with its evidence, the same type for memory and for prompts."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec

LESSON_VERSION = 1
TASK_TEXT = "task_text"
"""Key of `Lesson.extra` with the words of its task: data to search, not to show."""
SITUATIONS = "situations"
"""Key of `Lesson.extra`: the tasks it was learned at, in words (a list of strings), as data."""
TASKS = "tasks"
"""Key of `Lesson.extra`: the identities of the tasks it was learned at (a list of strings)."""

LessonKind = Literal["avoid", "recover", "strategy", "demonstration", "principle"]
Author = Literal["rule", "model", "human"]


class EvidenceLevel(StrEnum):
    """What is known about a lesson."""

    DESCRIBED = "described"
    """It was seen. Too few mixed tasks to say more, or it was not tested."""
    SUGGESTED = "suggested"
    """Worth a trial: enough mixed tasks to be a candidate, not enough to be a claim."""
    SUPPORTED_WITHIN_TASK = "supported_within_task"
    """Passed a within-task test with multiple testing controlled."""
    SUPPORTED_IN_TRIAL = "supported_in_trial"
    """A randomised trial showed that telling the agent helps."""


class Status(StrEnum):
    """What is done with a lesson."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"
    QUARANTINED = "quarantined"


class Effect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A difference in P(failure) between attempts with and without the pattern.

    All numbers are risk differences in [-1, 1] (positive: failure is likelier with the pattern)
    unless `scale` says log odds ratio. None means undefined, never zero.
    """

    estimate: float | None
    low: float | None = None
    """Lower end of the interval at `confidence`."""
    high: float | None = None
    scale: Literal["risk_difference", "log_odds_ratio"] = "risk_difference"
    p_value: float | None = None
    q_value: float | None = None
    """Benjamini-Hochberg adjusted over `n_tested` patterns."""
    confidence: float = 0.95
    n_attempts: int = 0
    n_tasks: int = 0
    extra: dict[str, Any] = {}


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What speaks for and against a lesson."""

    attempts_for: tuple[str, ...] = ()
    """Ids of attempts that show the pattern and ended as the lesson says (capped for display)."""
    attempts_against: tuple[str, ...] = ()
    """Ids of attempts that show the pattern and ended the other way."""
    n_for: int = 0
    n_against: int = 0
    n_tasks: int = 0
    """Tasks in which the pattern occurs at all."""
    n_informative_tasks: int = 0
    """Tasks with both a success and a failure in which the pattern varies."""
    failure_rate_with: float | None = None
    failure_rate_without: float | None = None
    pooled: Effect | None = None
    """Over all attempts, task difficulty not removed. Never proof."""
    within_task: Effect | None = None
    """Between attempts at the same task (and adjusted for policy when there are several)."""
    held_out: Effect | None = None
    """Within-task effect on the tasks that were left out whenever the pattern was selected from the
    others. Where nothing is kept apart and it is selected every time, those are all the tasks."""
    trial: Effect | None = None
    """Of showing the lesson over withholding it, from a randomised trial; negative: it helps."""
    over_placebo: Effect | None = None
    """Of showing it over showing as many words that say nothing, from the same trial."""
    signs_differ: bool = False
    """Whether pooled and within-task effects point in opposite directions."""
    n_tested: int = 0
    """Patterns tested beside this one, rejected proposals included."""
    selection_frequency: float | None = None
    """Share of train splits in which the lesson was selected again."""
    adjusted_for_policy: bool = False
    extra: dict[str, Any] = {}

    @property
    def repeats_mined(self) -> bool:
        """Whether the held-out effect is the mined one again: selected whatever was left out."""
        mined, held_out = self.within_task, self.held_out
        if mined is None or held_out is None or self.selection_frequency != 1.0:
            return False
        if mined.estimate is None or held_out.estimate is None:
            return False
        return abs(mined.estimate - held_out.estimate) < 1e-9


class ContrastPair(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One failing and one passing attempt at the same task."""

    task: str
    failure_id: str
    success_id: str
    failure_step: int | None = None
    """Index into the failing attempt's steps where the two part, or the fatal step."""
    success_step: int | None = None
    failure_text: str = ""
    """What the failing attempt did there, short."""
    success_text: str = ""
    ending: str | None = None
    """How the failing attempt ended ("lost", "max_steps"); kept apart on purpose."""
    extra: dict[str, Any] = {}


class Lesson(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One learned item.

    `pattern` is the machine-readable predicate the evidence was counted on; `text` is the sentence
    for people and agents, rendered as "do Y instead of X" for an `avoid`.
    """

    id: str
    """Content hash of kind, pattern and scope."""
    kind: LessonKind
    text: str
    pattern: str = ""
    vocabulary: str = ""
    """Name of the vocabulary that defines the pattern."""
    family: str = ""
    """The vocabulary's family of patterns ("dataflow", "order", "situation")."""
    trigger: str = ""
    """When it applies, in words."""
    action: str = ""
    """For `avoid`: what not to do."""
    instead: str = ""
    """For `avoid`: the positive alternative, when one is known."""
    why: str = ""
    scope: dict[str, str] = {}
    """Where it was learned: domain, format, policies."""
    level: EvidenceLevel = EvidenceLevel.DESCRIBED
    status: Status = Status.CANDIDATE
    author: Author = "rule"
    evidence: Evidence = Evidence()
    contrast: tuple[ContrastPair, ...] = ()
    steps: tuple[str, ...] = ()
    """For `demonstration` and `recover`: the actions, in order."""
    flags: tuple[str, ...] = ()
    """Warnings to show beside it ("pooled and within-task effect point in opposite directions")."""
    parents: tuple[str, ...] = ()
    """Lessons and attempts it descends from, beyond its evidence."""
    extra: dict[str, Any] = {}
    version: int = LESSON_VERSION
