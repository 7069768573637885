"""Events of the conversation around the calls: refusals, insisting, saying yes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from twiceshy.attempts.types import Attempt, Step
from twiceshy.memory.contrast import toolcalls_kinds as kinds
from twiceshy.memory.contrast.toolcalls_moves import Move

MAX_TEXT = 5_000
"""Characters of a message that are classified."""

_REFUSAL = re.compile(
    r"\b(?:can(?:no|')t|cannot|can not|unable to|not able to|not (?:allowed|permitted|possible)"
    r"|won['’]t be able|does(?:n['’]t| not) (?:allow|qualify)|not eligible|against (?:the )?policy"
    r"|can['’]t|must decline|have to decline)\b",
    re.IGNORECASE,
)
_CONFIRMATION = re.compile(
    r"\b(?:would you like (?:me )?to (?:proceed|go ahead|continue)|shall i|do you want me to"
    r"|(?:please )?confirm|\(yes/no\)|is (?:this|that) (?:correct|ok(?:ay)?))\b[^\n]*",
    re.IGNORECASE,
)
_REACTIONS = {
    "ends the conversation": r"###\w+###|\bgood ?bye\b|\bhave a (?:great|nice|good) day\b",
    "says yes": r"^\W*(?:yes|yeah|yep|sure|ok(?:ay)?|correct|confirmed?|please do|absolutely"
    r"|proceed|that(?:'s| is) (?:correct|right|fine))\b|\bplease proceed\b|\bgo ahead\b",
    "insists": r"\b(?:insist|really (?:need|want)|are you sure|is there any(?: other)? way"
    r"|any exception|make an exception|can(?:'|no)t you|still (?:want|need|like)|but i\b"
    r"|supervisor|manager|frustrat|disappoint|urgent|unacceptable|double[- ]check)",
    "declines": r"^\W*(?:no|nope|not really|never ?mind|don['’]t)\b|\bi (?:don['’]t|do not) want\b",
    "speaks of money": r"\b(?:refund|compensat|price|cost|pay|voucher|discount|\$[0-9])",
}
"""What a user message does; the first that fits counts."""

_COMPILED = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _REACTIONS.items()}
_NEUTRAL = "says something else"
_COUNTS = (2, 3)
_TURNS = (5, 8, 12)
_RUNS = (2, 3, 5, 8)


class Talk(NamedTuple):
    """The messages of a conversation, classified."""

    reactions: tuple[tuple[int, str], ...]
    """(step index, what the user's message does), the opening request included."""
    refusals: tuple[int, ...]
    """Step indices of the agent's messages that refuse."""
    confirmations: tuple[int, ...]
    """Step indices of the agent's messages that ask for a yes."""


def read_talk(attempt: Attempt) -> Talk:
    """Classify the messages of an attempt with regular expressions."""
    steps = list(enumerate(attempt.steps))
    written = [(i, s.text[:MAX_TEXT]) for i, s in steps if s.role == "assistant" and s.text]
    return Talk(
        reactions=tuple((i, reaction(s)) for i, s in steps if s.role == "user"),
        refusals=tuple(i for i, text in written if _REFUSAL.search(text)),
        confirmations=tuple(i for i, text in written if _CONFIRMATION.search(text)),
    )


def reaction(step: Step) -> str:
    """Return what a user's message does.

    Example:
        >>> reaction(Step(role="user", text="Yes, please proceed."))
        'says yes'
        >>> reaction(Step(role="user", text="My id is 12"))
        'says something else'
    """
    text = step.text[:MAX_TEXT]
    return next((name for name, shape in _COMPILED.items() if shape.search(text)), _NEUTRAL)


def talk_events(attempt: Attempt, moves: Sequence[Move]) -> Iterator[str]:
    """Yield the conversation events of an attempt that is a dialogue."""
    talk = read_talk(attempt)
    yield from _agent_events(attempt, talk, moves)
    yield from _user_events(talk, moves)
    yield from _turn_events(attempt, talk, moves)


def _agent_events(attempt: Attempt, talk: Talk, moves: Sequence[Move]) -> Iterator[str]:
    if talk.refusals:
        yield kinds.REFUSES()
        for tool in {move.name for move in moves if move.step > talk.refusals[0]}:
            yield kinds.REFUSES_THEN_CALLS(tool=tool)
    for k in _COUNTS:
        if len(talk.refusals) >= k:
            yield kinds.REFUSES_OFTEN(k=str(k))
        if len(talk.confirmations) >= k:
            yield kinds.ASKS_OFTEN(k=str(k))
    if talk.confirmations:
        yield kinds.ASKS_CONFIRMATION()
    first_call = moves[0].step if moves else len(attempt.steps)
    if any(s.role == "assistant" and "?" in s.text for s in attempt.steps[:first_call]):
        yield kinds.ASKS_FIRST()
    if any(step.calls and step.text.strip() for step in attempt.steps):
        yield kinds.TEXT_AND_CALL()


def _user_events(talk: Talk, moves: Sequence[Move]) -> Iterator[str]:
    after_opening = talk.reactions[1:]
    for name, count in Counter(each for _, each in after_opening).items():
        yield kinds.USER(reaction=name)
        for k in _COUNTS:
            if count >= k:
                yield kinds.USER_OFTEN(reaction=name, k=str(k))
    refused = set(talk.refusals)
    ends = [*(index for index, _ in after_opening[1:]), None]
    for (index, name), end in zip(after_opening, ends, strict=False):
        if index - 1 in refused:
            yield kinds.REFUSES_THEN(reaction=name)
        following = next((move for move in moves if move.step > index), None)
        if following is not None and (end is None or following.step < end):
            yield kinds.USER_THEN(reaction=name, tool=following.name)


def _turn_events(attempt: Attempt, talk: Talk, moves: Sequence[Move]) -> Iterator[str]:
    turns = len(talk.reactions)
    for k in _TURNS:
        if turns >= k:
            yield kinds.MANY_TURNS(k=str(k))
    bounds = [index for index, _ in talk.reactions] + [len(attempt.steps)]
    for (start, end), (_, name) in zip(pairwise(bounds), talk.reactions, strict=True):
        inside = [move for move in moves if start < move.step < end]
        writes = [move for move in inside if move.is_write and not move.is_error]
        if len(writes) > 1:
            yield kinds.SEVERAL_WRITES()
        for k in _RUNS:
            if len(inside) >= k:
                yield kinds.LONG_RUN(k=str(k))
        if name != "says yes":
            for move in inside:
                if move.is_write:
                    yield kinds.UNAFFIRMED()
                    yield kinds.UNAFFIRMED_TOOL(tool=move.name)
