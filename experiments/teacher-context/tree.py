"""Paths through trees, and the traces of a searcher that may know something.

A problem is a tree with a start and a goal, given as a table: for each node its parent and the cue
of the edge to it, or nothing. Every node on the path has a right and a wrong child; a wrong child
is a dead end, at once or one node further. A cue is "+" or "-"; the right child of a pair is cued
"+" with probability `cue`, the wrong one with the rest. A searcher tries cued children first, says
"maybe" where the cues do not tell, "wait" where it turns back, and "check" before it answers with
the path.

What it knows beforehand (a wrong child, the first right child, the whole path) it uses in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from twiceshy.attempts.lexicons import Lexicon

Rung = Literal["none", "critique", "hint", "solution"]
RUNGS: tuple[Rung, ...] = get_args(Rung)

NODES = tuple("abcdefghijklmnopqrstuvwx")
EDGES = tuple(f"{node}{cue}" for node in NODES for cue in "+-")
"""Entries of the table: a parent and a cue."""
WORDS = (*NODES, *EDGES, "maybe", "wait", "check", "=", ".", "_", "not", "first", "path", "goal")
TOKEN: Mapping[str, int] = {word: index for index, word in enumerate(WORDS)}
END, PAD = TOKEN["."], TOKEN["_"]
MAX_DEPTH = 5
N_PROMPT = len(NODES) + 3 + 1 + MAX_DEPTH + 1
N_RESPONSE = 56
MARKERS = ("maybe", "wait", "check")
LEXICON = Lexicon(
    language="tree search",
    phrases={"doubt": ("maybe",), "backtrack": ("wait",), "self_check": ("check",)},
)


class Domain(NamedTuple):
    """Where problems come from."""

    depths: tuple[int, ...]
    """Edges from start to goal."""
    cues: tuple[float, ...]
    """Chance that a cue is right; one is drawn a problem."""


BROAD = Domain((3, 4, 5), (0.5, 0.6, 0.7, 0.8, 0.9))
DOMAINS: Mapping[str, Domain] = {
    "in domain": Domain((3, 4), (0.8,)),
    "deeper": Domain((5,), (0.8,)),
    "cues that mislead": Domain((3, 4), (0.5,)),
    "deeper, cues that mislead": Domain((5,), (0.5,)),
}
TRAINED, HARD = "in domain", "deeper, cues that mislead"


class Problem(NamedTuple):
    """A tree with its solution."""

    edges: tuple[tuple[str, str, str], ...]
    """(parent, child, cue)."""
    path: tuple[str, ...]
    """From start to goal."""

    @property
    def name(self) -> str:
        """Identity: the edges and the ends."""
        return " ".join("".join(edge) for edge in self.edges) + f" {self.path[0]}{self.path[-1]}"

    def children(self) -> dict[str, list[tuple[str, str]]]:
        """Return (child, cue) by parent."""
        found: dict[str, list[tuple[str, str]]] = {}
        for parent, child, cue in self.edges:
            found.setdefault(parent, []).append((child, cue))
        return found


def draw(domain: Domain, rng: np.random.Generator) -> Problem:
    """Return a random problem."""
    depth, cue = int(rng.choice(domain.depths)), float(rng.choice(domain.cues))
    names = [NODES[i] for i in rng.permutation(len(NODES))]
    path = [names.pop()]
    edges: list[tuple[str, str, str]] = []
    for _ in range(depth):
        right, wrong = names.pop(), names.pop()
        edges.append((path[-1], right, "+" if rng.random() < cue else "-"))
        edges.append((path[-1], wrong, "-" if rng.random() < cue else "+"))
        if rng.random() < 0.5:
            edges.append((wrong, names.pop(), "+-"[int(rng.integers(2))]))
        path.append(right)
    return Problem(tuple(edges), tuple(path))


def known(problem: Problem, rung: Rung, *, mistake: str | None = None) -> list[str]:
    """Return what a teacher on a rung is told, as words; empty on rung "none"."""
    if rung == "critique":
        return ["not", mistake or first_wrong(problem)]
    if rung == "hint":
        return ["first", problem.path[1]]
    return ["path", *problem.path] if rung == "solution" else []


def first_wrong(problem: Problem) -> str:
    """Return the wrong child of the start."""
    start, right = problem.path[:2]
    return next(child for child, _ in problem.children()[start] if child != right)


def prompt_of(problem: Problem, told: Sequence[str] = ()) -> list[int]:
    """Return the prompt's tokens, of length N_PROMPT; what is told stands at its end."""
    table = {child: parent + cue for parent, child, cue in problem.edges}
    words = [table.get(node, "_") for node in NODES]
    words += ["goal", problem.path[-1], problem.path[0]]
    words += [*told, *["_"] * (N_PROMPT - len(words) - len(told))]
    return [TOKEN[word] for word in words]


def trace(problem: Problem, told: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return a right trace of the searcher that knows what it was told."""
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
    """Return a response's words up to and with its end."""
    words: list[str] = []
    for token in tokens:
        words.append(WORDS[token])
        if token == END:
            break
    return words


def answer_of(words: Sequence[str]) -> tuple[str, ...] | None:
    """Return the path that a response answers with; None where it does not."""
    if not words or words[-1] != "." or words.count("=") != 1:
        return None
    return tuple(words[list(words).index("=") + 1 : -1])


def is_right(problem: Problem, words: Sequence[str]) -> bool:
    """Return whether the answer is the path from start to goal; in a tree there is one."""
    return answer_of(words) == problem.path


def first_mistake(problem: Problem, words: Sequence[str]) -> str | None:
    """Return the first wrong node of a failed answer, or of the trace where there is no answer."""
    answer = answer_of(words) or tuple(word for word in words if word in NODES)
    return next((node for node in answer if node not in problem.path and node in NODES), None)


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
