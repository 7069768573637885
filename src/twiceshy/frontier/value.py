"""What a failure is worth: most where a success is in reach, less where it was seen before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from twiceshy.errors import BadInput
from twiceshy.frontier.rates import FloatArray


def failure_value(alpha: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Return `E[p(1−p)²] = α·β·(β+1) / ((α+β)(α+β+1)(α+β+2))` for p ~ Beta(α, β).

    Largest for a solve rate near 1/3, small near 0 and 1.

    Source: the utility `p(1−p)²` of Knapsack RL (2509.25849) and VADE (2511.18902).
    Differs: the mean under the posterior in place of a plug-in or a Thompson draw.

    Args:
        alpha: Success pseudo-counts, shape (n,), positive.
        beta: Failure pseudo-counts, shape (n,), positive.

    Example:
        >>> failure_value([1.0], [1.0]).round(4).tolist()
        [0.0833]
    """
    a, b = np.asarray(alpha, float), np.asarray(beta, float)
    if not bool(np.all(a > 0) and np.all(b > 0)):
        raise BadInput("positive pseudo-counts", got="0 or less", where="alpha, beta")
    total = a + b
    return a * b * (b + 1) / (total * (total + 1) * (total + 2))


def verdict_trust(*, reliability: float | None, truncated: bool | None) -> float:
    """Return the weight of a failure's verdict, in [0, 1].

    A cut-off attempt weighs 0: it was not seen to its end (DAPO, 2503.14476, masks it). Where the
    log gives no reliability the verdict is taken at its word (1).

    Example:
        >>> verdict_trust(reliability=0.9, truncated=False), verdict_trust(
        ...     reliability=None, truncated=True
        ... )
        (0.9, 0.0)
    """
    if truncated:
        return 0.0
    return 1.0 if reliability is None else reliability


def value_of_failures(
    base: ArrayLike, trust: ArrayLike, *, groups: Sequence[int], modes: Sequence[str | None]
) -> FloatArray:
    """Return each failure's value: the group's worth × trust, shared among like failures.

    One representative of a wrong mode is enough, so k failures of one group that came down to the
    same thing get 1/k each. A failure whose mode is unknown (None) is not shared.

    Args:
        base: `failure_value` of each failure's group, shape (n_failures,).
        trust: `verdict_trust` of each, shape (n_failures,).
        groups: Each failure's group.
        modes: What each came down to; see `facts.mode_of`.

    Example:
        >>> worth = value_of_failures([0.12] * 3, [1] * 3, groups=[0] * 3, modes=["7", "7", "9"])
        >>> worth.tolist()
        [0.06, 0.06, 0.12]
    """
    keys = list(zip(groups, modes, strict=True))
    counts = Counter(key for key in keys if key[1] is not None)
    copies = np.array([counts.get(key, 1) for key in keys], dtype=float)
    return np.asarray(base, float) * np.asarray(trust, float) / copies
