"""Gates on an executor made of rules: they let through what helps and keep out planted junk."""

from __future__ import annotations

from typing import Any

import pytest
from parcel_office import office_model, parcel, parcels

from twiceshy.lessons import Lesson
from twiceshy.principles import (
    AnswerMatch,
    Asker,
    Bench,
    Candidate,
    Executor,
    Mistake,
    accept,
    accepted_on,
    principle,
)
from twiceshy.principles.gates import (
    BeatsControls,
    FlipsItsMistake,
    GainsInSequence,
    IsSpecific,
    KeepsRight,
    NotCopied,
    StrictlyImproves,
    rule,
)

TRAIN = (parcel("small", "red", "K"), parcel("large", "blue", "M"), parcel("flat", "grey", "K"))
GOOD = "When it is K, take up."


def bench(n: int = 60, **options: Any) -> Bench:
    train = {each.question for each in TRAIN}
    validation = [each for each in parcels(n + 3, seed=1) if each.question not in train][:n]
    executor = Executor(Asker(office_model()), AnswerMatch())
    foreign = (("When it is M, take down.",), ("When it is W, take down.",))
    return Bench(executor, TRAIN, tuple(validation), foreign=foreign, **options)


def lesson(text: str) -> Lesson:
    mistake = Mistake(
        id=f"{TRAIN[0].id}#0", example=TRAIN[0], text="It is small.\nAnswer: north", answer="north"
    )
    return principle(text, height="low", writer="clerk", mistakes=[mistake], parents=[mistake.id])


def judged(text: str) -> tuple[bool, str | None]:
    found = accept([lesson(text)], bench()).rulings[0]
    return found.accepted, found.stopped_by


def test_a_principle_that_helps_is_accepted_for_this_executor_only() -> None:
    gated = accept([lesson(GOOD)], bench())
    assert [each.passed for each in gated.rulings[0].verdicts] == [True] * 5
    assert gated.prompt is not None
    assert gated.prompt.accepted
    assert accepted_on(gated.accepted[0]) == ("clerk",)
    assert GOOD in gated.block


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("Think carefully and check your answer before you give it.", "flips_its_mistake"),
        ("When you see parcel: small red K, take up.", "not_copied"),
        ("When it is M, take down.", "flips_its_mistake"),  # another office's
        ("When it is red, take up.", "keeps_right"),  # the wrong cause: flips, and breaks others
        ("When it is small, take up.", "keeps_right"),
    ],
)
def test_planted_junk_is_kept_out(text: str, gate: str) -> None:
    assert judged(text) == (False, gate)


def test_every_gate_alone() -> None:
    good, wrong = Candidate((lesson(GOOD),)), Candidate((lesson("When it is red, take up."),))
    there = bench()
    for gate in (FlipsItsMistake(), KeepsRight(), BeatsControls(), IsSpecific()):
        assert gate.judge(good, there).passed is True, gate.name
    assert FlipsItsMistake().judge(wrong, there).passed is True
    assert KeepsRight().judge(wrong, there).passed is False
    assert BeatsControls().judge(wrong, there).passed is False
    assert IsSpecific().judge(wrong, there).passed is False


def test_numbers_of_a_verdict_by_hand() -> None:
    verdict = FlipsItsMistake(n_draws=4).judge(Candidate((lesson(GOOD),)), bench())
    p = verdict.numbers["p"]
    assert p == pytest.approx(1 / 70)  # all 4 of 8 right draws on one side: 1 / (8 choose 4)
    assert verdict.numbers == {"with": 4, "n_with": 4, "without": 0, "n": 4, "p": p}
    gate = StrictlyImproves()
    assert gate.judge(Candidate((lesson(GOOD),)), bench()).numbers == {
        "before": 1.0,
        "after": 3.0,
        "n": 3,
    }


def test_too_few_items_cannot_tell() -> None:
    few, good = bench(n=3), Candidate((lesson(GOOD),))
    assert KeepsRight().judge(good, few).passed is None
    assert BeatsControls().judge(good, few).passed is None
    assert IsSpecific().judge(good, few._replace(foreign=())).passed is None
    assert GainsInSequence().judge(good, few).passed is None
    ruling = rule(good, (KeepsRight(),), few)
    assert ruling.undecided
    assert not ruling.accepted


def test_nothing_to_flip_cannot_tell() -> None:
    right = Mistake(id="x#0", example=TRAIN[1], text="Answer: up", answer="up")
    made = principle(GOOD, height="low", writer="clerk", mistakes=[right])
    assert FlipsItsMistake().judge(Candidate((made,)), bench()).passed is None
    none = principle(GOOD, height="low", writer="clerk")
    assert FlipsItsMistake().judge(Candidate((none,)), bench()).passed is None


def test_the_sequence_stops_early_both_ways() -> None:
    there = bench()
    good = GainsInSequence().judge(Candidate((lesson(GOOD),)), there)
    assert good.passed is True
    bad = GainsInSequence().judge(Candidate((lesson("When it is small, take up."),)), there)
    assert bad.passed is False
    assert good.numbers["n"] < 60  # it did not need all items


def test_equal_principles_are_judged_once_and_keep_all_pairs() -> None:
    second = Mistake(id=f"{TRAIN[2].id}#4", example=TRAIN[2], text="Answer: east", answer="east")
    twin = principle(GOOD, height="low", writer="clerk", mistakes=[second], parents=[second.id])
    gated = accept([lesson(GOOD), twin], bench())
    assert len(gated.lessons) == 1
    assert [pair.failure_id for pair in gated.lessons[0].contrast] == [
        f"{TRAIN[0].id}#0",
        f"{TRAIN[2].id}#4",
    ]
    assert len(gated.lessons[0].parents) == 2


def test_nothing_in_nothing_out() -> None:
    gated = accept([], bench())
    assert (gated.accepted, gated.prompt, gated.block) == ((), None, "")
    assert gated.numbers["n_judged"] == 0
    assert NotCopied().judge(Candidate(()), bench()).passed is True
