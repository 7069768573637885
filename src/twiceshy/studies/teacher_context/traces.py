"""Traces of a searcher that may know something, and how they are judged and edited.

It tries cued children first, says "maybe" where the cues do not tell, "wait" where it turns back,
and "check" before it answers with the path. What it knows beforehand (a wrong child, the first
right child, the whole path) it uses in silence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twiceshy.attempts.lexicons import Lexicon
from twiceshy.studies.teacher_context.problems import NODES, TOKEN, WORDS, Problem

END = TOKEN["."]
N_RESPONSE = 56
"""Tokens of a response at most."""
MARKERS = ("maybe", "wait", "check")
LEXICON = Lexicon(
    language="tree search",
    phrases={"doubt": ("maybe",), "backtrack": ("wait",), "self_check": ("check",)},
)
"""The same words for the library's checks."""


def trace(problem: Problem, told: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return a right trace of the searcher that knows what it was told.

    Args:
        problem: What it is asked.
        told: What it knows, as `problems.known` gives it.
        rng: Decides between children whose cues are alike.

    Example:
        >>> problem = Problem((("a", "b", "-"), ("a", "c", "+"), ("b", "d", "+")), ("a", "b", "d"))
        >>> " ".join(trace(problem, [], np.random.default_rng(0)))
        'a c wait a b d check = a b d .'
        >>> " ".join(trace(problem, ["path", "a", "b", "d"], np.random.default_rng(0)))
        'a b d = a b d .'
    """
    if told and told[0] == "path":
        return [*problem.path, "=", *problem.path, "."]
    children, goal = problem.children(), problem.path[-1]
    words, here = [problem.path[0]], [problem.path[0]]
    tried: set[str] = {told[1]} if told and told[0] == "not" else set()
    while here[-1] != goal:
        left = [each for each in children.get(here[-1], []) if each[0] not in tried]
        if not left:
            here.pop()
            words += ["wait", here[-1]]
            continue
        sure = told[1] if told and told[0] == "first" and len(here) == 1 else None
        child, doubts = _choice(left, sure, rng)
        words += ["maybe", child] if doubts else [child]
        tried.add(child)
        here.append(child)
    return [*words, "check", "=", *here, "."]


def _choice(
    left: Sequence[tuple[str, str]], sure: str | None, rng: np.random.Generator
) -> tuple[str, bool]:
    if sure is not None and any(child == sure for child, _ in left):
        return sure, False
    best = [child for child, cue in left if cue == "+"] or [child for child, _ in left]
    return best[int(rng.integers(len(best)))], len(best) > 1


def tokens_of(words: Sequence[str]) -> list[int]:
    """Return a response's tokens, padded with end tokens to N_RESPONSE."""
    tokens = [TOKEN[word] for word in words][:N_RESPONSE]
    return tokens + [END] * (N_RESPONSE - len(tokens))


def words_of(tokens: Sequence[int]) -> list[str]:
    """Return a response's words up to and with its end.

    Example:
        >>> words_of(tokens_of(["a", "=", "a", "."]))
        ['a', '=', 'a', '.']
    """
    words: list[str] = []
    for token in tokens:
        words.append(WORDS[token])
        if token == END:
            break
    return words


def answer_of(words: Sequence[str]) -> tuple[str, ...] | None:
    """Return the path that a response answers with; None where it does not.

    Example:
        >>> answer_of("a b check = a b .".split()), answer_of("a b check = a b".split())
        (('a', 'b'), None)
    """
    if not words or words[-1] != "." or words.count("=") != 1:
        return None
    return tuple(words[list(words).index("=") + 1 : -1])


def is_right(problem: Problem, words: Sequence[str]) -> bool:
    """Return whether the answer is the path from start to goal; in a tree there is one."""
    return answer_of(words) == problem.path


def is_straight(problem: Problem, words: Sequence[str]) -> bool:
    """Return whether a trace has at most one word more than the solution written down."""
    return len(words) <= 2 * len(problem.path) + 3


def first_mistake(problem: Problem, words: Sequence[str]) -> str | None:
    """Return the first wrong node of a failed answer, or of the trace where there is no answer."""
    answer = answer_of(words) or tuple(word for word in words if word in NODES)
    return next((node for node in answer if node not in problem.path and node in NODES), None)


def markers_per_hundred(traces: Sequence[Sequence[str]]) -> float:
    """Return marker words a hundred words.

    Example:
        >>> markers_per_hundred([["a", "maybe", "b", "."], ["a", "b", "check", "."]])
        25.0
    """
    n = sum(len(words) for words in traces)
    return 100 * sum(word in MARKERS for words in traces for word in words) / n


def without_markers(words: Sequence[str]) -> list[str]:
    """Return a trace with its search kept and its markers taken out."""
    return [word for word in words if word not in MARKERS]


def with_markers(words: Sequence[str], share: float, rng: np.random.Generator) -> list[str]:
    """Return a trace with "maybe" before a share of its steps and "check" before its answer."""
    cut = list(words).index("=")
    marked: list[str] = [words[0]]
    for word in words[1:cut]:
        marked += ["maybe", word] if rng.random() < share else [word]
    return [*marked, "check", *words[cut:]]
