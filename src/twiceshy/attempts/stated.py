"""The confidence that an attempt states about its own answer."""

from __future__ import annotations

import math
import re

from twiceshy.attempts.texts import own_text
from twiceshy.attempts.types import Attempt

_KEYS = ("confidence", "stated_confidence")
_STATED = re.compile(
    r"\b(?:confidence|certainty|konfidenz|sicherheit|confiance|confianza)\b\**(?:\s*(?:is|:|=|ist|of))*"
    r"\s*\**\s*(\d+(?:[.,]\d+)?)\s*(%|/\s*10\b|/\s*100\b)?",
    re.IGNORECASE,
)
_SURE = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*%\s*(?:sure|certain|confident|sicher|sûre?|certaine?|segur[oa])\b",
    re.IGNORECASE,
)

_STEMS = ("confiden", "certainty", "konfidenz", "sicherheit", "confian")
"""One of them is in every match of `_STATED`; looking for them is many times faster."""


def stated_confidence(attempt: Attempt) -> float | None:
    """Return the confidence in [0, 1] that an attempt states; None when it states none we can read.

    A number under `confidence` in `extra` wins; else the last "confidence: 80%", "confidence 0.8",
    "confidence: 8/10" or "80% sure" in the text. A bare number above 1 is taken as a percentage
    when it is above 10, and as unreadable otherwise: nobody can tell 5 in 10 from 5 in 100.
    """
    for key in _KEYS:
        value = attempt.extra.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _in_unit(float(value), unit="")
    return confidence_in(own_text(attempt))


def confidence_in(text: str) -> float | None:
    """Return the last confidence that a text states.

    Example:
        >>> [confidence_in(t) for t in ("Confidence: 80%", "confidence 0.35", "I'm 90% sure.")]
        [0.8, 0.35, 0.9]
        >>> confidence_in("Confidence: 5"), confidence_in("I am confident.")
        (None, None)
    """
    lower = text.casefold()
    found: list[tuple[int, str, str]] = []
    if any(stem in lower for stem in _STEMS):
        found += [(m.start(), m.group(1), m.group(2) or "") for m in _STATED.finditer(text)]
    if "%" in text:
        found += [(m.start(), m.group(1), "%") for m in _SURE.finditer(text)]
    if not found:
        return None
    _, number, unit = max(found)
    return _in_unit(float(number.replace(",", ".")), unit=unit.replace(" ", ""))


def _in_unit(value: float, *, unit: str) -> float | None:
    scale = {"%": 100.0, "/100": 100.0, "/10": 10.0}.get(unit)
    if scale is None:
        scale = 1.0 if value <= 1 else 100.0 if value > 10 else math.nan
    share = value / scale
    return share if 0 <= share <= 1 else None
