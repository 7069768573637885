"""Answers that came and could not be read: unscored, so neither right nor wrong.

They have no score and leave every pair. A block could profit from that by making just those answers
unreadable that would be wrong, so whoever leaves them out compares how many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats import sign_test

ALPHA = 0.05
"""Error rate of the test for more unread answers."""


class Sheet(NamedTuple):
    """How answers were read: nothing of a question is in it."""

    scores: NDArray[np.float64]
    """Shape (items,) or (items, trials); NaN where there is no score."""
    unread: NDArray[np.bool_]
    """Same shape: an answer came and could not be read."""

    @property
    def came(self) -> NDArray[np.bool_]:
        """Where an answer came, read or not."""
        return self.unread | ~np.isnan(self.scores)

    @property
    def strict(self) -> NDArray[np.float64]:
        """The scores with an unread answer as wrong, which is what a program that reads it sees."""
        return np.where(self.unread, 0.0, self.scores)

    def at(self, items: NDArray[np.bool_]) -> Sheet:
        """Return some of the items."""
        return Sheet(self.scores[items], self.unread[items])

    @classmethod
    def joined(cls, sheets: Iterable[Sheet]) -> Sheet:
        """Return the items of several sheets as one."""
        scores, unread = zip(*sheets, strict=True)
        return cls(np.concatenate(scores), np.concatenate(unread))


class Unread(NamedTuple):
    """Unread answers in two arms, item by item."""

    more: int
    """Items of which more answers cannot be read in the first arm."""
    fewer: int
    n: int
    """Items with an answer in both arms."""
    p: float
    """One-sided exact sign test that the first has more, with one answer an item McNemar's; 1 where
    nothing differs."""

    @property
    def clearly_more(self) -> bool:
        """Whether the first arm has more of them beyond chance."""
        return self.p <= ALPHA

    @property
    def told(self) -> str:
        """The numbers in words."""
        return f"unread +{self.more} −{self.fewer} of {self.n}, p = {self.p:.2g}"

    @property
    def aside(self) -> str:
        """The same in brackets behind other numbers; nothing where the arms do not differ."""
        return f" ({self.told})" if self.more or self.fewer else ""


def compare_unread(first: Sheet, second: Sheet) -> Unread:
    """Return whether the first arm has more answers that cannot be read than the second.

    Example:
        >>> read, not_read = Sheet(np.ones(6), np.zeros(6, bool)), np.arange(6) < 5
        >>> compare_unread(Sheet(np.where(not_read, np.nan, 1.0), not_read), read)
        Unread(more=5, fewer=0, n=6, p=0.03125)
    """
    one, two = _shares(first), _shares(second)
    d = one - two
    d = d[~np.isnan(d)]
    p = sign_test(d, alternative="greater").p
    return Unread(int((d > 0).sum()), int((d < 0).sum()), len(d), 1.0 if p is None else p)


def _shares(sheet: Sheet) -> NDArray[np.float64]:
    """Return the share of unread answers of each item, shape (items,); NaN where none came."""
    if sheet.unread.ndim == 1:
        sheet = Sheet(sheet.scores[:, None], sheet.unread[:, None])
    unread, came = sheet.unread.sum(axis=1), sheet.came.sum(axis=1)
    return np.divide(unread, came, out=np.full(len(came), np.nan), where=came > 0)
