"""What a policy wrote, as one text, and its words."""

from __future__ import annotations

import re

from twiceshy.attempts.types import Attempt

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def own_text(attempt: Attempt) -> str:
    """Return what the policy itself wrote, reasoning first; the answer when there is no step."""
    own = (s for s in attempt.steps if s.role == "assistant")
    parts = [part for step in own for part in (step.reasoning, step.text) if part]
    return "\n".join(parts) if parts else attempt.answer or ""


def shown_text(attempt: Attempt) -> str:
    """Return what a reader of the answer sees: as `own_text`, without the reasoning."""
    parts = [step.text for step in attempt.steps if step.role == "assistant" and step.text]
    return "\n".join(parts) if parts else attempt.answer or ""


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case; an apostrophe inside a word belongs to it.

    Example:
        >>> plain_words("Wait, that isn’t 42: peut-être.")
        ['wait', 'that', "isn't", '42', 'peut', 'être']
    """
    return _WORD.findall(text.casefold().replace("’", "'"))
