"""The prompts of experiments/told-failures: what is told, and that items are balanced and apart."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "told-failures"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"told_failures_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


prompts = _load("prompts")
PARCEL = prompts.WORLDS[0]
ITEM = prompts.Item(
    PARCEL,
    "K7",
    "red",
    "blue",
    "blue",
    "red",
    (("M2", "green", "white"), *[("N3", "red", "blue")] * 2),
)


@pytest.mark.parametrize(
    ("arm", "lines"),
    [
        ("none", []),
        ("placebo", ["parcel M2 failed at the white door."]),
        ("positive", ["parcel K7 went through at the blue door."]),
        ("failure", ["parcel K7 failed at the red door."]),
        ("never", ["never take parcel K7 to the red door."]),
        ("instead", ["take parcel K7 to the blue door instead of the red door."]),
        ("penalty", []),
        ("failure_penalty", ["parcel K7 failed at the red door."]),
    ],
)
def test_what_each_arm_tells(arm: str, lines: list[str]) -> None:
    assert prompts.lesson_lines(ITEM, arm, rng=random.Random(0)) == lines


def test_the_prompt_ends_before_the_word_that_decides() -> None:
    assert prompts.prompt_of(ITEM, "failure") == (
        "Lesson: parcel K7 failed at the red door.\n"
        "Task: parcel K7. Doors: red or blue.\n"
        "Answer: the"
    )


def test_distractors_are_about_other_names() -> None:
    lines = prompts.lesson_lines(ITEM, "failure_3_distractors", rng=random.Random(0))
    assert len(lines) == 4
    assert sum("K7" in line for line in lines) == 1


def test_only_the_structural_arms_take_nats_off_and_only_off_the_wrong_option() -> None:
    taken = {arm: prompts.penalties(ITEM, arm) for arm in prompts.ARMS}
    assert {arm for arm, nats in taken.items() if any(nats)} == {"penalty", "failure_penalty"}
    assert taken["penalty"] == (0.0, prompts.PENALTY_NATS)


@pytest.mark.parametrize("world", prompts.WORLDS, ids=lambda world: world.name)
def test_items_are_balanced_and_training_shares_nothing_with_them(world: object) -> None:
    asked = prompts.make_items(world, 40, seed=0)
    trained = prompts.make_items(world, 40, seed=1, names="seen")
    assert sum(item.right == item.first for item in asked) == 20
    assert all(item.right != item.wrong for item in [*asked, *trained])
    assert not {item.name for item in asked} & {item.name for item in trained}
    words = [{w for item in items for w in item.options} for items in (asked, trained)]
    assert not words[0] & words[1]


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("the blue door", True),
        ("red", False),
        ("blue, not red", True),
        ("red or blue", False),
        ("i do not know", None),
        ("", None),
    ],
)
def test_an_answer_in_words_that_names_no_option_is_unread_and_not_wrong(
    said: str, right: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setitem(sys.modules, "prompts", prompts)
    assert _load("run").read(said, ITEM) is right
