"""What the audits look at in an attempt: its answer, its own words, its length, its repeats.

Everything is None or empty where the log does not have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from twiceshy.attempts.texts import own_text
from twiceshy.attempts.types import Attempt

_WORD = re.compile(r"\w+|[^\w\s]")


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
