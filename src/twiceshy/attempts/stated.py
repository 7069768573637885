"""The confidence that an attempt states about its own answer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TypeGuard

from twiceshy.attempts.texts import FENCED, own_text
from twiceshy.attempts.types import Attempt

_KEYS = ("confidence", "stated_confidence")
_NUMBER = r"((?:\d{1,6}(?:[.,]\d{1,40})?|[.,]\d{1,40})(?:e[+-]?\d{1,3})?)(?!\d)"
_UNIT = r"\s{0,3}(%|/\s{0,2}\d{1,3}\b)?"
_STATED = re.compile(
    r"(?<![^\W_])(?:confidence|certainty|konfidenz|sicherheit|confiance|confianza)(?![^\W_])"
    r"[\"'*_]{0,4}(?:\s{0,4}(?:is|:|=|ist|of)){0,3}\s{0,4}[\"'*_]{0,4}\s?" + _NUMBER + _UNIT,
    re.IGNORECASE,
)
_SURE = re.compile(
    r"(?<![\w.,])(\d{1,6}(?:[.,]\d{1,40})?)\s{0,3}%\s{0,3}"
    r"(?:sure|certain|confident|sicher|sûre?|certaine?|segur[oa])\b",
    re.IGNORECASE,
)
_NOT_SO_SURE = re.compile(
    r"(?:\b(?:not|nicht|pas|no|never|nie|less than|under|below|weniger als|unter|moins de|menos de)"
    r"|n['’]t)\s+(?:\w+\s+)?$",
    re.IGNORECASE,
)
"""Before a number: "not 100% sure" and "less than 50% sure" state no number."""
_BEFORE = 30
_LONE = re.compile(r"\s*" + _NUMBER + _UNIT + r"\s*", re.IGNORECASE)

_STEMS = ("confiden", "certainty", "konfidenz", "sicherheit", "confian")
"""One of them is in every match of `_STATED`; looking for them is many times faster."""


def stated_confidence(attempt: Attempt, *, in_percent: bool = False) -> float | None:
    """Return the confidence in [0, 1] that an attempt states; None when it states none we can read.

    A number under `confidence` in `extra` wins; else the last "confidence: 80%", "confidence 0.8",
    "confidence: 8/10" or "80% sure" in the text, code apart. A bare number above 1 is taken as a
    percentage when it is above 10, and as unreadable otherwise: nobody can tell 5 in 10 from 5 in
    100. "Not 100% sure" states nothing.

    Args:
        attempt: One attempt.
        in_percent: Whether numbers in `extra` are percentages; see `logs_percentages`.
    """
    for key in _KEYS:
        value = attempt.extra.get(key)
        if _is_number(value):
            return _in_unit(float(value), unit="%" if in_percent else "")
        match = _LONE.fullmatch(value) if isinstance(value, str) else None
        if match is not None:
            return _in_unit(_as_float(match.group(1)), unit=match.group(2) or "")
    return confidence_in(own_text(attempt))


def logs_percentages(attempts: Iterable[Attempt]) -> bool:
    """Return whether the numbers logged under `confidence` are percentages.

    They are when one is above 1 and none lies between 0 and 1. One number alone cannot tell: 1 is
    certain on one scale and almost ruled out on the other.
    """
    values = [
        float(value)
        for each in attempts
        if _is_number(value := next((each.extra[k] for k in _KEYS if k in each.extra), None))
    ]
    return any(value > 1 for value in values) and not any(0 < value < 1 for value in values)


def confidence_in(text: str) -> float | None:
    """Return the last confidence that a text states.

    Example:
        >>> [confidence_in(t) for t in ("Confidence: 80%", "confidence 0.35", "I'm 90% sure.")]
        [0.8, 0.35, 0.9]
        >>> confidence_in("Confidence: 5"), confidence_in("I'm not 100% sure.")
        (None, None)
    """
    lower = text.casefold()
    has_stem = any(stem in lower for stem in _STEMS)
    if not has_stem and "%" not in text:
        return None
    prose = FENCED.sub(_kept, text) if "```" in text or "~~~" in text else text
    found: list[tuple[int, str, str]] = []
    if has_stem:
        found += [(m.start(), m.group(1), m.group(2) or "") for m in _STATED.finditer(prose)]
    for m in _SURE.finditer(prose):
        if not _NOT_SO_SURE.search(prose[max(0, m.start() - _BEFORE) : m.start()]):
            found.append((m.start(), m.group(1), "%"))
    if not found:
        return None
    _, number, unit = max(found)
    return _in_unit(_as_float(number), unit=unit)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kept(block: re.Match[str]) -> str:
    """Return a block of JSON, which may hold the answer; nothing of any other code."""
    is_json = block.group().lstrip("`~").lstrip().casefold().startswith(("json", "{"))
    return block.group() if is_json else "\n"


def _as_float(number: str) -> float:
    return float(number.replace(",", "."))


def _in_unit(value: float, *, unit: str) -> float | None:
    if unit == "%":
        scale = 100.0
    elif unit:
        scale = float(unit.removeprefix("/")) or math.nan
    else:
        scale = 1.0 if value <= 1 else 100.0 if value > 10 else math.nan
    share = value / scale
    return share if 0 <= share <= 1 else None
