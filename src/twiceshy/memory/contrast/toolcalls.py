"""The vocabulary of tool calls: what is called, in which order, with what, and in which situation.

Fits any log with tool calls: customer-service dialogues, coding agents, web agents. Nothing in it
knows a domain. Tools, arguments and fields are those of the log; which fields describe a situation
is decided by how few distinct values they take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from twiceshy.attempts.types import Attempt
from twiceshy.memory.contrast import toolcalls_kinds as kinds
from twiceshy.memory.contrast.toolcalls_moves import (
    Move,
    error_kind,
    read_moves,
    schema_words,
)
from twiceshy.memory.contrast.toolcalls_records import (
    SAFE_VALUE,
    Action,
    changes,
    facts_of,
    read_actions,
    situation_fields,
)
from twiceshy.memory.contrast.toolcalls_seen import unseen_arguments
from twiceshy.memory.contrast.toolcalls_talk import talk_events
from twiceshy.memory.contrast.vocabulary import Phrase

MAX_ORDERED_TOOLS = 16
"""Order is told only of the tools that occur in most attempts, to keep pairs few."""
MAX_VALUES = 8
"""Distinct values up to which an argument of a write is told by value."""

_TIMES = (2, 3, 5)
_ERRORS = (2, 3)
_CALLS = (3, 5, 10, 20)
_FEW_CALLS = (1, 2)
_MESSAGES = (20, 30, 40, 60)
_FEW_MESSAGES = (10, 16)
_CHARACTERS = (200, 400)


class Context(NamedTuple):
    """What is known of the whole log, labels left out."""

    ordered: frozenset[str]
    known_words: frozenset[str]
    situation: frozenset[str]
    told_arguments: frozenset[tuple[str, str]]
    is_dialogue: bool


class ToolCalls:
    """Events of logs with tool calls. See `toolcalls_kinds` for all."""

    name = "toolcalls"

    def accepts(self, attempts: Sequence[Attempt]) -> bool:
        """Whether at least half of the attempts call a tool."""
        with_calls = sum(any(step.calls for step in each.steps) for each in attempts)
        return bool(attempts) and with_calls >= len(attempts) / 2

    def events(self, attempts: Sequence[Attempt]) -> list[frozenset[str]]:
        """Return the events of each attempt; of the others only tool and field names are used."""
        runs = [read_moves(each) for each in attempts]
        actions = [list(read_actions(moves)) for moves in runs]
        context = _context(attempts, runs, actions)
        return [
            frozenset(_events(attempt, moves, acted, context))
            for attempt, moves, acted in zip(attempts, runs, actions, strict=True)
        ]

    def phrase(self, event: str) -> Phrase:
        """Return the words for an event of this vocabulary.

        Example:
            >>> ToolCalls().phrase("calls pay without check before it").instead
            'Call check before pay'
        """
        return kinds.KINDS.phrase(event)


def events_of_one(attempt: Attempt, context: Context) -> frozenset[str]:
    """Return the events of one attempt, of which a whole log need not be at hand.

    Args:
        attempt: An attempt, possibly not finished yet.
        context: What `ToolCalls.events` finds out from the log: here, what the caller looks for.
    """
    moves = read_moves(attempt)
    return frozenset(_events(attempt, moves, list(read_actions(moves)), context))


def _context(
    attempts: Sequence[Attempt],
    runs: Sequence[Sequence[Move]],
    actions: Sequence[Sequence[Action]],
) -> Context:
    occurs = Counter(name for moves in runs for name in {move.name for move in moves})
    values: dict[tuple[str, str], set[str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for moves in runs:
        for move, argument, value in _plain_arguments(moves):
            values.setdefault((move.name, argument), set()).add(value)
            counts[move.name, argument] += 1
    turns = [sum(step.role == "user" for step in each.steps) for each in attempts]
    return Context(
        ordered=frozenset(name for name, _ in occurs.most_common(MAX_ORDERED_TOOLS)),
        known_words=frozenset(schema_words([move for moves in runs for move in moves])),
        situation=situation_fields(actions),
        told_arguments=frozenset(
            key
            for key, seen in values.items()
            if len(seen) <= MAX_VALUES and counts[key] >= 4 * len(seen)
        ),
        is_dialogue=sum(n >= 2 for n in turns) > len(turns) / 2,
    )


def _plain_arguments(moves: Sequence[Move]) -> Iterator[tuple[Move, str, str]]:
    """Yield (write, argument, value) for arguments that are short plain words."""
    for move in moves:
        if move.is_write:
            for name, value in move.arguments.items():
                text = str(value).lower() if isinstance(value, bool) else str(value)
                is_plain = isinstance(value, str | int | bool) and SAFE_VALUE.fullmatch(text)
                if is_plain and SAFE_VALUE.fullmatch(str(name)):
                    yield move, str(name), text


def _events(
    attempt: Attempt, moves: Sequence[Move], actions: Sequence[Action], context: Context
) -> Iterator[str]:
    yield from _presence(moves)
    yield from _length(attempt, moves)
    yield from _repetition(moves)
    yield from _order(moves, context.ordered)
    yield from _errors(attempt, moves, context.known_words)
    yield from _arguments(attempt, moves, context)
    yield from _situations(actions, context.situation)
    if context.is_dialogue:
        yield from talk_events(attempt, moves)


def _presence(moves: Sequence[Move]) -> Iterator[str]:
    done = [move for move in moves if move.is_write and not move.is_error]
    if not moves:
        yield kinds.NO_CALL()
    if not done:
        yield kinds.NO_WRITE()
    for k in (1, 2, 3):
        if len(done) >= k:
            yield kinds.WRITES(k=str(k))
    for move in moves:
        yield kinds.CALLS(tool=move.name)
    for move in done:
        yield kinds.SUCCEEDS(tool=move.name)
    if moves:
        yield kinds.FIRST(tool=moves[0].name)
        yield kinds.LAST(tool=moves[-1].name)


def _length(attempt: Attempt, moves: Sequence[Move]) -> Iterator[str]:
    messages = len(attempt.steps)
    yield from (kinds.MANY_CALLS(k=str(k)) for k in _CALLS if len(moves) >= k)
    yield from (kinds.FEW_CALLS(k=str(k)) for k in _FEW_CALLS if len(moves) <= k)
    yield from (kinds.MANY_MESSAGES(k=str(k)) for k in _MESSAGES if messages >= k)
    yield from (kinds.FEW_MESSAGES(k=str(k)) for k in _FEW_MESSAGES if messages < k)
    texts = [len(s.text) for s in attempt.steps if s.role == "assistant" and s.text]
    mean = sum(texts) / len(texts) if texts else 0
    yield from (kinds.LONG_TEXTS(k=str(k)) for k in _CHARACTERS if mean >= k)


def _repetition(moves: Sequence[Move]) -> Iterator[str]:
    for tool, count in Counter(move.name for move in moves).items():
        yield from (kinds.OFTEN(tool=tool, k=str(k)) for k in _TIMES if count >= k)
    done = Counter(move.name for move in moves if move.is_write and not move.is_error)
    yield from (kinds.WRITES_TWICE(tool=tool) for tool, count in done.items() if count > 1)
    identical = Counter((move.name, move.canonical) for move in moves)
    for (tool, _), count in identical.items():
        if count > 1:
            yield kinds.IDENTICAL()
            yield kinds.IDENTICAL_TOOL(tool=tool)


def _order(moves: Sequence[Move], ordered: frozenset[str]) -> Iterator[str]:
    names = [move.name for move in moves if move.name in ordered]
    for first, then in pairwise(names):
        yield kinds.DIRECTLY(first=first, then=then)
    for then in set(names):
        before = set(names[: names.index(then)])
        yield from (kinds.BEFORE(first=first, then=then) for first in before)
        yield from (kinds.WITHOUT(first=first, then=then) for first in ordered - before - {then})


def _errors(attempt: Attempt, moves: Sequence[Move], known: frozenset[str]) -> Iterator[str]:
    failed = [move for move in moves if move.is_error]
    if failed:
        yield kinds.ERROR()
    yield from (kinds.ERRORS(k=str(k)) for k in _ERRORS if len(failed) >= k)
    for tool, count in Counter(move.name for move in failed).items():
        yield kinds.ERROR_OF(tool=tool)
        yield from (kinds.ERRORS_OF(tool=tool, k=str(k)) for k in _ERRORS if count >= k)
    for move in failed:
        yield kinds.ERROR_KIND(tool=move.name, error=error_kind(move.error_text, known=known))
    for index, move in enumerate(moves):
        if move.is_error:
            yield from _after_error(attempt, move, moves[index + 1 :])


def _after_error(attempt: Attempt, move: Move, later: Sequence[Move]) -> Iterator[str]:
    again = next((each for each in later if each.name == move.name), None)
    if again is not None and again.canonical == move.canonical:
        yield kinds.RETRY()
    if not later:
        yield kinds.STOPS_AFTER_ERROR()
        return
    between = attempt.steps[move.step + 1 : later[0].step]
    if any(step.role == "user" for step in between):
        yield kinds.TALKS_AFTER_ERROR()
    else:
        yield kinds.AFTER_ERROR(tool=later[0].name)


def _arguments(attempt: Attempt, moves: Sequence[Move], context: Context) -> Iterator[str]:
    for move, argument in unseen_arguments(attempt, moves):
        yield kinds.UNSEEN(tool=move.name, argument=argument)
    for move, argument, value in _plain_arguments(moves):
        if (move.name, argument) in context.told_arguments:
            yield kinds.WITH_VALUE(tool=move.name, argument=argument, value=value)


def _situations(actions: Sequence[Action], fields: frozenset[str]) -> Iterator[str]:
    """Yield what holds of the records a write acts on, and what it changes of them."""
    for action in actions:
        if not action.move.is_write:
            continue
        tool = action.move.name
        if action.names_unknown:
            yield kinds.NOT_LOOKED_UP(tool=tool)
        facts = sorted({f for r in action.records for f in facts_of(r) if f.field in fields})
        changed = sorted(set(changes(action)))
        yield from (kinds.CHANGE(tool=tool, change=change) for change in changed)
        for fact in facts:
            yield kinds.SITUATION(tool=tool, field=fact.field, value=fact.value)
            for change in changed:
                if change.startswith("keeping"):
                    continue
                yield kinds.SITUATION_CHANGE(
                    tool=tool, change=change, field=fact.field, value=fact.value
                )
        for one, other in combinations(facts, 2):
            yield kinds.SITUATION_PAIR(
                tool=tool,
                field=one.field,
                value=one.value,
                field2=other.field,
                value2=other.value,
            )
