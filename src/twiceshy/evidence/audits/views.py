"""What the audits look at in an attempt: its answer, its own words, its length, its repeats.

Everything is None or empty where the log does not have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from twiceshy.attempts.types import Attempt
from twiceshy.frontier.facts import normalised

_MARKED = re.compile(
    r"(?:^|\n)\s*(?:\#{4}|A:|(?:the\s+)?(?:final\s+)?answer\s*(?:is|:))\s*([^\n]+)", re.IGNORECASE
)
_INLINE = re.compile(r"\b(?:final\s+)?answer\s+is:?\s*([^\n]+)", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{")
_WORD = re.compile(r"\w+|[^\w\s]")


def own_text(attempt: Attempt) -> str:
    """Return what the policy itself wrote, reasoning first; the answer when there is no step."""
    own = (s for s in attempt.steps if s.role == "assistant")
    parts = [part for step in own for part in (step.reasoning, step.text) if part]
    return "\n".join(parts) if parts else attempt.answer or ""


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


def words(text: str) -> list[str]:
    """Return words and punctuation marks, in lower case."""
    return _WORD.findall(text.casefold())


def ngrams(tokens: Sequence[str], *, size: int) -> Iterator[tuple[str, ...]]:
    """Yield the runs of `size` tokens."""
    return (tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1))


def repeated_share(tokens: Sequence[str], *, size: int = 4) -> float | None:
    """Return 1 − distinct / all n-grams; None when the text is shorter than one n-gram.

    Example:
        >>> repeated_share("a b c d a b c d".split())
        0.2
    """
    runs = list(ngrams(tokens, size=size))
    return (len(runs) - len(set(runs))) / len(runs) if runs else None


def length_of(attempt: Attempt, *, in_tokens: bool) -> int:
    """Return the length of the policy's own output, in tokens or in characters."""
    return len(attempt.token_ids or ()) if in_tokens else len(own_text(attempt))


def median(values: Sequence[float]) -> float | None:
    """Return the median, or None of nothing.

    Example:
        >>> median([3, 1, 2]), median([])
        (2.0, None)
    """
    import statistics

    return float(statistics.median(values)) if values else None


def _until_closed(text: str, start: int) -> str:
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start:index]
    return text[start:]
