"""Who is preferred, with style taken out: Bradley-Terry with style columns, and by length alone.

Three ideas:

1. A judgement is a row: +1 in the column of one contestant, −1 in the other's, and the differences
   of their styles beside it. A draw is half a win for each.
2. What style explains goes to the style coefficients; what is left is strength.
3. Everything is symmetric: exchanging the two contestants of a row changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.intervals import cluster_codes
from twiceshy.evidence.stats.ranking import overall_auc, percentile_interval, task_draws

Floats = NDArray[np.float64]

_RIDGE = 1e-3
"""Weight of the squared coefficients: keeps them finite when one side always wins."""
_MAX_STEPS, _TOLERANCE = 50, 1e-8
_FOLDS = 5
_NO_SPREAD = 1e-6
"""Fits that differ by no more all say the same, as when one side always wins: no interval."""


class Coefficient(NamedTuple):
    """A fitted number with its bootstrap interval."""

    value: float
    low: float | None
    """None without at least two tasks, or where all draws agree."""
    high: float | None


class Strengths(NamedTuple):
    """Bradley-Terry strengths in logits, each against the first contestant."""

    strength: tuple[Coefficient, ...]
    """One a contestant; the first is 0 by definition."""
    style: tuple[Coefficient, ...]
    """One a style column: logits for one standard deviation of the difference."""
    n: int

    @property
    def order(self) -> tuple[int, ...]:
        """Contestants from strongest to weakest."""
        return tuple(int(i) for i in np.argsort([-each.value for each in self.strength]))


class WinRate(NamedTuple):
    """Chance that the first contestant is preferred, draws half."""

    raw: float | None
    controlled: Coefficient | None
    """At equal length."""
    length_effect: Coefficient | None
    """Logits for tanh of one standard deviation of the difference in length."""
    n: int


class StyleModel(NamedTuple):
    """How well style differences alone foretell a judge, on judgements left out of the fit."""

    auc: float | None
    low: float | None
    high: float | None
    n: int
    """Judgements that are no draw."""


def style_differences(first: ArrayLike, second: ArrayLike) -> Floats:
    """Return relative differences d_k = (f_a − f_b) / (f_a + f_b), 0 where both are 0.

    Source: Chiang et al., style control on Chatbot Arena (2024-08); there the counts of headers,
    lists and bold have 1 added to the denominator, which 0 for two zeros replaces here.

    Example:
        >>> style_differences([[300.0, 0.0]], [[100.0, 0.0]]).tolist()
        [[0.5, 0.0]]
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    total = a + b
    return np.divide(a - b, total, out=np.zeros_like(total), where=total > 0)


