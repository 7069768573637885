"""The bootstrap over collections, tasks and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import crossed_bootstrap


def test_the_value_is_the_weighted_sum_of_means() -> None:
    first = np.array([[[1.0, 0.0]], [[1.0, 1.0]]])  # mean 3/4
    second = np.array([[[0.0]], [[1.0]]])  # mean 1/2
    found = crossed_bootstrap([first, second], weights=[2.0, -1.0], seed=0)
    assert found.value == pytest.approx(1.0)
    assert (found.n_rows, found.n_columns) == (2, 2)


@pytest.mark.parametrize("varies", [0, 1, 2])
def test_each_level_alone_gives_the_spread_of_its_mean(varies: int) -> None:
    """16 values, half 0 and half 1, along one axis: a mean has a standard error of 1/8."""
    shape = [4, 4, 4]
    shape[varies] = 16
    values = np.moveaxis(np.broadcast_to(np.arange(16) % 2, (4, 4, 16)), 2, varies)
    assert list(values.shape) == shape
    found = crossed_bootstrap([values.astype(float)], weights=[1.0], seed=1, draws=4000)
    assert found.low is not None
    assert found.high is not None
    inside_cells = 4.0 if varies == 2 else 1.0  # seeds are drawn anew in each of 16 cells
    width = 2 * 1.96 / 8 / inside_cells
    assert found.high - found.low == pytest.approx(width, rel=0.12)


def test_rows_are_drawn_jointly_for_all_blocks() -> None:
    """What differs between collections only cancels in a difference of two sets."""
    rows = np.arange(6.0)[:, None, None]
    block = np.broadcast_to(rows, (6, 3, 2))
    found = crossed_bootstrap([block, block], weights=[1.0, -1.0], seed=0)
    assert (found.value, found.low, found.high, found.p) == pytest.approx((0, 0, 0, 1), abs=1e-12)


def test_p_has_a_floor_and_says_one_at_no_difference() -> None:
    ones = crossed_bootstrap([np.ones((5, 4, 3))], weights=[1.0], seed=0, draws=99)
    assert (ones.low, ones.high) == pytest.approx((1.0, 1.0))
    assert ones.p == pytest.approx(2 / 100)


def test_too_little_gives_no_interval() -> None:
    one_row = crossed_bootstrap([np.ones((1, 4, 3))], weights=[1.0], seed=0)
    assert (one_row.value, one_row.low, one_row.p) == (1.0, None, None)
    nothing = crossed_bootstrap([np.ones((5, 4, 3)), np.ones((5, 0, 3))], weights=[1, 1], seed=0)
    assert nothing[:4] == (None, None, None, None)


@given(st.floats(-5, 5), st.integers(0, 3))
def test_a_shift_shifts_the_interval(shift: float, seed: int) -> None:
    block = np.random.default_rng(seed).normal(size=(3, 4, 2))
    plain = crossed_bootstrap([block], weights=[1.0], seed=seed, draws=50)
    moved = crossed_bootstrap([block + shift], weights=[1.0], seed=seed, draws=50)
    assert moved[:3] == pytest.approx([(each or 0.0) + shift for each in plain[:3]], abs=1e-9)


@pytest.mark.parametrize(
    ("blocks", "weights"),
    [
        ([np.ones((2, 2))], [1.0]),
        ([], []),
        ([np.ones((2, 2, 2)), np.ones((3, 2, 2))], [1.0, 1.0]),
        ([np.ones((2, 2, 2))], [1.0, 1.0]),
        ([np.full((2, 2, 2), np.nan)], [1.0]),
    ],
)
def test_misshapen_blocks_are_refused(blocks: list[np.ndarray], weights: list[float]) -> None:
    with pytest.raises(BadInput):
        crossed_bootstrap(blocks, weights=weights, seed=0)
