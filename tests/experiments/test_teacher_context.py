"""The experiment on teacher contexts: its traces are what it says, and the quick chain runs."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "teacher-context"

pytest.importorskip("torch", reason="needs the torch extra")


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    """The scripts of the folder, under their own names for as long as the tests run."""
    names = ("tree", "base", "study", "report", "run")
    before = {name: sys.modules.pop(name, None) for name in names}
    sys.path.insert(0, str(FOLDER))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(FOLDER))
        for name, held in before.items():
            sys.modules.pop(name, None)
            if held is not None:
                sys.modules[name] = held


def said_of(text: str) -> list[str]:
    """The words of a trace."""
    return text.split()


def test_every_trace_is_right_and_the_more_is_told_the_shorter_and_surer_it_is(
    modules: dict[str, ModuleType],
) -> None:
    tree = modules["tree"]
    rng = np.random.default_rng(0)
    problems = [tree.draw(tree.DOMAINS[tree.HARD], rng) for _ in range(200)]
    words = {
        rung: [tree.trace(each, tree.known(each, rung), rng) for each in problems]
        for rung in tree.RUNGS
    }
    for traces in words.values():
        assert all(tree.is_right(p, t) for p, t in zip(problems, traces, strict=True))
        assert all(len(t) <= tree.N_RESPONSE for t in traces)
    length = {rung: np.mean([len(t) for t in words[rung]]) for rung in tree.RUNGS}
    assert length["none"] > max(length["critique"], length["hint"]) > length["solution"]
    assert min(length["critique"], length["hint"]) > length["solution"]
    assert not any(set(t) & set(tree.MARKERS) for t in words["solution"])
    assert sum("wait" in t for t in words["none"]) > 150


def test_a_trace_goes_only_along_edges(modules: dict[str, ModuleType]) -> None:
    tree = modules["tree"]
    rng = np.random.default_rng(1)
    for _ in range(100):
        problem = tree.draw(tree.BROAD, rng)
        pairs = {(parent, child) for parent, child, _ in problem.edges}
        said = tree.trace(problem, [], rng)
        walked = [word for word in said[: said.index("=")] if word in (*tree.NODES, "wait")]
        for before, after in itertools.pairwise(walked):
            back = before == "wait" or after == "wait"
            assert back or (before, after) in pairs


def test_edits_change_what_they_say_and_nothing_else(modules: dict[str, ModuleType]) -> None:
    tree = modules["tree"]
    said = said_of("a maybe b wait a c check = a c .")
    assert tree.without_markers(said) == said_of("a b a c = a c .")
    marked = tree.with_markers(said_of("a c d = a c d ."), 1.0, np.random.default_rng(0))
    assert marked == said_of("a maybe c maybe d check = a c d .")
    assert tree.answer_of(marked) == ("a", "c", "d")


def test_the_first_mistake_is_a_wrong_node(modules: dict[str, ModuleType]) -> None:
    tree = modules["tree"]
    problem = tree.Problem((("a", "b", "+"), ("a", "c", "-"), ("b", "d", "+")), ("a", "b", "d"))
    assert tree.first_mistake(problem, said_of("a c check = a c d .")) == "c"
    assert tree.first_mistake(problem, said_of("a c")) == "c"
    assert tree.first_mistake(problem, said_of("a b check = a b d .")) is None
    assert tree.is_right(problem, said_of("a b d check = a b d ."))
    assert not tree.is_right(problem, said_of("a b d check = a b d"))
