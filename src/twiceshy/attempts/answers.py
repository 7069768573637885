"""The final answer of an attempt, in a form in which equal answers are equal strings."""

from __future__ import annotations

import re

from twiceshy.attempts.types import Attempt

_MARKED = re.compile(
    r"(?:^|\n)\s*(?:\#{4}|A:|(?:the\s+)?(?:final\s+)?answer\s*(?:is|:))\s*([^\n]+)", re.IGNORECASE
)
_INLINE = re.compile(r"\b(?:final\s+)?answer\s+is:?\s*([^\n]+)", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{")
_NUMBER = re.compile(r"[$€£]?\s*(-?)[$€£]?\s*(\d[\d,]*)(\.\d+)?\s*%?")


def final_answer(attempt: Attempt) -> str | None:
    """Return the normalised final answer, or None when the log marks none.

    Looked for in the recorded answer, else in the last message of the policy: the last LaTeX box,
    else what follows the last "####", "A:" or "answer is". A recorded answer without such a mark is
    the answer as a whole; a closing message without one is only talk.
    """
    if attempt.answer:
        return normalised(marked_answer(attempt.answer) or attempt.answer)
    last = next((s.text for s in reversed(attempt.steps) if s.role == "assistant"), "")
    marked = marked_answer(last)
    return normalised(marked) if marked else None


def marked_answer(text: str) -> str | None:
    r"""Return the last answer that the text marks as one, as written.

    Example:
        >>> marked_answer(r"so \boxed{\frac{1}{2}}")
        '\\frac{1}{2}'
        >>> marked_answer("3 + 4 gives 7. The answer is 7"), marked_answer("7")
        ('7', None)
    """
    boxes = boxed_answers(text)
    if boxes:
        return boxes[-1]
    marks = _MARKED.findall(text) or _INLINE.findall(text)
    return marks[-1] if marks else None


def boxed_answers(text: str) -> tuple[str, ...]:
    r"""Return the contents of every \boxed{…}, braces inside kept.

    Example:
        >>> boxed_answers(r"\boxed{1} or \boxed{x_{2}}")
        ('1', 'x_{2}')
    """
    return tuple(_until_closed(text, match.end()) for match in _BOXED.finditer(text))


def normalised(answer: str) -> str:
    """Return an answer in a form in which equal answers are equal strings.

    Case and whitespace are evened out, a final full stop is dropped, and a lone number loses its
    currency sign, thousands separators and empty decimals.

    Example:
        >>> [normalised(text) for text in (" $1,250.00", "New  York.", "-3.50")]
        ['1250', 'new york', '-3.5']
    """
    text = " ".join(answer.lower().split()).removesuffix(".")
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    sign, whole, decimals = match.group(1), match.group(2).replace(",", ""), match.group(3) or ""
    return sign + whole + decimals.rstrip("0").removesuffix(".")


def _until_closed(text: str, start: int) -> str:
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start:index]
    return text[start:]
