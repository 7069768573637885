"""Multiple testing: adjusted p-values that control false discoveries or any false claim."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput

FdrMethod = Literal["bh", "by"]


def q_values(p: ArrayLike, *, method: FdrMethod = "bh") -> NDArray[np.float64]:
    """Return for each p-value the smallest false discovery rate at which it is a discovery.

    q_(i) = min over j ≥ i of min(1, p_(j) · m · h / j),  h = 1 for "bh", Σ_{j≤m} 1/j for "by"

    Source: Benjamini and Hochberg (1995), valid for independent or positively dependent tests;
    Benjamini and Yekutieli (2001), theorem 1.3, valid for any dependence.

    Args:
        p: p-values in [0, 1], shape (n_tests,). NaN marks a test that could not be done: it does
            not count towards m and its q stays NaN.
        method: "bh" or "by".

    Returns:
        q-values, shape (n_tests,), in the order given.

    Raises:
        BadInput: If a p-value is outside [0, 1].

    Example:
        >>> q_values([0.01, 0.04, 0.03, 0.5]).round(4).tolist()
        [0.04, 0.0533, 0.0533, 0.5]
    """
    given = np.asarray(p, dtype=float)
    tested = ~np.isnan(given)
    known = given[tested]
    if given.ndim != 1 or ((known < 0) | (known > 1)).any():
        raise BadInput("a flat list of p-values in [0, 1]", where="p")
    rank = np.arange(1, known.size + 1)
    harmonic = float((1 / rank).sum()) if method == "by" else 1.0
    order = np.argsort(known, kind="stable")
    scaled = known[order] * (known.size * harmonic) / rank
    found = np.empty(known.size)
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    result = np.full(given.shape, np.nan)
    result[tested] = np.maximum(found, known)  # rounding must not put q below p
    return result


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p-values adjusted so that claiming all below α errs at all with probability ≤ α.

    adjusted_(i) = max over j ≤ i of min(1, (m − j + 1) · p_(j))

    Source: Holm (1979); valid for any dependence between the tests.

    Args:
        p: p-values in [0, 1], shape (n_tests,). NaN marks a test that could not be done: it does
            not count towards m and stays NaN.

    Returns:
        Adjusted p-values, shape (n_tests,), in the order given.

    Raises:
        BadInput: If a p-value is outside [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03, float("nan")]).round(4).tolist()
        [0.03, 0.06, 0.06, nan]
    """
    given = np.asarray(p, dtype=float)
    tested = ~np.isnan(given)
    known = given[tested]
    if given.ndim != 1 or ((known < 0) | (known > 1)).any():
        raise BadInput("a flat list of p-values in [0, 1]", where="p")
    order = np.argsort(known, kind="stable")
    scaled = known[order] * np.arange(known.size, 0, -1)
    found = np.empty(known.size)
    found[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    result = np.full(given.shape, np.nan)
    result[tested] = found
    return result
