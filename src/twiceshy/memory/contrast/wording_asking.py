"""Putting one lesson to a language model: the prompt, the calls, and what came back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple

import msgspec

from twiceshy.lessons import ContrastPair, Lesson
from twiceshy.memory.contrast.wording_answers import (
    LONGEST_FIELD,
    Answer,
    Reason,
    objection,
    read_answer,
)
from twiceshy.memory.safety.secrets import scrub
from twiceshy.models import Completer
from twiceshy.models import ask as ask_model

MAX_CALLS = 2
"""Calls for one lesson: the question, and once more when the answer was turned down."""
MAX_TOKENS = 300
"""Tokens of an answer."""
EXCERPT = 300
"""Characters of each side of a contrast pair that are shown to the model."""


class Heard(NamedTuple):
    """What a model said about one lesson."""

    words: Answer | None
    """The answer whose words passed."""
    rejected: tuple[Reason, ...]
    """Why each other answer did not."""
    chosen: tuple[int | None, ...]
    """The conditions named, one for each answer that named one; None for an answer that could not
    be read and might have."""
    n_calls: int
    error: str | None
    """Why the last call failed; None when it did not."""


def ask(lesson: Lesson, *, offered: Sequence[str], completer: Completer) -> Heard:
    """Put a lesson to the model, and once more with the objection when its answer is turned down.

    Args:
        lesson: A lesson with the words of its rule.
        offered: Names of the events the model may propose as a condition, numbered from 1.
        completer: The model. Whatever it raises is caught here and told in `Heard.error`.
    """
    prompt = prompt_for(lesson, offered=offered)
    rejected: list[Reason] = []
    chosen: list[int | None] = []
    for n_calls in range(1, MAX_CALLS + 1):
        again = f"An earlier answer was turned down: {rejected[-1]}.\n\n" if rejected else ""
        try:
            text = ask_model(
                completer, again + prompt, system=_text("system"), max_tokens=MAX_TOKENS
            )
        except Exception as error:  # noqa: BLE001  # a model must not cost the study
            told = f"{type(error).__name__}: {error}"[:EXCERPT]
            return Heard(None, tuple(rejected), tuple(chosen), n_calls, told)
        answer = read_answer(text)
        if isinstance(answer, Reason):
            rejected.append(answer)
            chosen.extend([None] if offered else [])
            continue
        chosen.extend([] if answer.condition is None else [answer.condition])
        against = objection(answer, lesson)
        if against is None:
            return Heard(answer, tuple(rejected), tuple(chosen), n_calls, None)
        rejected.append(against)
    return Heard(None, tuple(rejected), tuple(chosen), MAX_CALLS, None)


def prompt_for(lesson: Lesson, *, offered: Sequence[str]) -> str:
    """Return the question about a lesson, its data fenced by a mark that the data cannot hold."""
    data = msgspec.json.format(msgspec.json.encode(_shown(lesson, offered)), indent=1).decode()
    return Template(_text("reword")).substitute(
        data=data,
        fence=sha256(data.encode()).hexdigest()[:12],
        goes_with="failure" if lesson.kind == "avoid" else "success",
        longest=LONGEST_FIELD,
    )


def _shown(lesson: Lesson, offered: Sequence[str]) -> dict[str, Any]:
    evidence = lesson.evidence
    within = None if evidence.within_task is None else evidence.within_task.estimate
    return {
        "lesson": {
            "pattern": lesson.pattern,
            "trigger": lesson.trigger,
            "action": lesson.action,
            "instead": lesson.instead,
            "why": lesson.why,
        },
        "counts": {
            "attempts that agree": evidence.n_for,
            "attempts that do not": evidence.n_against,
            "tasks that can tell": evidence.n_informative_tasks,
            "difference in P(failure) within tasks": None if within is None else round(within, 3),
        },
        "conditions": {str(number): name for number, name in enumerate(offered, start=1)},
        "excerpts": _excerpts(lesson.contrast),
    }


def _excerpts(pairs: Sequence[ContrastPair]) -> dict[str, str]:
    if not pairs:
        return {}
    return {
        "failing": _excerpt(pairs[0].failure_text),
        "passing": _excerpt(pairs[0].success_text),
    }


def _excerpt(text: str) -> str:
    """Return the opening of a text, with what may be a key or an address made unreadable.

    Example:
        >>> _excerpt("mail to ann@example.org with token sk-abcdefgh12345678ijkl")
        'mail to [hidden] with token [hidden]'
    """
    hidden = scrub(text).text
    return hidden if len(hidden) <= EXCERPT else f"{hidden[: EXCERPT - 1]}…"


@cache
def _text(name: str) -> str:
    """Return one of the prompts that ship with the package."""
    file = files("twiceshy.memory.contrast") / "prompts" / f"{name}.txt"
    return file.read_text(encoding="utf-8").strip()
