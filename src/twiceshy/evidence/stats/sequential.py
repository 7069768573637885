"""A paired test that may be looked at after every task and stopped at any time.

The contract: differences arrive one by one, each in [-1, 1] (after − before on one task), and under
the null hypothesis the mean of each, given all earlier ones, is at most 0. Then the e-value is a
fair bet's capital, and the chance that it *ever* reaches 1/alpha is at most alpha (Ville's
inequality), however the stopping was decided. What breaks it: choosing the next task by its
outcome, leaving out tasks after seeing them, or feeding the same pair twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.paired import Alternative

BETS = np.arange(1, 20) / 20
"""Shares of the capital staked, 0.05 to 0.95: below 1, so no loss is ever total."""


class Betting(NamedTuple):
    """Where a betting test stands after some differences."""

    e_value: float
    """Evidence now: capital from a stake of 1. Large speaks against the null."""
    p_value: float
    """1 / the largest e-value so far, at most 1; valid at any time."""
    n: int
    decided_at: int | None
    """Number of differences after which the e-value first reached 1/alpha; None: not yet."""


class BettingTest:
    """An anytime-valid test of "the second arm is no better on average", fed pair by pair.

    e_n = mean over bets λ of Π_{i ≤ n} (1 + λ·d_i),  λ = 0.05, 0.10, …, 0.95

    Source: Waudby-Smith and Ramdas (2024), the capital process with a fixed mixture of bets
    (diversified Kelly betting). Differs: differences in [-1, 1] with null mean 0 instead of a mean
    in [0, 1]; "two-sided" is the average of both one-sided capitals, which is again a fair bet.

    Args:
        alpha: Error rate of the decision rule e ≥ 1/alpha.
        alternative: "greater" (the differences are positive), "less" or "two-sided".

    Example:
        >>> test = BettingTest(alpha=0.05)
        >>> [test.add(1.0).decided_at for _ in range(8)]
        [None, None, None, None, None, None, 7, 7]
    """

    def __init__(self, *, alpha: float = 0.05, alternative: Alternative = "greater") -> None:
        if not 0 < alpha < 1:
            raise BadInput("an error rate inside (0, 1)", got=repr(alpha), where="alpha")
        self._alpha = alpha
        signs = {"greater": (1.0,), "less": (-1.0,), "two-sided": (1.0, -1.0)}[alternative]
        self._stakes = np.concatenate([sign * BETS for sign in signs])
        self._log_capital = np.zeros(len(self._stakes))
        self._largest = 0.0
        self._n = 0
        self._decided_at: int | None = None

    def add(self, difference: float) -> Betting:
        """Bet on one more difference and return where the test stands.

        Raises:
            BadInput: If the difference is outside [-1, 1] or NaN; the test is left as it was.
        """
        if not -1 <= difference <= 1:
            raise BadInput("a difference in [-1, 1]", got=repr(difference), where="difference")
        self._log_capital += np.log1p(self._stakes * difference)
        self._n += 1
        self._largest = max(self._largest, self._log_e())
        if self._decided_at is None and self._largest >= -math.log(self._alpha):
            self._decided_at = self._n
        return self.state

    @property
    def state(self) -> Betting:
        """Where the test stands now."""
        e_value = math.exp(min(self._log_e(), 700.0))  # e^700 is near the largest float
        return Betting(e_value, math.exp(-self._largest), self._n, self._decided_at)

    def _log_e(self) -> float:
        top = float(self._log_capital.max())
        return top + math.log(float(np.exp(self._log_capital - top).mean()))


def betting_test(
    differences: Iterable[float], *, alpha: float = 0.05, alternative: Alternative = "greater"
) -> Betting:
    """Return the state of a `BettingTest` after all differences, in the order given.

    Example:
        >>> betting_test([]).e_value, betting_test([]).p_value
        (1.0, 1.0)
    """
    test = BettingTest(alpha=alpha, alternative=alternative)
    for difference in differences:
        test.add(difference)
    return test.state