def bradley_terry(
    contestants: ArrayLike,
    score: ArrayLike,
    *,
    style: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Strengths:
    """Return strengths of contestants, with style columns held fixed if there are any.

    logit P(a ≻ b) = β_a − β_b + Σ_k γ_k z_k,  z_k = d_k / sd(d_k)

    Source: style control on Chatbot Arena (LMSYS 2024-08), where logits are scaled to Elo points.
    Differs: z is not centred, so that exchanging a and b changes its sign and nothing else; a small
    ridge instead of none; intervals from resampled tasks.

    Args:
        contestants: Codes (a, b) from 0, shape (n, 2).
        score: 1 where a is preferred, 0 where b is, 0.5 for a draw; shape (n,).
        style: d, shape (n, n_columns).
        clusters: Task of each judgement, shape (n,); None: each its own.
        draws: Bootstrap draws of whole tasks.
        seed: Of the bootstrap.

    Raises:
        BadInput: A contestant against itself, or shapes that do not fit.

    Example:
        >>> found = bradley_terry([[0, 1]] * 4, [1, 1, 1, 0], draws=0)
        >>> round(found.strength[1].value, 2), found.order
        (-1.1, (0, 1))
    """
    pairs, y = np.asarray(contestants, dtype=np.int64), np.asarray(score, dtype=float)
    columns = np.zeros((y.size, 0)) if style is None else np.asarray(style, dtype=float)
    if pairs.shape != (y.size, 2) or columns.shape[:1] != y.shape:
        raise BadInput("pairs of shape (n, 2), a score and a style row for each", got=str(y.shape))
    if (pairs[:, 0] == pairs[:, 1]).any():
        raise BadInput("two different contestants in each judgement", got="one against itself")
    if not y.size:
        return Strengths((), (), 0)
    n_others = int(pairs.max())
    players = np.zeros((y.size, n_others + 1))
    rows = np.arange(y.size)
    players[rows, pairs[:, 0]] = 1.0
    players[rows, pairs[:, 1]] = -1.0
    design = np.concatenate([players[:, 1:], _scaled(columns)], axis=1)
    found = _with_intervals(design, y, clusters=clusters, draws=draws, seed=seed)
    return Strengths((Coefficient(0.0, None, None), *found[:n_others]), found[n_others:], y.size)


def length_controlled(
    score: ArrayLike,
    length_difference: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    draws: int = 200,
    seed: int = 0,
) -> WinRate:
    """Return the win rate of a against b as it would be at equal length.

    logit P(a ≻ b) = θ + φ·tanh(Δ / sd(Δ)),  win rate at Δ = 0: 1 / (1 + e^−θ)

    Source: length-controlled AlpacaEval (2404.04475). Differs: no term for the item's difficulty,
    which one judgement an item cannot tell from θ; the small ridge of `bradley_terry`.

    Args:
        score: 1, 0 or 0.5 from a's side, shape (n,).
        length_difference: Δ = length of a − length of b in any unit, shape (n,).
        clusters: As in `bradley_terry`.
        draws: As in `bradley_terry`.
        seed: As in `bradley_terry`.

    Example:
        >>> longer_wins = length_controlled([1, 0] * 50, [40, -40] * 50, draws=0)
        >>> longer_wins.raw, round(longer_wins.controlled.value, 2)
        (0.5, 0.5)
        >>> length_controlled([], []).raw is None
        True
    """
    y, gap = np.asarray(score, dtype=float), np.asarray(length_difference, dtype=float)
    if y.shape != gap.shape:
        raise BadInput("as many differences as scores", got=f"{y.shape} and {gap.shape}")
    if not y.size:
        return WinRate(None, None, None, 0)
    design = np.stack([np.ones(y.size), np.tanh(_scaled(gap[:, None])[:, 0])], axis=1)
    theta, phi = _with_intervals(design, y, clusters=clusters, draws=draws, seed=seed)
    at_equal = Coefficient(*(None if x is None else float(_sigmoid(x)) for x in theta))  # pyrefly: ignore[bad-argument-type]
    return WinRate(float(y.mean()), at_equal, phi, y.size)


def style_only(
    style: ArrayLike, score: ArrayLike, *, clusters: ArrayLike | None = None, seed: int = 0
) -> StyleModel:
    """Return the AUC of a judge model that sees style differences and nothing else.

    Fitted on four fifths of the tasks, scored on the last, five times. Draws are left out. Each
    judgement counts once from either side, so that always naming the first is worth 0.5.

    Source: the check of LMSYS (2024) on 140,000 human battles, AUC 0.656 from a blog post.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> d = rng.normal(size=(400, 1))
        >>> style_only(d, d[:, 0] > 0).auc
        1.0
    """
    d, y = np.asarray(style, dtype=float), np.asarray(score, dtype=float)
    decided = y != 0.5
    d, y = d[decided], y[decided]
    task = cluster_codes(None if clusters is None else np.asarray(clusters)[decided], y.size)
    task = np.unique(task, return_inverse=True)[1]
    n_tasks = int(task.max()) + 1 if y.size else 0
    if n_tasks < 2 * _FOLDS:
        return StyleModel(None, None, None, y.size)
    fold = np.random.default_rng([seed, n_tasks]).permutation(n_tasks)[task] % _FOLDS
    guess = np.zeros(y.size)
    for k in range(_FOLDS):
        learn = fold != k
        scale = _spread(d[learn])
        beta = _fit(d[learn] / scale, y[learn], weights=np.ones(int(learn.sum())))
        guess[~learn] = d[~learn] / scale @ beta
    both, win = np.concatenate([guess, -guess]), np.concatenate([y > 0.5, y < 0.5])
    draws = [
        overall_auc(both[rows], failed=win[rows]) for rows in _resampled(task, n_tasks, seed=seed)
    ]
    low, high = percentile_interval(np.array([x for x in draws if x is not None]))
    return StyleModel(overall_auc(both, failed=win), low, high, y.size)


def _resampled(task: NDArray[np.int64], n_tasks: int, *, seed: int) -> list[NDArray[np.int64]]:
    """Return rows (each judgement from both sides) of bootstrap draws of tasks."""
    counts = task_draws(n_tasks, n_draws=100, seed=seed).astype(np.int64)[:, np.tile(task, 2)]
    return [np.repeat(np.arange(row.size), row) for row in counts]


def _with_intervals(
    design: Floats, y: Floats, *, clusters: ArrayLike | None, draws: int, seed: int
) -> tuple[Coefficient, ...]:
    task = cluster_codes(clusters, y.size)
    beta = _fit(design, y, weights=np.ones(y.size))
    n_tasks = int(task.max()) + 1
    if draws == 0 or n_tasks < 2:
        return tuple(Coefficient(float(b), None, None) for b in beta)
    counts = task_draws(n_tasks, n_draws=draws, seed=seed)
    fits = np.array([_fit(design, y, weights=row[task], start=beta) for row in counts])
    fits[:, np.ptp(fits, axis=0) <= _NO_SPREAD] = np.nan
    return tuple(
        Coefficient(float(b), *percentile_interval(column))
        for b, column in zip(beta, fits.T, strict=True)
    )


def _fit(design: Floats, y: Floats, *, weights: Floats, start: Floats | None = None) -> Floats:
    """Return logistic coefficients by Newton's method; y may be a share."""
    beta = np.zeros(design.shape[1]) if start is None else start.copy()
    for _ in range(_MAX_STEPS):
        p = _sigmoid(design @ beta)
        gradient = design.T @ (weights * (y - p)) - _RIDGE * beta
        curvature = (design * (weights * p * (1 - p))[:, None]).T @ design
        step = np.linalg.solve(curvature + _RIDGE * np.eye(beta.size), gradient)
        beta += np.clip(step, -2.0, 2.0)
        if np.abs(step).max(initial=0.0) < _TOLERANCE:
            break
    return beta


def _sigmoid(x: ArrayLike) -> Floats:
    from scipy.special import expit

    return expit(np.asarray(x, dtype=float))


def _scaled(columns: Floats) -> Floats:
    return columns / _spread(columns)


def _spread(columns: Floats) -> Floats:
    """Return the root mean square of each column, 1 where it is all zero."""
    spread = np.sqrt((columns**2).mean(axis=0)) if len(columns) else np.ones(columns.shape[1])
    return np.where(spread > 0, spread, 1.0)
