"""From the columns in which logs keep an outcome to a verdict.

Used wherever a column may be a JSON value or, in CSV, its text: `true`, `"True"`, `1`, `"1"`,
`"pass"`. A word that is not known judges nothing, and the verdict says which word it was.
"""

from __future__ import annotations

from typing import Any

import msgspec

from twiceshy.attempts.readers.verdicts import broken, unscored, verdict_from_reward
from twiceshy.attempts.types import Outcome, Verdict, VerdictSource

_WORDS: dict[str, Outcome] = {
    **dict.fromkeys(
        ("success", "successful", "succeeded", "pass", "passed", "correct", "solved", "resolved"),
        Outcome.SUCCESS,
    ),
    **dict.fromkeys(
        ("failure", "fail", "failed", "incorrect", "wrong", "unsolved", "unresolved"),
        Outcome.FAILURE,
    ),
    **dict.fromkeys(("true", "yes"), Outcome.SUCCESS),
    **dict.fromkeys(("false", "no"), Outcome.FAILURE),
    "broken": Outcome.BROKEN,
    **dict.fromkeys(("unscored", "none", "null", "unknown", ""), Outcome.UNSCORED),
}


def verdict_from_columns(
    *,
    outcome: object = None,
    success: object = None,
    reward: object = None,
    threshold: float | None = None,
    source: VerdictSource = "log",
    evidence: str = "",
    reliability: float | None = None,
) -> Verdict:
    """Return the verdict that up to three columns stand for; the first that says something wins.

    A reward beside an outcome or a success flag is kept as the number it is.

    Args:
        outcome: A word ("success", "fail", "broken"), a flag or a number.
        success: A flag, or its text.
        reward: A number, or its text.
        threshold: A reward at or above it is a success.
        source: Who judged.
        evidence: What the judge pointed at.
        reliability: Probability in [0, 1] that the verdict is right, when known.

    Example:
        >>> verdict_from_columns(success="True").outcome is Outcome.SUCCESS
        True
        >>> verdict_from_columns(outcome="passed", reward="0.7").reward
        0.7
        >>> verdict_from_columns(outcome="perhaps").reason
        "the outcome 'perhaps' is no known word"
    """
    number = _number(reward)
    judged: Verdict | None = None
    for label in (outcome, success):
        if judged is None and label is not None:
            judged = _from_label(label, source=source, evidence=evidence, reliability=reliability)
    if judged is None:
        return verdict_from_reward(
            number,
            threshold=threshold,
            source=source,
            evidence=evidence,
            reliability=reliability,
        )
    if isinstance(number, int | float) and not isinstance(number, bool):
        return msgspec.structs.replace(judged, reward=float(number))
    return judged


def _from_label(
    label: object, *, source: VerdictSource, evidence: str, reliability: float | None
) -> Verdict | None:
    found: Any = label
    if isinstance(label, str):
        word = label.strip().lower()
        number = _number(word)
        if word in _WORDS:
            found = _WORDS[word]
        elif isinstance(number, int | float):
            found = number
        else:
            return unscored(f"the outcome {label[:40]!r} is no known word")
    if found is Outcome.UNSCORED:
        return None
    if found is Outcome.BROKEN:
        return broken("user_rule", reason=evidence or "the log says broken")
    if isinstance(found, Outcome):
        found = found is Outcome.SUCCESS
    return verdict_from_reward(found, source=source, evidence=evidence, reliability=reliability)


def _number(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text:
        return None
    if _WORDS.get(text.lower()) is Outcome.SUCCESS:
        return True
    if _WORDS.get(text.lower()) is Outcome.FAILURE:
        return False
    try:
        return float(text)
    except ValueError:
        return text
