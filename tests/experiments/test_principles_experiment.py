"""The experiment on principles, small: the learner obeys rules, every arm runs over HTTP."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from counting_server import by_model, serving

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "principles"

pytest.importorskip("torch", reason="needs the torch extra")


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    """The scripts of the folder, under their own names for as long as the tests run."""
    names = ("office", "plants", "learner", "report", "run")
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


def test_the_learner_obeys_rules_it_was_never_told_together(
    modules: dict[str, ModuleType],
) -> None:
    from twiceshy.principles import AnswerMatch, Asker, Executor, principle_block

    office = modules["office"].office_of(77)
    items = modules["office"].dealt(office, seed=5, n=60)
    executor = Executor(Asker(modules["learner"].learner(0)), AnswerMatch())
    without = executor.scores(items, step="none")
    told = executor.scores(items, step="told", block=principle_block(office.rules))
    assert without.mean() < 0.9
    assert told.mean() > 0.97


def test_plants_are_what_they_say(modules: dict[str, ModuleType]) -> None:
    from twiceshy.principles import Mistake

    office, other = modules["office"].office_of(1), modules["office"].office_of(2)
    items = modules["office"].dealt(office, seed=0, n=60)
    wrong = [each for each in items if each.answer in (office.colour_door, office.mark_door)]
    mistakes = [
        Mistake(id=str(n), example=each, text="Answer: x", answer="x")
        for n, each in enumerate(wrong)
    ]
    found = modules["plants"].plants(office, mistakes, [other], each=2, seed=0)
    by_sort = {sort: [p.lesson.text for p in found if p.sort == sort] for sort in
               modules["plants"].SORTS}  # fmt: skip
    assert set(by_sort["true"]) == set(office.rules)
    assert set(by_sort["foreign"]) <= set(other.rules)
    assert not set(by_sort["harmful"]) & set(office.rules)
    assert all(p.lesson.contrast for p in found)


@pytest.mark.slow  # about ten seconds of calls over HTTP
def test_every_arm_and_plant_runs_against_an_endpoint(
    modules: dict[str, ModuleType], tmp_path: Path
) -> None:
    pytest.importorskip("openai", reason="needs the openai extra")
    sizes = modules["run"].Sizes(
        n_offices=1, n_train=3, n_validation=10, n_test=5, n_plants=1, n_chains=2
    )
    with serving(by_model(modules["learner"].learner(0))) as server:
        found = modules["run"].run_endpoint(server.url, "m", folder=tmp_path, sizes=sizes)
        assert set(found["arms"]) == set(modules["run"].ARMS)
        assert found["calls_equal_the_formula"] == found["n_offices"] == 1
        n = server.n_received
        again = modules["run"].run_endpoint(server.url, "m", folder=tmp_path, sizes=sizes)
        assert (server.n_received, again) == (n, found)
