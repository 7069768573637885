"""Where a failing and a passing text part: the pieces to highlight, side by side."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import NamedTuple

_TOKEN = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")
_WORD = re.compile(r"\w")
_MAX_CHARACTERS = 1600
_BEFORE = 400
_MIN_LIKENESS = 0.3
"""Below this share of common tokens, highlighting pieces would only confuse: all of it differs."""


class Piece(NamedTuple):
    """A stretch of text, and whether the other side lacks it."""

    text: str
    differs: bool


class Parted(NamedTuple):
    """Both texts in pieces."""

    failure: tuple[Piece, ...]
    success: tuple[Piece, ...]
    is_unlike: bool
    """The two share so little that no place was marked."""


def part(failure: str, success: str) -> Parted:
    """Split two texts into common and differing pieces, by words.

    Texts over 1,600 characters are cut around the first difference, with the cut counted in words.

    >>> part("cancel EHGLP3", "cancel 4WQ150").failure
    (Piece(text='cancel ', differs=False), Piece(text='EHGLP3', differs=True))
    """
    common = _common_prefix(failure, success)
    left, right = _window(failure, common), _window(success, common)
    a, b = _TOKEN.findall(left), _TOKEN.findall(right)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    if not left or not right or matcher.ratio() < _MIN_LIKENESS:
        return Parted(_whole(left), _whole(right), bool(left and right))
    codes = matcher.get_opcodes()
    return Parted(
        _pieces([(a[i1:i2], tag != "equal") for tag, i1, i2, _, _ in codes]),
        _pieces([(b[j1:j2], tag != "equal") for tag, _, _, j1, j2 in codes]),
        False,
    )


def _common_prefix(left: str, right: str) -> int:
    pairs = zip(left, right, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(left), len(right)))


def _window(text: str, place: int) -> str:
    if len(text) <= _MAX_CHARACTERS:
        return text
    start = max(0, min(place - _BEFORE, len(text) - _MAX_CHARACTERS))
    end = min(len(text), start + _MAX_CHARACTERS)
    before = f"[{start:,} characters before] … " if start else ""
    after = f" … [{len(text) - end:,} characters after]" if end < len(text) else ""
    return before + text[start:end] + after


def _whole(text: str) -> tuple[Piece, ...]:
    return (Piece(text, False),) if text else ()


def _pieces(runs: list[tuple[list[str], bool]]) -> tuple[Piece, ...]:
    """Join runs; punctuation between two differing runs differs with them."""
    merged: list[Piece] = []
    for tokens, differs in runs:
        text = "".join(tokens)
        if merged and merged[-1].differs and (differs or not _WORD.search(text)):
            merged[-1] = Piece(merged[-1].text + text, True)
        elif text:
            merged.append(Piece(text, differs))
    return tuple(piece for run in merged for piece in _without_margin(run))


def _without_margin(run: Piece) -> tuple[Piece, ...]:
    body = run.text.rstrip()
    if not run.differs or body == run.text:
        return (run,)
    pieces = (Piece(body, True), Piece(run.text[len(body) :], False))
    return tuple(piece for piece in pieces if piece.text)
