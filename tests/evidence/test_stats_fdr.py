from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import holm, q_values

p_arrays = hnp.arrays(float, st.integers(0, 40), elements=st.floats(0, 1))


def test_by_hand() -> None:
    # sorted 0.01, 0.02, 0.04, 0.5; times m/i: 0.04, 0.04, 0.0533, 0.5; running minimum from the end
    assert q_values([0.5, 0.02, 0.01, 0.04]) == pytest.approx([0.5, 0.04, 0.04, 4 * 0.04 / 3])
    # BY multiplies by 1 + 1/2 + 1/3 + 1/4 = 25/12
    assert q_values([0.5, 0.02, 0.01, 0.04], method="by") == pytest.approx(
        [1.0, 0.04 * 25 / 12, 0.04 * 25 / 12, 0.16 / 3 * 25 / 12]
    )


@given(p_arrays)
def test_agrees_with_scipy(p: NDArray[np.float64]) -> None:
    if p.size:
        assert q_values(p) == pytest.approx(scipy_stats.false_discovery_control(p))
        theirs = scipy_stats.false_discovery_control(p, method="by")
        assert q_values(p, method="by") == pytest.approx(theirs)


@given(p_arrays)
def test_properties(p: NDArray[np.float64]) -> None:
    bh, by = q_values(p), q_values(p, method="by")
    assert bh.shape == p.shape
    assert (bh >= p).all()
    assert (by >= bh - 1e-12).all()
    assert (bh <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(bh[order]) >= 0).all()
    assert q_values(p[::-1])[::-1] == pytest.approx(bh)


def test_tests_that_could_not_be_done_do_not_count() -> None:
    q = q_values([0.01, np.nan, 0.04])
    assert q[[0, 2]] == pytest.approx(q_values([0.01, 0.04]))
    assert np.isnan(q[1])
    assert q_values([]).shape == (0,)


@pytest.mark.parametrize("bad", [[-0.1], [1.1], [[0.1]]])
def test_not_p_values(bad: list[float]) -> None:
    with pytest.raises(BadInput, match="p-values"):
        q_values(bad)


def test_false_discoveries_are_controlled() -> None:
    rng = np.random.default_rng(0)
    shares: list[float] = []
    for _ in range(400):
        z = rng.normal(size=50)
        z[:10] += 3
        p = 1 - scipy_stats.norm.cdf(z)
        found = q_values(p) <= 0.1
        shares.append(found[10:].sum() / max(1, found.sum()))
    assert np.mean(shares) <= 0.1


def test_holm_by_hand() -> None:
    """Sorted 0.01·4, 0.02·3, 0.04·2, 0.5: the third may not fall below the second."""
    assert holm([0.5, 0.02, 0.01, 0.04]) == pytest.approx([0.5, 0.06, 0.04, 0.08])
    assert holm([0.03, 0.031]) == pytest.approx([0.06, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


def test_holm_leaves_out_what_was_not_tested() -> None:
    found = holm([0.01, np.nan, 0.04])
    assert found[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(found[1])
    with pytest.raises(BadInput):
        holm([1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_and_bonferroni(p: list[float]) -> None:
    found = holm(p)
    raw = np.array(p)
    assert (found >= raw).all()
    assert (found <= np.minimum(1.0, raw * len(p)) + 1e-12).all()
    assert (np.diff(found[np.argsort(raw, kind="stable")]) >= 0).all()
