"""What a policy wrote, as one text, and its words."""

from __future__ import annotations

import re
import unicodedata

from twiceshy.attempts.types import Attempt

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
"""Chinese and Japanese characters, which are written without spaces."""
_EDGE, _INNER = rf"[^\W_{_UNSPACED}]", rf"[^\W{_UNSPACED}]"
_RUN = rf"{_EDGE}(?:{_INNER}*{_EDGE})?"
_WORD = re.compile(rf"[{_UNSPACED}]|{_RUN}(?:'{_RUN})*")
_APOSTROPHES = str.maketrans("’‘ʼ＇´", "'''''")

FENCED = re.compile(r"(`{3,}|~{3,}).*?(?:\1|\Z)", re.DOTALL)
"""A block of code; one that is never closed ends with the text."""
_INLINE = re.compile(r"`[^`\n]+`")


def own_text(attempt: Attempt) -> str:
    """Return what the policy itself wrote, reasoning first; the answer when there is no step."""
    own = (s for s in attempt.steps if s.role == "assistant")
    parts = [part for step in own for part in (step.reasoning, step.text) if part]
    return "\n".join(parts) if parts else attempt.answer or ""


def shown_text(attempt: Attempt) -> str:
    """Return what a reader of the answer sees: as `own_text`, without the reasoning."""
    parts = [step.text for step in attempt.steps if step.role == "assistant" and step.text]
    return "\n".join(parts) if parts else attempt.answer or ""


def without_code(text: str) -> str:
    """Return a text without its code, in blocks and between backticks.

    Example:
        >>> without_code("So `possible` it is: ```maybe()``` Done.").split()
        ['So', 'it', 'is:', 'Done.']
    """
    prose = FENCED.sub("\n", text) if "```" in text or "~~~" in text else text
    return _INLINE.sub(" ", prose) if "`" in prose else prose


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case; an apostrophe inside a word belongs to it.

    A Chinese or Japanese character is a word of its own, for want of spaces between words.

    Example:
        >>> plain_words("Wait, that isn’t 42: _peut-être_.")
        ['wait', 'that', "isn't", '42', 'peut', 'être']
        >>> plain_words("答案是4")
        ['答', '案', '是', '4']
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    return _WORD.findall(text.casefold())
