"""What a trace looks like: length, markers by function, forks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts import Attempt
from twiceshy.attempts.lexicons import Category, Lexicon
from twiceshy.attempts.markers import Markers, count_markers
from twiceshy.attempts.texts import own_text
from twiceshy.errors import BadInput

ENTROPIES = "token_entropies"
"""Key of `Attempt.extra` with the entropy at each sampled token, in nats."""
FORK_QUANTILE = 0.8
"""A fork is a position above this quantile of the base's entropies (2506.01939's 80/20 rule)."""


class Trace(NamedTuple):
    """One attempt's features."""

    attempt: Attempt
    length: int
    """In tokens where every trace of the comparison has them, else in words."""
    markers: Markers | None
    """None without a lexicon."""
    entropies: NDArray[np.float64] | None

    def n_of(self, category: Category | None) -> int | None:
        """Return how often a category occurs; None for all markers together."""
        if self.markers is None:
            return None
        return self.markers.total if category is None else self.markers.counts.get(category)

    def forks(self, threshold: float | None) -> int | None:
        """Return the positions whose entropy lies above the threshold."""
        if threshold is None or self.entropies is None:
            return None
        return int((self.entropies > threshold).sum())


def traces_of(
    attempts: Iterable[Attempt], *, lexicon: Lexicon | None, in_tokens: bool
) -> list[Trace]:
    """Return the features of attempts; an empty text has length 0."""
    return [_trace(attempt, lexicon=lexicon, in_tokens=in_tokens) for attempt in attempts]


def have_tokens(*several: Sequence[Attempt]) -> bool:
    """Return whether every attempt has token ids, so that lengths can be told in tokens."""
    attempts = [attempt for each in several for attempt in each]
    return bool(attempts) and all(attempt.token_ids for attempt in attempts)


def fork_threshold(base: Iterable[Attempt], *, quantile: float = FORK_QUANTILE) -> float | None:
    """Return the entropy above which a position is a fork, in nats; None without entropies.

    Take it from the base once and keep it: a threshold of each policy's own would find the same
    share of forks in all of them.

    Example:
        >>> from twiceshy.attempts import Outcome, Verdict
        >>> verdict = Verdict(outcome=Outcome.SUCCESS)
        >>> seen = Attempt(task="t", verdict=verdict, extra={ENTROPIES: [0.0, 1.0, 2.0, 3.0, 4.0]})
        >>> round(fork_threshold([seen]), 4)
        3.2
    """
    found = [values for each in base if (values := entropies_of(each)) is not None]
    return fork_level(found, quantile=quantile)


def fork_level(
    entropies: Sequence[NDArray[np.floating]], *, quantile: float = FORK_QUANTILE
) -> float | None:
    """As `fork_threshold`, from the entropies themselves; None where there is no position."""
    every = np.concatenate(entropies) if entropies else np.zeros(0)
    return float(np.quantile(every, quantile)) if every.size else None


def entropies_of(attempt: Attempt) -> NDArray[np.float64] | None:
    """Return the logged entropies, nats, or None.

    Raises:
        BadInput: If they are not numbers of at least 0.
    """
    given = attempt.extra.get(ENTROPIES)
    if not given:
        return None
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if values.ndim != 1 or not bool((np.isfinite(values) & (values >= 0)).all()):
        raise BadInput(
            f"{ENTROPIES}: numbers of at least 0, in nats",
            got=repr(given)[:60],
            where=f"attempt {attempt.id or attempt.task}",
        )
    return values


def by_task(traces: Iterable[Trace]) -> Mapping[str, list[Trace]]:
    """Return traces by their task, in the order in which each was first seen."""
    found: dict[str, list[Trace]] = {}
    for trace in traces:
        found.setdefault(trace.attempt.task, []).append(trace)
    return found


def _trace(attempt: Attempt, *, lexicon: Lexicon | None, in_tokens: bool) -> Trace:
    text = own_text(attempt)
    markers = None if lexicon is None else count_markers(text, lexicon=lexicon)
    n_words = markers.n_words if markers is not None else len(text.split())
    length = len(attempt.token_ids or ()) if in_tokens else n_words
    return Trace(attempt, length, markers, entropies_of(attempt))
