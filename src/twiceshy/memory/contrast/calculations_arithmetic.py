"""Arithmetic written in text: a small whitelist parser, never `eval`.

Only digits, `+ - * / // ** ^ × ÷ x`, brackets, `%`, `$` and thousands commas are understood.
Anything else ("4*mugs", "A+4") is malformed and has no value.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

OPERATIONS = {"+": "addition", "-": "subtraction", "*": "multiplication", "/": "division"}

MAX_CHARACTERS = 400
MAX_DEPTH = 40
MAX_EXPONENT = 64

_NUMBER = r"(?:[0-9](?:[0-9,]*[0-9])?(?:\.[0-9]*)?|\.[0-9]+)"
_TOKEN = re.compile(rf"\s*(?:\$\s*)?({_NUMBER}|\*\*|//|[-+*/^()%×÷−]|[xX](?=[\s$(]*[0-9.]))")
_SPELLINGS = {"×": "*", "÷": "/", "x": "*", "X": "*", "−": "-", "^": "**"}
_OPERATOR = {"+": "+", "-": "-", "*": "*", "/": "/", "//": "/", "**": "*"}


class Arithmetic(NamedTuple):
    """A parsed expression."""

    value: float | None
    """None where it is undefined (division by zero, overflow)."""
    operands: tuple[float, ...]
    """The numbers in it, in order; a percentage as the number before its sign."""
    operators: tuple[str, ...]
    """Of `+ - * /`, in order; integer division counts as `/`, a power as `*`."""


def parse_arithmetic(text: str) -> Arithmetic | None:
    """Return the parsed expression, or None when it is not plain arithmetic.

    Example:
        >>> parse_arithmetic("2*(3+4)")
        Arithmetic(value=14.0, operands=(2.0, 3.0, 4.0), operators=('*', '+'))
        >>> parse_arithmetic("80,000*150%").value
        120000.0
        >>> parse_arithmetic("4*mugs") is None
        True
    """
    tokens = _tokens(text) if len(text) <= MAX_CHARACTERS else None
    if not tokens:
        return None
    parser = _Parser(tokens)
    try:
        value = parser.sum(depth=0)
    except _Malformed:
        return None
    if parser.position != len(tokens):
        return None
    finite = value is not None and math.isfinite(value)
    return Arithmetic(value if finite else None, tuple(parser.operands), tuple(parser.operators))


def parse_number(text: str) -> float | None:
    """Return a number as people write it ("$1,200", "-2.5", "1/2", "15%" as 15), or None.

    Example:
        >>> [parse_number(t) for t in ("$1,200.", " -2.5 ", "3/4", "15%", "five")]
        [1200.0, -2.5, 0.75, 15.0, None]
    """
    parsed = parse_arithmetic(text.strip().rstrip(".%"))
    if parsed is None or parsed.operators not in ((), ("/",)):
        return None
    return parsed.value


def is_close(first: float, second: float) -> bool:
    """Whether two numbers are the same up to rounding (0.006 or half a percent)."""
    return abs(first - second) <= 0.006 + 0.005 * abs(first)


class _Malformed(Exception):
    """Internal control flow; never leaves this module."""


def _tokens(text: str) -> list[str] | None:
    tokens: list[str] = []
    position, text = 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return None
        tokens.append(_SPELLINGS.get(match[1], match[1]))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent over tokens; a value of None means undefined and spreads."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0
        self.operands: list[float] = []
        self.operators: list[str] = []

    def sum(self, *, depth: int) -> float | None:
        value = self._product(depth)
        while self._next() in ("+", "-"):
            operator = self._take_operator()
            value = _apply(operator, value, self._product(depth))
        return value

    def _product(self, depth: int) -> float | None:
        value = self._power(depth)
        while self._next() in ("*", "/", "//"):
            operator = self._take_operator()
            value = _apply(operator, value, self._power(depth))
        return value

    def _power(self, depth: int) -> float | None:
        value = self._signed(depth)
        if self._next() == "**":
            operator = self._take_operator()
            value = _apply(operator, value, self._signed(depth))
        return value

    def _signed(self, depth: int) -> float | None:
        sign = 1.0
        while self._next() == "-":
            self._take()
            sign = -sign
        value = self._atom(depth)
        return None if value is None else sign * value

    def _atom(self, depth: int) -> float | None:
        token = self._take()
        if token == "(":
            if depth >= MAX_DEPTH:
                raise _Malformed
            value = self.sum(depth=depth + 1)
            if self._take() != ")":
                raise _Malformed
        elif token[0].isdigit() or token[0] == ".":
            value = float(token.replace(",", ""))
            self.operands.append(value)
        else:
            raise _Malformed
        if self._next() == "%":
            self._take()
            value = None if value is None else value / 100
        return value

    def _next(self) -> str | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def _take(self) -> str:
        token = self._next()
        if token is None:
            raise _Malformed
        self.position += 1
        return token

    def _take_operator(self) -> str:
        operator = self._take()
        self.operators.append(_OPERATOR[operator])
        return operator


def _apply(operator: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None or not (math.isfinite(left) and math.isfinite(right)):
        return None
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "**":
        return _power(left, right)
    if right == 0:
        return None
    return left / right if operator == "/" else math.floor(left / right)


def _power(base: float, exponent: float) -> float | None:
    if abs(exponent) > MAX_EXPONENT or (base <= 0 and not exponent.is_integer()):
        return None
    try:
        return base**exponent
    except (OverflowError, ZeroDivisionError):
        return None
