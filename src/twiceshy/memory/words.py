"""Words of a text: the names in it, what it means, what it copies, and shapes a lesson never holds.

Rules without a language model. They read lessons and logs alike, so they never raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LINK = re.compile(
    r"\w+://|\bwww\.|\S@\w|\b[\w-]+\.(?:com|org|net|io|dev|ai|app|edu|gov|ru|cn)\b", re.I
)
"""A URL, a web or mail address."""
COMMAND = re.compile(
    r"[^\w\s.,;:!?'\"’‘“”()/%$€£*+=×÷°–—-]|\$\(|\s--?[a-z]"
    r"|\b(?:sudo|curl|wget|chmod|chown|bash|powershell|eval|exec)\b"
    r"|\b(?:pip|npm|apt|git|docker|rm|drop table)\s+\S",
    re.I,
)
"""A shell command, markup, or signs that prose does without."""
ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\w*\b[^.]{0,40}"
    r"\b(?:instruction|rule|prompt|polic|previous|prior|above|safety)"
    r"|\bsystem prompt|\byou are now\b|\bpretend\b|\bpasswords?\b|\bapi[ _-]?keys?\b"
    r"|\bcredentials?\b|\bas an? (?:ai|assistant)\b",
    re.I,
)
"""An order beyond what a lesson may ask."""


_QUOTED = re.compile(r"(?<!\w)['‘\"“]([^'’\"”\n]{1,80})['’\"”](?!\w)")
_NAME = re.compile(r"\b\w*[a-z][A-Z]\w*\b|\b\w+_\w+\b|\b[A-Z]{2,}\w*\b|[0-9]+(?:[.,][0-9]+)*%?")
NEGATION = re.compile(
    r"\b(?:not|no|never|without|none|nor|cannot|avoid\w*|skip\w*|omit\w*|lack\w*|unless)\b|n['’]t\b",
    re.I,
)


def names_in(text: str) -> list[str]:
    """Return quoted words, identifiers, abbreviations and numbers.

    Example:
        >>> names_in("call get_user when the note says 'left', 2 times")
        ['left', 'get_user', '2']
    """
    return [*_QUOTED.findall(text), *_NAME.findall(text)]


def occurs(part: str, text: str) -> bool:
    """Whether the part occurs in the text as it stands, not inside a longer word or number."""
    part = part.strip()
    return re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text, re.I) is not None or (
        not re.search(r"\w", part) and part in text
    )


def words_in(text: str) -> list[str]:
    """Return the words of a text in small letters."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)?", text.lower())


def stems(text: str) -> set[str]:
    """Return the openings of words that carry meaning; enough to match subtract and subtracting."""
    return {word[:5] for word in words_in(text) if len(word) > 3} - _EMPTY_STEMS


_EMPTY_STEMS = {"that", "this", "with", "when", "from", "into", "then", "than", "them", "they"} | {
    each[:5] for each in ("never", "without", "every", "there", "their", "before", "after", "where")
}


def runs_in(text: str, *, length: int) -> Iterator[tuple[str, ...]]:
    """Yield every run of `length` words.

    Example:
        >>> list(runs_in("a b c", length=2))
        [('a', 'b'), ('b', 'c')]
    """
    words = words_in(text)
    return zip(*(words[start:] for start in range(length)), strict=False)


def unfenced(text: str) -> str:
    r"""Return an answer without a fence of the kind "```json" around all of it.

    Example:
        >>> unfenced("```json\n{}\n```")
        '{}'
    """
    fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*?)\n?```\s*", text, re.DOTALL)
    return fenced[1] if fenced else text
