"""Paths through trees, as prompts.

A problem is a tree with a start and a goal, given as a table: for each node its parent and the cue
of the edge to it, or nothing. Every node on the path has a right and a wrong child; a wrong child
is a dead end, at once or one node further. A cue is "+" or "-"; the right child of a pair is cued
"+" with probability `cue`, the wrong one with the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

Rung = Literal["none", "critique", "hint", "solution"]
RUNGS: tuple[Rung, ...] = get_args(Rung)
"""What a teacher is told, from nothing to the whole path."""

NODES = tuple("abcdefghijklmnopqrstuvwx")
EDGES = tuple(f"{node}{cue}" for node in NODES for cue in "+-")
"""Entries of the table: a parent and a cue."""
WORDS = (*NODES, *EDGES, "maybe", "wait", "check", "=", ".", "_", "not", "first", "path", "goal")
TOKEN: Mapping[str, int] = {word: index for index, word in enumerate(WORDS)}
MAX_DEPTH = 5
N_PROMPT = len(NODES) + 3 + 1 + MAX_DEPTH + 1
"""Tokens of a prompt: the table, the goal and the start, and room for what is told."""


class Domain(NamedTuple):
    """Where problems come from."""

    depths: tuple[int, ...]
    """Edges from start to goal."""
    cues: tuple[float, ...]
    """Chance that a cue is right; one is drawn a problem."""


BROAD = Domain((3, 4, 5), (0.5, 0.6, 0.7, 0.8, 0.9))
"""What the base is trained on."""
DOMAINS: Mapping[str, Domain] = {
    "in domain": Domain((3, 4), (0.8,)),
    "deeper": Domain((5,), (0.8,)),
    "cues that mislead": Domain((3, 4), (0.5,)),
    "deeper, cues that mislead": Domain((5,), (0.5,)),
}
TRAINED, HARD = "in domain", "deeper, cues that mislead"
"""What students are taught on, and what is farthest from it."""


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


def draw_problem(domain: Domain, rng: np.random.Generator) -> Problem:
    """Return a random problem.

    Example:
        >>> problem = draw_problem(DOMAINS["deeper"], np.random.default_rng(0))
        >>> len(problem.path), problem.children()[problem.path[0]][0][0] == problem.path[1]
        (6, True)
    """
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
    """Return what a teacher on a rung is told, as words; empty on rung "none".

    Args:
        problem: What it is asked.
        rung: How much it is told.
        mistake: The node a critique names; by default the first wrong one.

    Example:
        >>> problem = Problem((("a", "b", "+"), ("a", "c", "-"), ("b", "d", "+")), ("a", "b", "d"))
        >>> known(problem, "critique"), known(problem, "hint"), known(problem, "solution")
        (['not', 'c'], ['first', 'b'], ['path', 'a', 'b', 'd'])
    """
    if rung == "critique":
        return ["not", mistake or _first_wrong(problem)]
    if rung == "hint":
        return ["first", problem.path[1]]
    return ["path", *problem.path] if rung == "solution" else []


def _first_wrong(problem: Problem) -> str:
    start, right = problem.path[:2]
    return next(child for child, _ in problem.children()[start] if child != right)


def prompt_of(problem: Problem, told: Sequence[str] = ()) -> list[int]:
    """Return the prompt's tokens, of length N_PROMPT; what is told stands at its end.

    Example:
        >>> problem = Problem((("a", "b", "+"), ("a", "c", "-"), ("b", "d", "+")), ("a", "b", "d"))
        >>> words = [WORDS[token] for token in prompt_of(problem, ["not", "c"])]
        >>> words[:5], words[24:]
        (['_', 'a+', 'a-', 'b+', '_'], ['goal', 'd', 'a', 'not', 'c', '_', '_', '_', '_', '_'])
    """
    table = {child: parent + cue for parent, child, cue in problem.edges}
    words = [table.get(node, "_") for node in NODES]
    words += ["goal", problem.path[-1], problem.path[0]]
    words += [*told, *["_"] * (N_PROMPT - len(words) - len(told))]
    return [TOKEN[word] for word in words]
