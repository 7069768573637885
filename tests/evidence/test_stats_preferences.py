from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats.preferences import (
    bradley_terry,
    length_controlled,
    style_differences,
    style_only,
)

TRUE = np.array([0.0, -0.5, 0.5])
"""Strength of base, student and teacher in logits."""
BIAS = 1.5
"""Logits of the judge for one unit of the difference in style."""
STYLE = np.array([0.0, 0.9, 0.7])
"""Mean style of each: the weakest has most."""


def judged(
    seed: int, *, n: int = 300
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return pairs, scores and style differences under a judge that likes style."""
    rng = np.random.default_rng(seed)
    pairs = np.array([(0, 1), (0, 2), (1, 2)])[rng.integers(3, size=n)]
    own = STYLE + rng.normal(scale=0.6, size=(n, 3))
    gap = own[np.arange(n), pairs[:, 0]] - own[np.arange(n), pairs[:, 1]]
    logit = TRUE[pairs[:, 0]] - TRUE[pairs[:, 1]] + BIAS * gap
    return pairs, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float), gap[:, None]


def test_style_control_recovers_the_ranking_that_raw_preference_gets_wrong() -> None:
    raw_right = controlled_right = 0
    for seed in range(100):
        pairs, score, style = judged(seed)
        raw = bradley_terry(pairs, score, draws=0)
        held = bradley_terry(pairs, score, style=style, draws=0)
        raw_right += raw.order == (2, 0, 1)
        controlled_right += held.order == (2, 0, 1)
    assert raw_right <= 5
    assert controlled_right >= 90


def test_strengths_and_style_effect_are_recovered() -> None:
    pairs, score, style = judged(0, n=6000)
    found = bradley_terry(pairs, score, style=style, draws=50)
    for each, true in zip(found.strength, TRUE, strict=True):
        assert each.value == pytest.approx(true, abs=0.2)
    spread = math.sqrt(float((style**2).mean()))
    assert found.style[0].value / spread == pytest.approx(BIAS, abs=0.15)
    low, high = found.style[0].low, found.style[0].high
    assert low is not None
    assert high is not None
    assert low < BIAS * spread < high


def test_two_contestants_by_hand() -> None:
    found = bradley_terry([[0, 1]] * 10, [1.0] * 7 + [0.0] * 3, draws=0)
    assert found.strength[1].value == pytest.approx(-math.log(7 / 3), abs=0.01)
    draws = bradley_terry([[0, 1]] * 10, [0.5] * 10, draws=0)
    assert draws.strength[1].value == pytest.approx(0)


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_exchanging_the_sides_changes_nothing(seed: int) -> None:
    pairs, score, style = judged(seed, n=60)
    flip = np.random.default_rng(seed).random(60) < 0.5
    swapped = np.where(flip[:, None], pairs[:, ::-1], pairs)
    first = bradley_terry(pairs, score, style=style, draws=0)
    second = bradley_terry(
        swapped,
        np.where(flip, 1 - score, score),
        style=np.where(flip[:, None], -style, style),
        draws=0,
    )
    for a, b in zip(
        (*first.strength, *first.style), (*second.strength, *second.style), strict=True
    ):
        assert a.value == pytest.approx(b.value, abs=1e-6)


def test_one_side_always_winning_stays_finite() -> None:
    found = bradley_terry([[0, 1]] * 50, [1.0] * 50, draws=20)
    assert -12 < found.strength[1].value < -4


def test_length_control_takes_out_what_length_explains() -> None:
    rng = np.random.default_rng(0)
    gap = rng.normal(1.0, 1.0, size=4000)
    level = rng.random(4000) < 1 / (1 + np.exp(-1.2 * np.tanh(gap / np.sqrt(2))))
    found = length_controlled(level.astype(float), gap)
    assert found.raw is not None
    assert found.controlled is not None
    assert found.raw > 0.6
    assert found.controlled.low is not None
    assert found.controlled.high is not None
    assert found.controlled.low < 0.5 < found.controlled.high


def test_a_style_only_model_sees_a_style_judge_and_not_a_fair_one() -> None:
    rng = np.random.default_rng(0)
    d = rng.normal(size=(600, 2))
    reads = style_only(d, d[:, 0] + rng.logistic(size=600) * 0.3 > 0)
    fair = style_only(d, rng.random(600) < 0.5)
    assert reads.low is not None
    assert reads.low > 0.8
    assert fair.low is not None
    assert fair.high is not None
    assert fair.low < 0.5 < fair.high


def test_a_judge_that_always_names_the_first_is_no_style_judge() -> None:
    d = np.random.default_rng(0).normal(size=(200, 1))
    found = style_only(d, np.ones(200))
    assert found.auc == pytest.approx(0.5, abs=0.15)


def test_too_few_or_no_judgements_are_undefined() -> None:
    assert style_only(np.ones((4, 1)), [1, 0, 1, 0.5]).auc is None
    assert bradley_terry(np.zeros((0, 2)), []).n == 0
    assert length_controlled([], []).controlled is None


def test_relative_differences() -> None:
    assert style_differences([[3, 0, 5]], [[1, 0, 0]]).tolist() == [[0.5, 0.0, 1.0]]


def test_bad_input_is_named() -> None:
    with pytest.raises(BadInput, match="one against itself"):
        bradley_terry([[0, 0]], [1])
    with pytest.raises(BadInput, match="a style row for each"):
        bradley_terry([[0, 1]], [1, 0])
    with pytest.raises(BadInput, match="as many differences"):
        length_controlled([1.0], [1.0, 2.0])
