"""The shipped attempts, read without textworld."""

from __future__ import annotations

import gzip
from collections import defaultdict

import pytest

from twiceshy.attempts.codec import attempt_id, decode_attempt, decode_lesson
from twiceshy.attempts.types import Attempt
from twiceshy.demo_data import DemoName, demo_path
from twiceshy.errors import BadInput
from twiceshy.integrations.textworld import ARMS, POLICY, policy_name
from twiceshy.memory.contrast.conditions import Conditions, matches
from twiceshy.memory.contrast.conditions_lessons import mine_conditions


def _read(name: DemoName) -> list[Attempt]:
    lines = gzip.decompress(demo_path(name).read_bytes()).splitlines()
    return [decode_attempt(line) for line in lines]


@pytest.fixture(scope="module")
def trial() -> list[Attempt]:
    return _read("trial")


def test_the_files_are_small_and_ids_are_theirs(trial: list[Attempt]) -> None:
    names: tuple[DemoName, ...] = ("train", "held_out", "lessons", "trial")
    assert sum(demo_path(name).stat().st_size for name in names) < 3_000_000
    attempts = _read("train") + _read("held_out") + trial
    assert len({a.id for a in attempts}) == len(attempts)
    assert all(attempt_id(a) == a.id for a in attempts[::50])
    with pytest.raises(BadInput, match="train"):
        demo_path("nothing")  # pyrefly: ignore


def test_train_and_held_out_games_are_apart(trial: list[Attempt]) -> None:
    train, held_out = _read("train"), _read("held_out")
    assert {a.split for a in train} == {"train"}
    assert {a.split for a in held_out + trial} == {"test"}
    assert not {a.task for a in train} & {a.task for a in held_out + trial}
    assert {a.policy for a in train + held_out} == {POLICY}
    assert Conditions().accepts(train)


def test_the_arms_are_paired(trial: list[Attempt]) -> None:
    arms = defaultdict(set)
    for attempt in trial:
        assert attempt.policy == policy_name(attempt.extra["arm"])
        arms[attempt.extra["arm"]].add((attempt.task, attempt.trial))
    assert set(arms) == set(ARMS)
    assert len(arms["none"]) == len({a.task for a in trial}) * 4
    assert all(pairs == arms["none"] for pairs in arms.values())


def test_the_shipped_lessons_are_those_of_the_shipped_attempts() -> None:
    lines = gzip.decompress(demo_path("lessons").read_bytes()).splitlines()
    shipped = [decode_lesson(line) for line in lines]
    mined = mine_conditions(_read("train")).all
    assert [(x.id, x.text) for x in shipped] == [(x.id, x.text) for x in mined]


def test_obedience_shows_in_the_steps(trial: list[Attempt]) -> None:
    lines = gzip.decompress(demo_path("lessons").read_bytes()).splitlines()
    rules = [x for x in map(decode_lesson, lines) if x.kind == "avoid"]
    hits = dict.fromkeys(ARMS, 0)
    steps = dict.fromkeys(ARMS, 0)
    for attempt in trial:
        arm = attempt.extra["arm"]
        steps[arm] += len(attempt.steps)
        hits[arm] += sum(matches(rule, step) for step in attempt.steps for rule in rules)
    rate = {arm: hits[arm] / steps[arm] for arm in ARMS}
    assert rate["failure_only"] < rate["none"] / 5
    assert rate["both"] < rate["success_only"] / 2
    assert rate["placebo"] > rate["none"] / 2


def test_what_the_trial_shows(trial: list[Attempt]) -> None:
    won: dict[str, list[bool]] = {arm: [] for arm in ARMS}
    for attempt in trial:
        won[attempt.extra["arm"]].append(attempt.ending == "won")
    rate = {arm: sum(flags) / len(flags) for arm, flags in won.items()}
    assert rate["both"] > max(rate["success_only"], rate["failure_only"]) + 0.15
    assert min(rate["success_only"], rate["failure_only"]) > rate["placebo"] + 0.1
    assert abs(rate["placebo"] - rate["none"]) < 0.05
