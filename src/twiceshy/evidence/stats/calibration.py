"""Does a confidence mean what it says: calibration, its decomposition, and what it can sort.

All functions take confidences q in [0, 1] and outcomes c (True: right), both of shape (n,). With
nothing to judge every number is None and n is 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.ranking import (
    overall_auc,
    percentile_interval,
    task_draws,
    weighted_auc,
)


class CalibrationBin(NamedTuple):
    """Answers of similar confidence."""

    confidence: float
    """Mean."""
    accuracy: float
    n: int


class Calibration(NamedTuple):
    """Expected calibration error with what it would be by chance."""

    ece: float | None
    """Σ_b (n_b / n)·|accuracy_b − confidence_b|."""
    by_chance: float | None
    """Mean ECE of perfectly calibrated answers with the same confidences."""
    by_chance_high: float | None
    """Its 95 % point: an ECE below it shows no miscalibration."""
    bins: tuple[CalibrationBin, ...]
    n: int


class Brier(NamedTuple):
    """The Brier score and its parts: score = reliability − resolution + uncertainty + within."""

    score: float | None
    """mean (q − c)²; lower is better."""
    reliability: float | None
    """Σ n_b/n · (confidence_b − accuracy_b)²; lower is better."""
    resolution: float | None
    """Σ n_b/n · (accuracy_b − accuracy)²; higher is better."""
    uncertainty: float | None
    """accuracy · (1 − accuracy)."""
    within: float | None
    """What is left because confidences differ inside a bin; 0 when they do not."""
    n: int


class Discrimination(NamedTuple):
    """How well confidence tells right from wrong."""

    auroc: float | None
    """P(a right answer has more confidence than a wrong one), ties half; None for one class."""
    low: float | None
    """No interval where all draws agree, as when every right answer has more."""
    high: float | None
    n_right: int
    n_wrong: int


class RiskCoverage(NamedTuple):
    """Error among the most confident answers, as more of them are let through."""

    coverage: NDArray[np.float64]
    """1/n, 2/n, …, 1."""
    risk: NDArray[np.float64]
    """Share of wrong answers among the most confident; answers of equal confidence enter at once,
    in expectation over their order."""
    area: float | None
    """Mean risk (AURC); lower is better, and the error rate when confidence says nothing."""
    best_area: float | None
    """AURC of a confidence that puts every right answer first."""
    n: int

    def accuracy_at(self, coverage: float) -> float | None:
        """Return the accuracy among the most confident share of answers.

        Raises:
            BadInput: When coverage is not in (0, 1].
        """
        if not 0 < coverage <= 1:
            raise BadInput("a coverage in (0, 1]", got=repr(coverage), where="coverage")
        if not self.n:
            return None
        return 1 - float(self.risk[max(1, round(coverage * self.n)) - 1])


def equal_mass_bins(confidence: ArrayLike, *, n_bins: int = 15) -> NDArray[np.int64]:
    """Return a bin for each confidence, from 0; bins hold equally many, but ties stay together.

    Example:
        >>> equal_mass_bins([0.9, 0.1, 0.8, 0.2], n_bins=2).tolist()
        [1, 0, 1, 0]
        >>> equal_mass_bins([0.5, 0.5, 0.5, 0.9], n_bins=2).tolist()
        [0, 0, 0, 1]
    """
    q = np.asarray(confidence, dtype=float)
    if not q.size:
        return np.zeros(0, dtype=np.int64)
    _, inverse, counts = np.unique(q, return_inverse=True, return_counts=True)
    middles = (np.cumsum(counts) - counts / 2) / q.size
    raw = np.minimum((middles * n_bins).astype(np.int64), n_bins - 1)
    return np.unique(raw, return_inverse=True)[1].astype(np.int64)[inverse]


def calibration(
    confidence: ArrayLike, right: ArrayLike, *, n_bins: int = 15, draws: int = 200, seed: int = 0
) -> Calibration:
    """Return the expected calibration error over bins of equal mass.

    Source: Naeini et al. (2015), Guo et al. (2017). Differs: equal mass instead of equal width;
    since the estimate is biased upward for small n, what perfect calibration would give with these
    confidences stands beside it (c_i ~ Bernoulli(q_i), `draws` times).

    Args:
        confidence: q, shape (n,).
        right: c, shape (n,).
        n_bins: Bins at most; equal confidences share one.
        draws: Draws of perfectly calibrated outcomes.
        seed: Of those draws.

    Example:
        >>> found = calibration([0.9] * 10, [True] * 5 + [False] * 5)
        >>> round(found.ece, 3), found.n, len(found.bins)
        (0.4, 10, 1)
    """
    q, c = checked(confidence, right)
    if not q.size:
        return Calibration(None, None, None, (), 0)
    code = equal_mass_bins(q, n_bins=n_bins)
    size = np.bincount(code)
    mean_q = np.bincount(code, weights=q) / size
    mean_c = np.bincount(code, weights=c) / size
    rng = np.random.default_rng([seed, q.size])
    chance = np.array(
        [_ece(code, size, q - (rng.random(q.size) < q)) for _ in range(draws)], dtype=float
    )
    return Calibration(
        ece=_ece(code, size, q - c),
        by_chance=float(chance.mean()) if draws else None,
        by_chance_high=float(np.quantile(chance, 0.95)) if draws else None,
        bins=tuple(
            CalibrationBin(float(a), float(b), int(n))
            for a, b, n in zip(mean_q, mean_c, size, strict=True)
        ),
        n=q.size,
    )


def _ece(code: NDArray[np.int64], size: NDArray[np.int64], gap: NDArray[np.float64]) -> float:
    return float(np.abs(np.bincount(code, weights=gap, minlength=size.size)).sum() / code.size)


def brier(confidence: ArrayLike, right: ArrayLike, *, n_bins: int = 15) -> Brier:
    """Return the Brier score with its decomposition.

    Source: Murphy (1973); the term for the spread within bins is that of Stephenson, Coelho and
    Jolliffe (2008), so that the parts add up to the score exactly (both from memory).

    Example:
        >>> found = brier([0.8, 0.8, 0.2, 0.2], [True, False, False, False])
        >>> [round(x, 3) for x in found[:5]]
        [0.19, 0.065, 0.062, 0.188, 0.0]
    """
    q, c = checked(confidence, right)
    if not q.size:
        return Brier(None, None, None, None, None, 0)
    code = equal_mass_bins(q, n_bins=n_bins)
    size = np.bincount(code)
    mean_q, mean_c = np.bincount(code, weights=q) / size, np.bincount(code, weights=c) / size
    share, base = size / q.size, float(c.mean())
    score = float(np.mean((q - c) ** 2))
    reliability = float(share @ (mean_q - mean_c) ** 2)
    resolution = float(share @ (mean_c - base) ** 2)
    uncertainty = base * (1 - base)
    within = score - (reliability - resolution + uncertainty)
    return Brier(score, reliability, resolution, uncertainty, within, q.size)


def discrimination(
    confidence: ArrayLike,
    right: ArrayLike,
    *,
    clusters: NDArray[np.int64] | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Discrimination:
    """Return the AUROC of confidence for being right, with an interval over tasks.

    Args:
        confidence: q, shape (n,).
        right: c, shape (n,).
        clusters: Task of each answer, whole numbers from 0; None: each its own.
        draws: Bootstrap draws of whole tasks.
        seed: Of the bootstrap.

    Example:
        >>> discrimination([0.9, 0.8, 0.3], [True, False, False]).auroc
        1.0
        >>> discrimination([0.9, 0.8], [True, True]).auroc is None
        True
    """
    q, c = checked(confidence, right)
    is_right = c > 0
    n_right, n_wrong = int(is_right.sum()), int((~is_right).sum())
    area = overall_auc(q, failed=is_right)  # which side is called "failed" is only a name there
    if area is None:
        return Discrimination(None, None, None, n_right, n_wrong)
    task = np.arange(q.size) if clusters is None else clusters
    weights = task_draws(int(task.max()) + 1, n_draws=draws, seed=seed)[:, task]
    pairs = weighted_auc(q, failed=is_right, weights=weights)
    with np.errstate(invalid="ignore"):
        low, high = percentile_interval(pairs.concordant / pairs.total)
    if low == high:
        low = high = None
    return Discrimination(area, low, high, n_right, n_wrong)


def risk_coverage(confidence: ArrayLike, right: ArrayLike) -> RiskCoverage:
    """Return the risk at every coverage, most confident first, and the area under it.

    Source: El-Yaniv and Wiener (2010), Geifman and El-Yaniv (2017). Differs: ties are taken in
    expectation, so that the order of the input does not matter.

    Example:
        >>> found = risk_coverage([0.9, 0.6, 0.1, 0.1], [True, True, False, True])
        >>> found.risk.round(3).tolist(), found.accuracy_at(0.5)
        ([0.0, 0.0, 0.167, 0.25], 1.0)
    """
    q, c = checked(confidence, right)
    if not q.size:
        return RiskCoverage(np.zeros(0), np.zeros(0), None, None, 0)
    _, level, size = np.unique(-q, return_inverse=True, return_counts=True)
    wrong_by_level = np.bincount(level, weights=1 - c) / size
    rank = np.arange(1, q.size + 1)
    risk = np.cumsum(np.repeat(wrong_by_level, size)) / rank
    ideal = np.cumsum(np.sort(1 - c)) / rank
    return RiskCoverage(rank / q.size, risk, float(risk.mean()), float(ideal.mean()), q.size)


def checked(
    confidence: ArrayLike, right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float arrays of one length.

    Raises:
        BadInput: Other shapes, or a confidence outside [0, 1].
    """
    q, c = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    if q.ndim != 1 or q.shape != c.shape:
        raise BadInput("as many confidences as outcomes", got=f"{q.shape} and {c.shape}")
    if q.size and not ((q >= 0) & (q <= 1)).all():
        raise BadInput(
            "confidences in [0, 1]",
            got=f"{np.nanmin(q):g} to {np.nanmax(q):g}",
            where="confidence",
            fix="Divide percentages by 100, and leave answers without confidence out.",
        )
    return q, c
