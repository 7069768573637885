"""What an attempt did, as a short sequence two attempts can be compared on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from twiceshy.attempts.types import Attempt, ToolCall
from twiceshy.memory.contrast.calculations_arithmetic import OPERATIONS
from twiceshy.memory.contrast.calculations_solution import Calculation, read_solution
from twiceshy.memory.contrast.toolcalls_moves import COMMAND_KEYS, OTHER, Move, read_moves

Level = Literal["writes", "results", "actions"]
"""Successful state-changing calls; results of calculations; every action of an environment."""

MAX_SHOWN = 120
"""Characters of a deed's text."""

MAX_WORDS = 6
"""Words of an argument above which it is free text."""

_LOST = re.compile(r"\b(?:lost|lose|dead|died|defeat(?:ed)?|game over|fatal)\b", re.IGNORECASE)


class Deed(NamedTuple):
    """One thing an attempt did."""

    key: str
    """Equal exactly when two deeds are the same."""
    name: str
    """The tool, the operators of a calculation, or the verb of an action."""
    arguments: Mapping[str, Any]
    step: int
    """Index into the attempt's steps; of a calculation, its place among them."""
    text: str
    """For people, short."""


def deeds_of(attempt: Attempt, level: Level) -> tuple[Deed, ...]:
    """Return what the attempt did at this level, in order."""
    readers: Mapping[Level, Callable[[Attempt], Iterable[Deed]]] = {
        "writes": _writes,
        "results": _results,
        "actions": _actions,
    }
    return tuple(readers[level](attempt))


def choose_level(attempts: Sequence[Attempt]) -> Level | None:
    """Return the level that fits the log by its vocabulary, or None.

    Example:
        >>> choose_level([]) is None
        True
    """
    from twiceshy.memory.contrast.vocabulary import choose_vocabulary

    chosen = choose_vocabulary(attempts)
    levels: Mapping[str, Level] = {"toolcalls": "writes", "calculations": "results"}
    return None if chosen is None else levels.get(chosen.name, "actions")


def is_lost(attempt: Attempt) -> bool:
    """Whether the log says that the run ended by a fatal step, not by running out of time.

    Then the last action is the fatal one.
    """
    return attempt.ending is not None and _LOST.search(attempt.ending) is not None


def call_text(call: ToolCall) -> str:
    """Return a call as one short line; free text in it is counted, not quoted.

    What a policy wrote into an argument may be copied from a page or a message, so only a shell
    command and values of a few words are shown.

    Example:
        >>> call_text(ToolCall(name="pay", arguments={"to": "ann", "amount": 5}))
        'pay(to=ann, amount=5)'
        >>> call_text(ToolCall(name="note", arguments={"text": "a b c d e f g"}))
        'note(text=(7 words))'
    """
    name = call.name if len(call.name.split()) == 1 else OTHER
    if isinstance(call.arguments, str):
        inside = _short(call.arguments)
    else:
        inside = ", ".join(
            f"{key}={_cut(value) if key in COMMAND_KEYS else _short(value)}"
            for key, value in call.arguments.items()
        )
    return _cut(f"{name}({inside})")


def _cut(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_short(item) for item in value[:6]) + "]"
    if isinstance(value, Mapping):
        return "/".join(_short(item) for item in value.values())
    words = str(value).split()
    return " ".join(words) if len(words) <= MAX_WORDS else f"({len(words)} words)"


def _writes(attempt: Attempt) -> Iterable[Deed]:
    return (_call_deed(m) for m in read_moves(attempt) if m.is_write and not m.is_error)


def _actions(attempt: Attempt) -> Iterable[Deed]:
    return (_call_deed(move) for move in read_moves(attempt))


def _call_deed(move: Move) -> Deed:
    name, arguments = move.canonical
    return Deed(f"{name} {arguments}", move.name, move.arguments, move.step, call_text(move.call))


def _results(attempt: Attempt) -> Iterable[Deed]:
    steps = [c for c in read_solution(attempt).calculations if c.result is not None]
    return (_result_deed(step, index) for index, step in enumerate(steps))


def _result_deed(step: Calculation, index: int) -> Deed:
    operators = step.arithmetic.operators if step.arithmetic else ()
    result = step.result if step.result is not None else float("nan")
    shown = f"{step.text.strip()} = {result:g}"
    name = " and ".join(OPERATIONS[sign] for sign in OPERATIONS if sign in operators)
    return Deed(f"{result:.6g}", name or "no operation", {}, index, shown[:MAX_SHOWN])
