"""Bootstrap of means over two crossed factors with repeats, as when banks meet test tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput

_CHUNK = 100
"""Draws made at once; bounds the memory."""


class Crossed(NamedTuple):
    """A weighted sum of means with its interval."""

    value: float | None
    """None: undefined."""
    low: float | None
    high: float | None
    p: float | None
    """Two-sided, of the value being 0; never below 2 / (draws + 1)."""
    n_rows: int
    n_columns: int
    """Over all blocks together."""


def crossed_bootstrap(
    blocks: Sequence[ArrayLike],
    *,
    weights: Sequence[float],
    seed: int,
    draws: int = 2000,
    level: float = 0.95,
) -> Crossed:
    """Return Σ weight · mean(block) with a bootstrap interval over rows, columns and repeats.

    A block has one value for each row (a training collection, shared by all blocks), column (a test
    task, its own) and repeat (a seed). A draw takes rows, then columns of each block, then repeats
    of each cell it came to, with replacement; rows are the same in all blocks of a draw.

        p = 2 · min(1 + #{draws ≤ 0}, 1 + #{draws ≥ 0}) / (draws + 1), at most 1

    Source: Owen (2007), the pigeonhole bootstrap, with repeats resampled inside cells as a third
    level. Differs: none, but mind that few rows make it optimistic: with R rows it sees
    (R - 1) / R of their variance.

    Args:
        blocks: Arrays of shape (n_rows, n_columns, n_repeats), the rows the same in all.
        weights: One for each block.
        seed: Seed of the resampling.
        draws: Number of resamples.
        level: Confidence in (0, 1).

    Raises:
        BadInput: Blocks differ in their rows, are not three-dimensional or not finite, or there is
            not one weight for each.

    Example:
        >>> block = np.array([[[0.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 0.0]]])
        >>> crossed_bootstrap([block], weights=[1.0], seed=0).value
        0.75
        >>> crossed_bootstrap([np.zeros((0, 3, 2))], weights=[1.0], seed=0).value is None
        True
    """
    arrays = _checked(blocks, weights=weights)
    n_rows, n_columns = len(arrays[0]), sum(each.shape[1] for each in arrays)
    if any(each.size == 0 for each in arrays):
        return Crossed(None, None, None, None, n_rows, n_columns)
    value = float(sum(w * each.mean() for w, each in zip(weights, arrays, strict=True)))
    if n_rows < 2:
        return Crossed(value, None, None, None, n_rows, n_columns)
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, n_rows, (draws, n_rows))
    sample = np.zeros(draws)
    for weight, block in zip(weights, arrays, strict=True):
        sample += weight * _means(block, rows=rows, rng=rng)
    low, high = np.quantile(sample, [(1 - level) / 2, (1 + level) / 2])
    tail = 1 + min(int((sample <= 0).sum()), int((sample >= 0).sum()))
    return Crossed(
        value, float(low), float(high), min(1.0, 2 * tail / (draws + 1)), n_rows, n_columns
    )


def _means(
    block: NDArray[np.float64], *, rows: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean of a block in each draw, given the rows drawn, shape (draws, n_rows)."""
    n_rows, n_columns, n_repeats = block.shape
    columns = rng.integers(0, n_columns, (len(rows), n_columns))
    means = np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        row = rows[start : start + _CHUNK, :, None, None]
        column = columns[start : start + _CHUNK, None, :, None]
        repeat = rng.integers(0, n_repeats, (len(row), n_rows, n_columns, n_repeats))
        means[start : start + _CHUNK] = block[row, column, repeat].mean(axis=(1, 2, 3))
    return means


def _checked(blocks: Sequence[ArrayLike], *, weights: Sequence[float]) -> list[NDArray[np.float64]]:
    arrays = [np.asarray(each, dtype=float) for each in blocks]
    shapes = [each.shape for each in arrays]
    if not arrays or any(each.ndim != 3 for each in arrays):
        raise BadInput("blocks of shape (rows, columns, repeats)", got=str(shapes), where="blocks")
    if len({shape[0] for shape in shapes}) > 1:
        raise BadInput("the same rows in every block", got=str(shapes), where="blocks")
    if len(weights) != len(arrays):
        raise BadInput(f"{len(arrays)} weights", got=str(len(weights)), where="weights")
    if not all(np.isfinite(each).all() for each in arrays):
        raise BadInput("finite values", got="some are not", where="blocks")
    return arrays
