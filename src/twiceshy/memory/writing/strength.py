"""How much evidence a lesson has: the order in which caps evict and duplicates give way."""

from __future__ import annotations

from twiceshy.lessons import EvidenceLevel, Lesson, Status

LEVELS = (
    EvidenceLevel.DESCRIBED,
    EvidenceLevel.SUGGESTED,
    EvidenceLevel.SUPPORTED_WITHIN_TASK,
    EvidenceLevel.SUPPORTED_IN_TRIAL,
)
"""From least to most."""
ALIVE = (Status.CANDIDATE, Status.SHADOW, Status.ACTIVE)
"""What may still be shown, now or later."""


def is_alive(lesson: Lesson) -> bool:
    """Whether the lesson may still be shown, now or later."""
    return lesson.status in ALIVE


def certainty(lesson: Lesson) -> float:
    """Return how far the interval of the within-task effect stays from zero; 0 when it does not.

    Example:
        >>> from twiceshy.lessons import Effect, Evidence
        >>> effect = Effect(estimate=0.4, low=0.1, high=0.7)
        >>> certainty(Lesson(id="a", kind="avoid", text="", evidence=Evidence(within_task=effect)))
        0.1
    """
    effect = lesson.evidence.within_task
    if effect is None or effect.low is None or effect.high is None:
        return 0.0
    return max(0.0, effect.low, -effect.high)


def strength(lesson: Lesson) -> tuple[object, ...]:
    """Return a key that sorts lessons from least to most evidence; ties go by id.

    The level counts first, then whether it is in use, then the certainty of the effect, informative
    tasks, and evidence for less evidence against; a flag speaks against a lesson.
    """
    evidence = lesson.evidence
    return (
        LEVELS.index(lesson.level),
        lesson.status is Status.ACTIVE,
        certainty(lesson),
        evidence.n_informative_tasks,
        evidence.n_for - evidence.n_against,
        -len(lesson.flags),
        lesson.id,
    )
