"""A lesson as it may be stored: without secrets, and without the task's own text in its trigger."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec

from twiceshy.lessons import TASK_TEXT, ContrastPair, Lesson
from twiceshy.memory.safety.policy import Policy
from twiceshy.memory.safety.secrets import scrub
from twiceshy.memory.safety.seen import Run, copyable_runs

GENERAL_TRIGGER = "at this task or one like it"


class Cleaned(NamedTuple):
    """A lesson without secrets."""

    lesson: Lesson
    n_secrets: int


def clean(lesson: Lesson, *, policy: Policy) -> Cleaned:
    """Return the lesson with its secrets hidden; the policy's allow-list is no secret."""
    counter = _Counter(policy.allowed)
    cleaned = msgspec.structs.replace(
        lesson,
        text=counter.hide(lesson.text),
        trigger=counter.hide(lesson.trigger),
        action=counter.hide(lesson.action),
        instead=counter.hide(lesson.instead),
        why=counter.hide(lesson.why),
        steps=tuple(map(counter.hide, lesson.steps)),
        contrast=tuple(map(counter.pair, lesson.contrast)),
        extra={key: counter.value(each) for key, each in lesson.extra.items()},
    )
    return Cleaned(cleaned, counter.n_hidden)


def without_task_text(lesson: Lesson, *, copied: Collection[Run], length: int) -> Lesson:
    """Move a demonstration's trigger that repeats its task aside: a user wrote it.

    Args:
        lesson: The lesson as proposed.
        copied: Runs of words that occur in data of the attempts.
        length: Words of each run.
    """
    repeats = any(run in copied for run in copyable_runs(lesson.trigger, length=length))
    if lesson.kind != "demonstration" or not repeats:
        return lesson
    return msgspec.structs.replace(
        lesson, trigger=GENERAL_TRIGGER, extra={**lesson.extra, TASK_TEXT: lesson.trigger}
    )


class _Counter:
    """Hides secrets and counts them."""

    def __init__(self, keep: Collection[str]) -> None:
        self._keep = keep
        self.n_hidden = 0

    def hide(self, text: str) -> str:
        found = scrub(text, keep=self._keep)
        self.n_hidden += found.n_hidden
        return found.text

    def pair(self, pair: ContrastPair) -> ContrastPair:
        return msgspec.structs.replace(
            pair,
            failure_text=self.hide(pair.failure_text),
            success_text=self.hide(pair.success_text),
            extra={key: self.value(each) for key, each in pair.extra.items()},
        )

    def value(self, value: Any) -> Any:
        """Return any JSON value with secrets hidden in its texts."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {key: self.value(each) for key, each in value.items()}
        return value
