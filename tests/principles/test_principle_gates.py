"""Gates on an executor made of rules: they let through what helps and keep out planted junk."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from parcel_office import office_model, parcel, parcels

from twiceshy.attempts.types import Outcome
from twiceshy.lessons import Lesson
from twiceshy.models import Request, ScriptedCompleter
from twiceshy.principles import (
    AnswerMatch,
    Asker,
    Bench,
    Candidate,
    Executor,
    Gate,
    Mistake,
    Scored,
    accept,
    accepted_on,
    example,
    principle,
    value_of,
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
from twiceshy.principles.unread import Sheet, compare_unread

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
    unread = {"more": 0, "fewer": 0, "n": 4, "p": 1.0}
    assert verdict.numbers == {
        **{"with": 4, "n_with": 4, "without": 0, "n": 4, "p": p},
        "unread": unread,
    }
    gate = StrictlyImproves()
    assert gate.judge(Candidate((lesson(GOOD),)), bench()).numbers == {
        "before": 1.0,
        "after": 3.0,
        "n": 3,
        "unread": {**unread, "n": 3},
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


def shy_bench(*, mute: Callable[[str, int], bool], n: int = 40) -> Bench:
    """A clerk that is asked for sums and takes the even ones for one more, until it is told not to.

    `mute` says, of the block's word and the first number, which answers bear no mark.
    """

    def answer(request: Request) -> str:
        one, two = map(int, re.findall(r"(\d+) \+ (\d+)\?", request.prompt)[-1])
        word = "BLOCK" if "BLOCK" in request.prompt else ""
        told = one + two + (one % 2 == 0 and not word)
        return "Well." if mute(word, one) else f"Answer: {told}"

    items = tuple(example(f"{k} + 1?", str(k + 1)) for k in range(1, n + 1))
    return Bench(Executor(Asker(ScriptedCompleter(answer)), AnswerMatch()), (), items)


SUM = Candidate((principle("BLOCK", height="low", writer="clerk"),))
ON_VALIDATION = (StrictlyImproves(size=60), KeepsRight(), BeatsControls(), GainsInSequence(look=60))


def test_unread_is_no_score() -> None:
    there = shy_bench(mute=lambda word, k: k <= 3)
    assert np.isnan(there.scores("", step="x")[:3]).all()
    assert there.scores("", step="x")[3:5].tolist() == [0.0, 1.0]
    assert there.sheet("", step="x").unread.sum() == 3
    assert value_of(Scored(outcome=Outcome.BROKEN)) != value_of(Scored(outcome=Outcome.BROKEN))


@pytest.mark.parametrize("gate", ON_VALIDATION, ids=lambda gate: gate.name)
def test_answers_that_turn_unreadable_are_refused_by_name(gate: Gate) -> None:
    # Five odd ones, right before, cannot be read with it: 0.5⁵ = 0.031. All even ones are gained.
    there = shy_bench(mute=lambda word, k: word == "BLOCK" and k in (1, 3, 5, 7, 9), n=60)
    verdict = gate.judge(SUM, there)
    assert (verdict.passed, verdict.reason) == (False, "more_unread"), verdict
    assert verdict.numbers["unread"] == {"more": 5, "fewer": 0, "n": 60, "p": 0.5**5}
    assert "unread +5 −0 of 60" in verdict.why
    assert rule(SUM, (gate,), there).reason == "more_unread"


@pytest.mark.parametrize("gate", ON_VALIDATION, ids=lambda gate: gate.name)
def test_few_unread_answers_leave_their_pairs(gate: Gate) -> None:
    # Four of sixty: 0.5⁴ = 0.0625 is not clear, and both counts are told.
    there = shy_bench(mute=lambda word, k: word == "BLOCK" and k in (1, 3, 5, 7), n=60)
    verdict = gate.judge(SUM, there)
    assert (verdict.passed, verdict.reason) == (True, None), verdict
    if isinstance(gate, KeepsRight):
        assert (verdict.numbers["broken"], verdict.numbers["n"]) == (0, 26)
    if isinstance(gate, BeatsControls):
        assert verdict.numbers["nothing"]["n"] == 56
        assert "unread +4 −0 of 60" in verdict.why


def test_being_readable_is_no_gain() -> None:
    # Without it the even ones are not wrong but unread; with it they are right.
    there = shy_bench(mute=lambda word, k: word != "BLOCK" and k % 2 == 0)
    for gate in (StrictlyImproves(size=40), BeatsControls(), GainsInSequence()):
        verdict = gate.judge(SUM, there)
        assert verdict.passed is not True
        assert verdict.reason is None
    assert verdict.numbers["unread"] == {"more": 0, "fewer": 20, "n": 40, "p": 1.0}


def test_where_little_is_read_no_gate_can_tell() -> None:
    there = shy_bench(mute=lambda word, k: k > 4)  # four read pairs: 0.5⁴ > 0.05
    assert BeatsControls().judge(SUM, there).passed is None
    assert KeepsRight().judge(SUM, there).passed is None
    assert GainsInSequence().judge(SUM, there).passed is None


def test_unread_draws_of_a_mistake() -> None:
    asked = example("2 + 1?", "3")
    mistake = Mistake(id="m#0", example=asked, text="Answer: 4", answer="4")
    made = Candidate((principle("BLOCK", height="low", writer="clerk", mistakes=[mistake]),))
    gate = FlipsItsMistake(n_draws=8)
    right = gate.judge(made, shy_bench(mute=lambda word, k: False))
    assert (right.passed, right.numbers["with"], right.numbers["n_with"]) == (True, 8, 8)
    gone = gate.judge(made, shy_bench(mute=lambda word, k: word == "BLOCK"))
    assert (gone.passed, gone.reason) == (False, "more_unread")
    assert gone.numbers["unread"] == {"more": 8, "fewer": 0, "n": 8, "p": 0.5**8}
    never = gate.judge(made, shy_bench(mute=lambda word, k: True))
    assert (never.passed, never.why) == (None, "no draw without it could be read")
    few = FlipsItsMistake(n_draws=4).judge(made, shy_bench(mute=lambda word, k: word == "BLOCK"))
    assert (few.passed, few.reason, few.numbers["n_with"]) == (None, None, 0)


def test_unread_by_several_answers_an_item() -> None:
    # Shares by item: 1/2 > 0, 0 = 0, 1 > 1/2, none came, 0 < 1: three differ, two of them more.
    nan = np.nan
    first = Sheet(
        np.array([[1, nan], [1, 0], [nan, nan], [nan, nan], [1, 1]]),
        np.array([[0, 1], [0, 0], [1, 1], [0, 0], [0, 0]], dtype=bool),
    )
    second = Sheet(
        np.array([[1, 1], [1, 0], [nan, 0], [1, 1], [nan, nan]]),
        np.array([[0, 0], [0, 0], [1, 0], [0, 0], [1, 1]], dtype=bool),
    )
    assert compare_unread(first, second) == (2, 1, 4, 0.5)  # P(at least 2 of 3) = 4/8
    assert compare_unread(second, first)[:2] == (1, 2)
    nothing = Sheet(np.zeros(0), np.zeros(0, dtype=bool))
    assert compare_unread(nothing, nothing) == (0, 0, 0, 1.0)


def test_nothing_in_nothing_out() -> None:
    gated = accept([], bench())
    assert (gated.accepted, gated.prompt, gated.block) == ((), None, "")
    assert gated.numbers["n_judged"] == 0
    assert NotCopied().judge(Candidate(()), bench()).passed is True
