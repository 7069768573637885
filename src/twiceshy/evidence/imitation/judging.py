"""Judgements of pairs of answers: read from a file, or asked of a language model in both orders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from twiceshy.errors import BadInput
from twiceshy.models import Completer, complete_each, request_of

Winner = Literal["first", "second", "draw"]

_PROMPT = """Task:
{task}

Answer A:
{first}

Answer B:
{second}

Which answer is better? Reply with one word: A, B or TIE."""
_BARE = re.compile(r"\W*(?:answer\W+)?(a|b|tie|draw)\W*", re.IGNORECASE)
"""A reply that is the one word."""
_NAMED = re.compile(
    r"\b(?:(A\b(?!\s+(?!is\b|was\b|wins\b|has\b|seems\b|and\b|or\b)[a-z])|B\b)|((?i:tie|draw))\b)"
)
"""A and B as names in a sentence. "A" before another word is the article ("A language model")."""


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement of two answers to one task, in the order in which the judge saw them.

    Example:
        >>> Preference(task="q1", first="student", second="teacher", winner="first").winner
        'first'
    """

    task: str
    first: str
    """Who gave the answer shown first: base, student, teacher or resample."""
    second: str
    winner: Winner
    draw: int = 0
    """Which repetition of the same question to the judge."""


class Battle(NamedTuple):
    """What the judge said of one pair, both orders put together."""

    task: str
    first: str
    second: str
    score: float
    """1: the first is preferred, 0: the second, 0.5: a draw, also when the orders disagree."""
    n_orders: int


class Hygiene(NamedTuple):
    """What is known of the judge apart from whom it prefers."""

    n_judgements: int
    n_battles: int
    n_both_orders: int
    n_disagreeing: int
    """Battles in which the winner depends on the order; they count as draws."""
    first_wins: float | None
    """Share of decided judgements, among battles with both orders, won by the answer shown first;
    0.5 is fair."""
    draws: float | None
    """Share of battles that are draws."""


def read_preferences(path: str | PathLike[str]) -> tuple[Preference, ...]:
    """Return the judgements of a JSONL file, one object a line with the fields of `Preference`.

    Raises:
        BadInput: A line that is not one, with its number.
    """
    found: list[Preference] = []
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise BadInput("a readable file", got=str(error), where=str(path)) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(msgspec.json.decode(line, type=Preference))
        except msgspec.MsgspecError as error:
            raise BadInput(
                'a judgement as {"task": …, "first": "student", "second": "teacher", '
                '"winner": "first"|"second"|"draw"}',
                got=str(error),
                where=f"{path}:{number}",
            ) from error
    return tuple(found)


def battles(preferences: Iterable[Preference]) -> tuple[tuple[Battle, ...], Hygiene]:
    """Put judgements of the same pair together, and say what they show of the judge.

    Repeated draws of one order are averaged; a pair that wins in one order and not in the other is
    a draw.

    Example:
        >>> one = Preference(task="q", first="student", second="teacher", winner="first")
        >>> two = Preference(task="q", first="teacher", second="student", winner="first")
        >>> found, hygiene = battles([one, two])
        >>> found[0].score, hygiene.first_wins, hygiene.n_disagreeing
        (0.5, 1.0, 1)
    """
    orders: dict[tuple[str, str, str], dict[bool, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    n = 0
    for each in preferences:
        n += 1
        if each.first == each.second:
            raise BadInput("two different sides", got=f"{each.first!r} twice", where=each.task)
        a, b = sorted((each.first, each.second))
        shown = {"first": 1.0, "second": 0.0, "draw": 0.5}[each.winner]
        is_swapped = each.first != a
        orders[each.task, a, b][is_swapped].append(1 - shown if is_swapped else shown)
    fought = tuple(_battle(key, found) for key, found in orders.items())
    return fought, _hygiene(n, fought, list(orders.values()))


def _battle(key: tuple[str, str, str], orders: dict[bool, list[float]]) -> Battle:
    winners = {_winner(sum(found) / len(found)) for found in orders.values()}
    score = winners.pop() if len(winners) == 1 else 0.5
    return Battle(*key, score, len(orders))


def _winner(mean: float) -> float:
    return 1.0 if mean > 0.5 else 0.0 if mean < 0.5 else 0.5


def _hygiene(
    n: int, fought: Sequence[Battle], orders: Sequence[dict[bool, list[float]]]
) -> Hygiene:
    both = [found for found in orders if len(found) == 2]
    disagreeing = sum(
        {_winner(float(np.mean(found[side]))) for side in (False, True)} == {0.0, 1.0}
        for found in both
    )
    decided = [
        score if not swapped else 1 - score
        for found in both
        for swapped, scores in found.items()
        for score in scores
        if score != 0.5
    ]
    return Hygiene(
        n_judgements=n,
        n_battles=len(fought),
        n_both_orders=len(both),
        n_disagreeing=disagreeing,
        first_wins=sum(decided) / len(decided) if decided else None,
        draws=sum(b.score == 0.5 for b in fought) / len(fought) if fought else None,
    )


class Question(NamedTuple):
    """Two answers to put before a judge."""

    task: str
    prompt: str
    first: str
    second: str
    first_text: str
    second_text: str


class Asked(NamedTuple):
    """What a judge said."""

    preferences: tuple[Preference, ...]
    n_unreadable: int
    """Replies that named neither answer nor a tie; they are left out."""
    n_unanswered: int
    """Questions that got no reply."""


def ask_judge(
    questions: Sequence[Question],
    *,
    judge: Completer,
    progress: Callable[[int, int], object] | None = None,
) -> Asked:
    """Ask a language model about every pair, in both orders.

    Args:
        questions: Pairs of answers.
        judge: Two requests a question.
        progress: Called with (requests done, all).

    Example:
        >>> from twiceshy.models import ScriptedCompleter
        >>> question = Question("q", "2 + 2?", "student", "teacher", "4", "Four")
        >>> asked = ask_judge([question], judge=ScriptedCompleter({"2 + 2?": "A"}))
        >>> [each.winner for each in asked.preferences]
        ['first', 'first']
    """
    shown = [
        each._replace(first=a, second=b, first_text=a_text, second_text=b_text)
        for each in questions
        for (a, a_text), (b, b_text) in _orders(each)
    ]
    requests = [
        request_of(
            _PROMPT.format(task=q.prompt, first=q.first_text, second=q.second_text), max_tokens=8
        )
        for q in shown
    ]
    replies = complete_each(judge, requests, progress=progress)
    found: list[Preference] = []
    n_unreadable = 0
    for q, reply in zip(shown, replies, strict=True):
        winner = _winner_named(reply.text) if reply.answered else None
        if winner is not None:
            found.append(Preference(task=q.task, first=q.first, second=q.second, winner=winner))
        n_unreadable += reply.answered and winner is None
    return Asked(tuple(found), n_unreadable, sum(not reply.answered for reply in replies))


def _orders(question: Question) -> tuple[tuple[tuple[str, str], tuple[str, str]], ...]:
    first = (question.first, question.first_text)
    second = (question.second, question.second_text)
    return (first, second), (second, first)


def _winner_named(reply: str) -> Winner | None:
    bare = _BARE.fullmatch(reply)
    if bare is not None:
        word = bare.group(1).upper()
        return "first" if word == "A" else "second" if word == "B" else "draw"
    found = _NAMED.findall(reply)
    named = {letter for letter, _ in found if letter}
    if any(word for _, word in found):
        return "draw"
    if len(named) != 1:
        return None
    return "first" if named == {"A"} else "second"
