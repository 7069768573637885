"""From what a scoring function returned, or raised, to an outcome that verl carries along.

A scorer may return True or False; 1 or 0; None for "not judged"; or a dict with `outcome`
("success", "failure", "broken", "unscored"), `acc` or `score`, and with `failure_class`. One that
raises has judged nothing: the attempt is `broken`, and never a 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from twiceshy.attempts.readers.verdicts import broken, verdict_from_reward
from twiceshy.attempts.readers.verl import BROKEN_SCORE, UNSCORED_SCORE
from twiceshy.attempts.types import Outcome, Verdict
from twiceshy.errors import BadInput

SCORES = {
    Outcome.SUCCESS: 1.0,
    Outcome.FAILURE: -1.0,
    Outcome.BROKEN: BROKEN_SCORE,
    Outcome.UNSCORED: UNSCORED_SCORE,
}
"""The reward that stands for each outcome. The rewards of an estimator are read by them."""

_IDLE = (BROKEN_SCORE, UNSCORED_SCORE)


def scored(result: object, *, truncated: bool = False) -> dict[str, Any]:
    """Return a scorer's result as the dict that verl's reward managers carry along.

    Args:
        result: What the scorer returned.
        truncated: Whether the response was cut at the length limit and therefore abstains.

    Returns:
        `score` for the estimator; `outcome`, `failure_class`, `reason` and `raw_reward`; `acc`, 1
        or 0, and None where nobody judged; and whatever else the scorer said.

    Raises:
        BadInput: If the scorer named an outcome that is none.

    Example:
        >>> scored({"score": 0.0, "failure_class": "wrong unit"})["failure_class"]
        'wrong unit'
        >>> scored(None)["outcome"], scored(None)["acc"]
        ('unscored', None)
    """
    said: Mapping[str, Any] = result if isinstance(result, Mapping) else {"score": result}
    verdict = _verdict(said)
    kind = said.get("failure_class")
    if truncated and verdict.outcome.is_scored:
        verdict = Verdict(
            outcome=Outcome.UNSCORED, reward=verdict.reward, reason="cut at the length limit"
        )
        kind = "truncated"
    return {**said, **_carried(verdict, kind=kind)}


def failed(error: BaseException) -> dict[str, Any]:
    """Return what is carried along for an attempt whose scorer raised.

    Example:
        >>> failed(ZeroDivisionError("division by zero"))["outcome"]
        'broken'
    """
    kind = "timeout" if isinstance(error, TimeoutError) else "checker_error"
    return _carried(broken(kind, reason=f"{type(error).__name__}: {error}"), kind=kind)


def _verdict(said: Mapping[str, Any]) -> Verdict:
    reward = said.get("score")
    if said.get("outcome") is None:
        return verdict_from_reward(said["acc"] if said.get("acc") in (0, 1) else _plain(reward))
    try:
        outcome = Outcome(said["outcome"])
    except ValueError as error:
        raise BadInput(
            "an outcome: success, failure, broken or unscored",
            got=repr(said["outcome"]),
            where="scoring function",
        ) from error
    number = verdict_from_reward(_plain(said.get("raw_reward", reward))).reward
    return Verdict(outcome=outcome, reward=number, reason=str(said.get("reason") or ""))


def _plain(reward: object) -> object:
    """Return numpy's and torch's numbers as Python's."""
    return reward.item() if hasattr(reward, "item") else reward  # pyrefly: ignore


def _carried(verdict: Verdict, *, kind: str | None) -> dict[str, Any]:
    outcome = verdict.outcome
    return {
        "score": SCORES[outcome],
        "outcome": outcome.value,
        "failure_class": kind,
        "reason": verdict.reason or None,
        "raw_reward": verdict.reward,
        "acc": float(outcome is Outcome.SUCCESS) if outcome.is_scored else None,
    }


def is_all_right(rewards: Sequence[float], *, success: float = 1.0) -> bool:
    """Return whether a group has a success and no judged attempt that is none.

    Example:
        >>> is_all_right([1.0, BROKEN_SCORE]), is_all_right([1.0, -1.0]), is_all_right([-1.0])
        (True, False, False)
    """
    judged = [each for each in rewards if each not in _IDLE and not math.isnan(each)]
    return bool(judged) and all(each == success for each in judged)
