"""From what a log says about an attempt to a verdict, without inventing one.

Three functions, shared by all readers: a reward becomes `success` or `failure` only when it is 0 or
1 or the caller gave a threshold; no judgement becomes `unscored`; a typed fault becomes `broken`
and keeps what the log recorded.
"""

from __future__ import annotations

import math
from typing import Any

from twiceshy.attempts.types import BrokenKind, Outcome, Verdict, VerdictSource

NO_JUDGEMENT = "no judgement in the log"
OUT_OF_RANGE = "reward outside {0, 1} and no threshold"
NOT_A_NUMBER = "reward is not a number"


def unscored(reason: str = NO_JUDGEMENT, *, reward: float | None = None) -> Verdict:
    """Return the verdict of an attempt that nobody judged.

    Example:
        >>> unscored().outcome
        <Outcome.UNSCORED: 'unscored'>
    """
    return Verdict(outcome=Outcome.UNSCORED, reward=reward, reason=reason)


def verdict_from_reward(
    reward: object,
    *,
    threshold: float | None = None,
    source: VerdictSource = "log",
    evidence: str = "",
    reliability: float | None = None,
    extra: dict[str, Any] | None = None,
) -> Verdict:
    """Return the verdict that a logged reward stands for.

    A boolean says success or failure. A number is compared with the threshold, or, without one, is
    accepted only when it is exactly 0 or 1. Everything else is `unscored`, with the reason.

    Args:
        reward: What the log gave: a bool, a number, or anything else. None means no judgement.
        threshold: A number at or above it is a success.
        source: Who judged.
        evidence: What the judge pointed at.
        reliability: Probability in [0, 1] that the verdict is right, when known.
        extra: Further fields to keep with the verdict.

    Returns:
        A verdict whose `reward` is the number as logged, or None when there was none.

    Example:
        >>> verdict_from_reward(True).outcome is Outcome.SUCCESS
        True
        >>> verdict_from_reward(0.5).reason
        'reward outside {0, 1} and no threshold'
        >>> verdict_from_reward(0.5, threshold=0.4).outcome is Outcome.SUCCESS
        True
        >>> verdict_from_reward(None).reward is None
        True
    """
    number = _finite(reward)
    outcome, reason = _judge(reward, number=number, threshold=threshold)
    judged = outcome.is_scored
    return Verdict(
        outcome=outcome,
        reward=number,
        source=source if judged else None,
        reliability=reliability if judged else None,
        evidence=evidence,
        reason=reason,
        extra=extra or {},
    )


def broken(kind: BrokenKind, *, reason: str, recorded: Verdict | None = None) -> Verdict:
    """Return a `broken` verdict that keeps what the log itself recorded.

    Args:
        kind: Which boundary broke.
        reason: What the log said about it, in words.
        recorded: The verdict the log's own scoring gives; its reward, source and evidence are kept.
            None when the log has no judgement.

    Example:
        >>> seen = verdict_from_reward(0)
        >>> broken("limit", reason="token limit of 100", recorded=seen).as_recorded
        <Outcome.FAILURE: 'failure'>
    """
    said = recorded if recorded is not None else unscored()
    return Verdict(
        outcome=Outcome.BROKEN,
        broken=kind,
        reason=reason or kind,
        recorded=said.outcome,
        reward=said.reward,
        source=said.source,
        evidence=said.evidence,
        extra=said.extra,
    )


def _finite(reward: object) -> float | None:
    if isinstance(reward, bool | int | float):
        try:
            number = float(reward)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    return None


def _judge(reward: object, *, number: float | None, threshold: float | None) -> tuple[Outcome, str]:
    if reward is None:
        return Outcome.UNSCORED, NO_JUDGEMENT
    if number is None:
        return Outcome.UNSCORED, NOT_A_NUMBER
    if threshold is not None and not isinstance(reward, bool):
        return (Outcome.SUCCESS if number >= threshold else Outcome.FAILURE), ""
    if number in (0.0, 1.0):
        return (Outcome.SUCCESS if number == 1.0 else Outcome.FAILURE), ""
    return Outcome.UNSCORED, OUT_OF_RANGE
