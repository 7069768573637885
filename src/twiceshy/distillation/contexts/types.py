"""What a teacher may see, as data."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from twiceshy.lessons import Lesson


class Rung(StrEnum):
    """How much the teacher sees beside the task, from little to much.

    The order is a guide, not a measure: Kim et al. (2603.24472) order contexts by the information
    that they carry about the answer, which nobody computes.
    """

    NONE = "none"
    """Nothing: the student itself, or a stronger model without help."""
    HINT = "hint"
    """Advice for this task that somebody wrote."""
    CRITIQUE = "critique"
    """Where the student's own attempt went wrong, and what the judge said there."""
    SKILL_MISTAKE = "skill_mistake"
    """Lessons: what to do and what is often done instead (SGSD, 2605.28791)."""
    ANSWER = "answer"
    """The final answer alone."""
    SOLUTION_WITHOUT_THINKING = "solution_without_thinking"
    """A right attempt without its deliberation."""
    SOLUTION = "solution"
    """A right attempt, deliberation included. The one that makes short and overconfident traces."""
    VERIFIER_OUTPUT = "verifier_output"
    """What the checker printed about the student's attempt (SDPO's environment feedback)."""


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about tasks beside the attempts. All of it may be missing.

    A right sibling in the group stands in for a missing answer or solution.
    """

    hints: Mapping[str, str] = {}
    """Advice by task."""
    answers: Mapping[str, str] = {}
    """Reference answer by task."""
    solutions: Mapping[str, str] = {}
    """Reference solution by task; deliberation inside <think> tags where it has any."""
    lessons: Mapping[str, tuple[Lesson, ...]] = {}
    """Lessons by task, most useful first, as a bank recalls them; retired and quarantined ones are
    not shown."""
    failing_steps: Mapping[str, int] = {}
    """Index of the step that went wrong, by attempt id, where a verifier or a person says so."""
    critiques: Mapping[str, str] = {}
    """Words on the failing step by attempt id, from a critic; ours are built from the log."""


class TeacherContext(msgspec.Struct, frozen=True, kw_only=True):
    """What one teacher sees about one attempt."""

    rung: Rung
    task: str
    attempt: str
    """Id of the student's attempt."""
    text: str
    """To be shown beside the task; empty for rung "none"."""
    sources: tuple[str, ...] = ()
    """Ids of the attempts and lessons that the text was made from."""
    reveals_answer: bool | None = None
    """Whether the reference answer stands in the text; None where there is no reference."""


class NoContext(msgspec.Struct, frozen=True, kw_only=True):
    """Why a rung cannot be built for an attempt; counted, never replaced by another rung."""

    rung: Rung
    task: str
    attempt: str
    why: str
