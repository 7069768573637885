from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.attempts.readers.verdicts import broken, unscored, verdict_from_reward
from twiceshy.attempts.types import Outcome


@pytest.mark.parametrize(
    ("reward", "threshold", "outcome"),
    [
        (1, None, Outcome.SUCCESS),
        (0.0, None, Outcome.FAILURE),
        (True, None, Outcome.SUCCESS),
        (False, 0.0, Outcome.FAILURE),
        (0.5, None, Outcome.UNSCORED),
        (-1, None, Outcome.UNSCORED),
        (-1, 0.0, Outcome.FAILURE),
        (0.5, 0.5, Outcome.SUCCESS),
        (1.0, 2.0, Outcome.FAILURE),
        (None, 0.5, Outcome.UNSCORED),
        (math.nan, 0.5, Outcome.UNSCORED),
        (math.inf, 0.5, Outcome.UNSCORED),
        ("1", None, Outcome.UNSCORED),
        ([1], 0.5, Outcome.UNSCORED),
        (10**400, 0.5, Outcome.UNSCORED),
    ],
)
def test_what_a_reward_stands_for(
    reward: object, threshold: float | None, outcome: Outcome
) -> None:
    verdict = verdict_from_reward(reward, threshold=threshold, source="verifier", reliability=0.9)
    assert verdict.outcome is outcome
    assert (verdict.reason != "") is (outcome is Outcome.UNSCORED)
    assert verdict.source == ("verifier" if outcome.is_scored else None)


@given(st.none() | st.text() | st.floats() | st.integers() | st.booleans())
def test_no_reward_is_ever_made_up(reward: object) -> None:
    verdict = verdict_from_reward(reward)
    if verdict.outcome is Outcome.FAILURE:
        assert reward == 0
    if verdict.reward is not None:
        assert isinstance(reward, int | float)
        assert verdict.reward == float(reward)


def test_broken_keeps_what_was_recorded() -> None:
    said = verdict_from_reward(0, source="test", evidence="t1", extra={"k": 1})
    verdict = broken("timeout", reason="after 5 s", recorded=said)
    assert (verdict.recorded, verdict.reward, verdict.source) == (Outcome.FAILURE, 0.0, "test")
    assert (verdict.evidence, verdict.extra) == ("t1", {"k": 1})
    assert broken("limit", reason="").reason == "limit"
    assert broken("limit", reason="x").recorded is Outcome.UNSCORED
    assert unscored(reward=0.3).reward == 0.3
