from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.calibration import (
    brier,
    calibration,
    discrimination,
    equal_mass_bins,
    risk_coverage,
)

pairs = st.lists(
    st.tuples(st.floats(0, 1, allow_subnormal=False), st.booleans()), min_size=1, max_size=40
)


def test_ece_by_hand() -> None:
    q = [0.2, 0.2, 0.9, 0.9]
    found = calibration(q, [True, False, True, True], n_bins=2)
    assert found.ece == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)
    assert [(b.confidence, b.accuracy, b.n) for b in found.bins] == [
        (pytest.approx(0.2), 0.5, 2),
        (pytest.approx(0.9), 1.0, 2),
    ]


def test_ece_of_perfect_calibration_is_within_chance() -> None:
    rng = np.random.default_rng(0)
    outside = 0
    for seed in range(40):
        q = rng.random(200)
        found = calibration(q, rng.random(200) < q, seed=seed, draws=100)
        assert found.ece is not None
        assert found.by_chance_high is not None
        outside += found.ece > found.by_chance_high
    assert outside <= 6  # 5 % expected; P(more than 6 of 40) is below 0.004


def test_ece_of_a_liar_is_not() -> None:
    rng = np.random.default_rng(1)
    found = calibration(np.full(200, 0.95), rng.random(200) < 0.5)
    assert found.ece is not None
    assert found.by_chance_high is not None
    assert found.ece > 3 * found.by_chance_high


@given(pairs)
def test_brier_parts_add_up(rows: list[tuple[float, bool]]) -> None:
    q, c = zip(*rows, strict=True)
    found = brier(q, c)
    assert found.score == pytest.approx(np.mean((np.array(q) - np.array(c)) ** 2))
    assert found.reliability is not None
    assert found.resolution is not None
    assert found.uncertainty is not None
    assert found.within is not None
    assert found.reliability >= 0
    assert found.resolution >= -1e-12
    parts = found.reliability - found.resolution + found.uncertainty + found.within
    assert parts == pytest.approx(found.score)


def test_brier_within_is_zero_for_forecasts_in_few_levels() -> None:
    assert brier([0.1, 0.1, 0.7, 0.7, 0.7], [0, 1, 1, 1, 0]).within == pytest.approx(0, abs=1e-12)


@given(pairs)
def test_auroc_is_mann_whitney(rows: list[tuple[float, bool]]) -> None:
    q, c = (np.array(x) for x in zip(*rows, strict=True))
    found = discrimination(q, c, draws=5)
    if c.all() or not c.any():
        assert found.auroc is None
        assert found.low is None
    else:
        n_pairs = c.sum() * (~c).sum()
        assert found.auroc == pytest.approx(mannwhitneyu(q[c], q[~c]).statistic / n_pairs)


@given(pairs)
def test_risk_coverage_ends_at_the_error_rate(rows: list[tuple[float, bool]]) -> None:
    q, c = (np.array(x) for x in zip(*rows, strict=True))
    found = risk_coverage(q, c)
    assert found.risk[-1] == pytest.approx(1 - c.mean())
    assert found.area is not None
    assert found.best_area is not None
    assert found.best_area <= found.area + 1e-12
    order = np.random.default_rng(0).permutation(q.size)
    assert risk_coverage(q[order], c[order]).area == pytest.approx(found.area)


def test_a_constant_confidence_has_the_error_rate_everywhere() -> None:
    found = risk_coverage([0.5] * 4, [True, False, False, True])
    assert found.risk.tolist() == [0.5] * 4
    assert found.accuracy_at(0.25) == 0.5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 10))
def test_bins_keep_ties_together(q: list[float], n_bins: int) -> None:
    code = equal_mass_bins(q, n_bins=n_bins)
    assert code.max() < n_bins
    assert len({(a, b) for a, b in zip(q, code.tolist(), strict=True)}) == len(set(q))
    order = np.argsort(q, kind="stable")
    assert (np.diff(code[order]) >= 0).all()


def test_nothing_is_undefined_and_bad_input_is_named() -> None:
    assert calibration([], []).ece is None
    assert brier([], []).score is None
    assert discrimination([], []).auroc is None
    assert risk_coverage([], []).accuracy_at(0.5) is None
    with pytest.raises(BadInput, match="Divide percentages by 100"):
        calibration([95.0], [True])
    with pytest.raises(BadInput, match="as many confidences"):
        brier([0.5, 0.5], [True])
    with pytest.raises(BadInput, match="coverage"):
        risk_coverage([0.5], [True]).accuracy_at(0.0)
