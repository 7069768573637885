"""Whether a value in a call was seen anywhere before, whatever its format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twiceshy.attempts.types import Attempt, Step
from twiceshy.memory.contrast.toolcalls_moves import Move

MAX_TEXT = 20_000
"""Characters of one message that are searched."""

_CODE = re.compile(r"(?=[^\s]*[0-9])[^\s]{4,40}")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NOISE = bytes(i for i in range(128) if not chr(i).isalnum())


def unseen_arguments(attempt: Attempt, moves: Sequence[Move]) -> Iterator[tuple[Move, str]]:
    """Yield (move, argument name) for code-like values that nothing before the call contains.

    Code-like is a string without spaces that has a digit: an id, a date, a flight number. Names,
    words and amounts are left out, since an amount may well be computed. What the policy itself
    wrote does not count as seen.
    """
    cursor, seen = 0, _Seen(attempt.prompt or "")
    for move in moves:
        for step in attempt.steps[cursor : move.step]:
            if step.role != "assistant":
                seen.add(step)
        cursor = max(cursor, move.step)
        for name, value in _leaves(move.arguments):
            if _CODE.fullmatch(value) and not seen.contains(value):
                yield move, name


class _Seen:
    def __init__(self, prompt: str) -> None:
        self._plain: list[str] = [prompt.lower()]
        self._bare: list[bytes] = [_bare(prompt.lower())]

    def add(self, step: Step) -> None:
        text = step.text[:MAX_TEXT].lower()
        self._plain.append(text)
        self._bare.append(_bare(text))

    def contains(self, value: str) -> bool:
        bare = _bare(value.lower())
        if any(bare in text for text in self._bare):
            return True
        return any(re.search(form, text) for form in _date_forms(value) for text in self._plain)


def _bare(text: str) -> bytes:
    """Return ASCII letters and digits only, so that "HAT 069" and "HAT-069" are the same."""
    return text.encode("ascii", "ignore").translate(None, _NOISE)


def _date_forms(value: str) -> list[str]:
    """Return patterns of the ways people write an ISO date, the year left out."""
    match = _DATE.match(value)
    if match is None or not 1 <= int(match[2]) <= 12:
        return []
    month, day = int(match[2]), int(match[3])
    name = f"{_MONTHS[month - 1]}[a-z]*"
    return [
        rf"\b{name}\.? (?:the )?0?{day}(?:st|nd|rd|th)?\b",
        rf"\b0?{day}(?:st|nd|rd|th)? (?:of )?{name}\b",
        rf"\b0?{month}[/.-]0?{day}\b",
        rf"\b0?{day}[/.-]0?{month}\b",
    ]


def _leaves(arguments: Mapping[str, Any], depth: int = 3) -> Iterator[tuple[str, str]]:
    """Yield (argument name, value) for strings, those in lists and objects too."""
    for name, value in arguments.items():
        items = value if isinstance(value, list) else [value]
        for item in items:
            if isinstance(item, str):
                yield str(name), item
            elif isinstance(item, Mapping) and depth:
                yield from _leaves(item, depth - 1)
