from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.memory.contrast.calculations import Calculations
from twiceshy.memory.contrast.calculations_arithmetic import parse_arithmetic, parse_number
from twiceshy.memory.contrast.calculations_kinds import KINDS
from twiceshy.memory.contrast.calculations_solution import (
    annotated_calculation,
    final_answer,
    numbers_in,
    plain_calculations,
    read_solution,
)
from twiceshy.memory.contrast.table import build_table

QUESTION = "Ann has 16 eggs. She eats 3 and sells the rest for $2 each. How much in total?"


def solved(text: str, *, question: str = QUESTION, task: str = "q") -> Attempt:
    return Attempt(
        task=task,
        prompt=question,
        steps=(Step(role="assistant", text=text),),
        verdict=Verdict(outcome=Outcome.UNSCORED),
    )


def events_of(text: str, *, question: str = QUESTION) -> frozenset[str]:
    return Calculations().events([solved(text, question=question)])[0]


# --- arithmetic -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16-3", 13),
        ("2+3*4", 14),
        ("(2+3)*4", 20),
        ("10/4", 2.5),
        ("7//2", 3),
        ("2**10", 1024),
        ("24+27+(-48)", 3),
        ("-3+5", 2),
        ("80,000*150%", 120000),
        ("$5 + $.50", 5.5),
        ("3 x 4", 12),
        ("3×4÷2", 6),
        ("8 − 5", 3),
    ],
)
def test_arithmetic(text: str, value: float) -> None:
    parsed = parse_arithmetic(text)
    assert parsed is not None
    assert parsed.value == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "4*mugs", "A+4", "2*(3", "2)", "5+2(3)", "x", "¾*3", "٣+٤", "+", "1 2", "os.exit()"],
)
def test_what_is_not_plain_arithmetic_is_malformed(text: str) -> None:
    assert parse_arithmetic(text) is None


@pytest.mark.parametrize("text", ["9" * 500, "(" * 50 + "1" + ")" * 50, "1+" * 300 + "1"])
def test_what_is_too_long_or_too_deep_is_malformed(text: str) -> None:
    assert parse_arithmetic(text) is None


@pytest.mark.parametrize("text", ["1/0", "5//0", "9" * 390, "10**64**64", "(0-8)**.5", "0**-1"])
def test_what_has_no_finite_value_is_undefined(text: str) -> None:
    parsed = parse_arithmetic(text)
    assert parsed is None or parsed.value is None


@given(st.text(alphabet="0123456789+-*/()%$.,x ×÷=<>^A", max_size=60))
@settings(max_examples=300, deadline=None)
def test_parsing_never_raises_and_values_are_finite(text: str) -> None:
    parsed = parse_arithmetic(text)
    assert parsed is None or parsed.value is None or np.isfinite(parsed.value)
    number = parse_number(text)
    assert number is None or np.isfinite(number)


@given(st.integers(0, 9999), st.integers(0, 9999), st.integers(1, 99))
@settings(deadline=None)
def test_parsing_agrees_with_python(a: int, b: int, c: int) -> None:
    parsed = parse_arithmetic(f"{a:,} - {b}*({c}+{a})/{c}")
    assert parsed is not None
    assert parsed.value == pytest.approx(a - b * (c + a) / c)
    assert parsed.operands == (a, b, c, a, c)
    assert parsed.operators == ("-", "*", "+", "/")


# --- reading a solution ---------------------------------------------------------------------


def test_annotations_are_read_and_their_text_is_not_read_twice() -> None:
    solution = read_solution(solved("16 - 3 = <<16-3=13>>13\n13 * 2 = $<<13*2=26>>26\nA: 26"))
    assert [step.text for step in solution.calculations] == ["16-3", "13*2"]
    assert solution.results == (13, 26)
    assert solution.answer == 26


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("so 16 - 3 = 13 eggs", [("16 - 3", 13)]),
        ("16 eggs - 3 eggs = 13 eggs, worth 13 x $2 = $26.", [("16 - 3", 13), ("13 x $2", 26)]),
        ("5*2+3 = 10+3 = 13", [("5 * 2 + 3", 13), ("10 + 3", 13)]),
        (r"$4 \times 5 = 20$", [("$4 * 5", 20)]),
        ("2x + 8 = 22", []),
        ("Let n = 5 and m - 2 = 3", []),
        ("= = =", []),
        ("no numbers", []),
    ],
)
def test_plain_calculations(text: str, found: list[tuple[str, float]]) -> None:
    assert [(step.text, step.result) for step in plain_calculations(text)] == found


@pytest.mark.parametrize(
    ("text", "field", "answer"),
    [
        ("A: 1,200", None, 1200),
        ("#### -3", None, -3),
        ("The answer is 3/4.", None, 0.75),
        ("Final answer: $12 and not more", None, 12),
        (r"so \boxed{42}", None, 42),
        ("I think 7", "7.5", 7.5),
        ("I think 7", None, None),
        ("A: none", None, None),
        ("", None, None),
    ],
)
def test_final_answer(text: str, field: str | None, answer: float | None) -> None:
    assert final_answer(text, field) == answer


def test_numbers_in_text() -> None:
    assert numbers_in("From 3-4 of $1,200.50, .5 or -2; 1.2.3") == [3, 4, 1200.5, 0.5, -2, 1.2]


def test_a_calculation_is_wrong_beyond_rounding() -> None:
    assert not annotated_calculation("10/3=3.33").is_wrong
    assert annotated_calculation("10/3=3.4").is_wrong
    assert not annotated_calculation("4*mugs=16").is_wrong


# --- events, one family at a time -----------------------------------------------------------

RIGHT = "<<16-3=13>> <<13*2=26>>\nA: 26"


def test_a_sound_solution_shows_no_fault() -> None:
    faults = [event for event in events_of(RIGHT) if Calculations().phrase(event).is_fault]
    assert faults == []


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("<<16-3=13>> \nA: 13", "a number of the question is never used"),
        ("<<16+1=17>> \nA: 17", "two or more numbers of the question are never used"),
        ("<<16-3=13>> <<16*2=32>>\nA: 32", "an intermediate result is never used"),
        ("<<16-3=13>> <<13*2=26>>\nA: 13", "the answer is not the last computed result"),
        ("<<16-3=13>> <<13*2=26>>\nA: 27", "the answer is never computed"),
        ("<<16-3=13>> <<13*2=26>>\nA: 16", "the answer is a number of the question"),
        ("<<16-3=13>> <<13*2=26>>", "there is no final answer"),
        ("<<16-3=13>> <<13*17=221>>\nA: 221", "a number comes from nowhere"),
        ("<<3-16=-13>> <<-13*2=-26>>\nA: 26", "an intermediate result is negative"),
        ("<<16/3=5.33>> <<5.33*2=10.66>>\nA: 10", "an intermediate result is not an integer"),
        ("<<3-16=-13>> \nA: -13", "the answer is negative"),
        ("<<16/3=5.33>>\nA: 5.33", "the answer is not an integer"),
        ("<<4*mugs=16>>\nA: 16", "a calculation is malformed"),
        ("<<16-3=12>> <<12*2=24>>\nA: 24", "a calculation is wrong"),
        ("<<16-3=13>> <<16 - 3=13>> <<13*2=26>>\nA: 26", "the same calculation is made twice"),
        ("<<16-3=13>>\nA: 13", "at most one step"),
        ("", "at most one step"),
        ("<<16-3=13>>\nA: 13", "at most 2 steps"),
        ("<<1+1=2>>" * 4, "at least 4 steps"),
        ("<<1+1=2>>" * 6, "at least 6 steps"),
        ("A: 1", "shorter than 120 characters"),
        ("word " * 101, "longer than 500 characters"),
        (RIGHT, "uses subtraction"),
        ("<<16-3=13>>\nA: 13", "uses no operation but subtraction"),
        ("<<16*2=32>>\nA: 32", "never uses subtraction, the question says 'total'"),
    ],
)
def test_events(text: str, event: str) -> None:
    assert event in events_of(text)
    assert event not in events_of(RIGHT) or event.startswith(("uses", "shorter", "at most 2"))
    assert Calculations().phrase(event).action


def test_a_percentage_is_used_in_any_form_but_plain() -> None:
    question = "A 20% rise on $50?"
    plain = "uses a percentage as a plain number"
    unused = "a number of the question is never used"
    for text in ("<<50*.2=10>>", "<<50*1.2=60>>", "<<50*20/100=10>>", "<<50*0.8=40>>"):
        assert not {plain, unused} & events_of(text, question=question)
    assert plain in events_of("<<50*20=1000>>", question=question)


def test_step_counts_are_compared_with_the_task_only() -> None:
    one, two = "<<1+1=2>>", "<<1+1=2>><<2+2=4>>"
    log = [solved(one), solved(two), solved(two), solved(one, task="other")]
    events = Calculations().events(log)
    fewer, more = "fewer steps than the median attempt at the task", "more steps than the median"
    assert fewer in events[0]
    assert not any(fewer in each for each in events[1:])
    assert not any(name.startswith(more) for each in events for name in each)


def test_agreement_with_the_answers_of_others_is_no_event() -> None:
    # Self-consistency is no lesson: what the siblings answered must not matter.
    mine = solved("<<16-3=13>> <<13*2=26>>\nA: 26")
    alike = [solved("<<10+16=26>> <<26*1=26>>\nA: 26")] * 3
    unlike = [solved("<<10+17=27>> <<27*1=27>>\nA: 27")] * 3
    events = Calculations().events
    assert events([mine, *alike])[0] == events([mine, *unlike])[0]


@given(st.text(max_size=200), st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_odd_text_never_raises(question: str, text: str) -> None:
    for event in events_of(f"{text}<<{text}={question}>>\nA: {text}", question=question):
        assert Calculations().phrase(event).family


@given(st.text(alphabet="0123456789+-*/()=<>%$.,x ٣⅓\n:A#", max_size=300))
@settings(max_examples=200, deadline=None)
def test_odd_arithmetic_never_raises(text: str) -> None:
    events_of(text, question=text)


def test_every_kind_has_words() -> None:
    for template in KINDS:
        values = dict.fromkeys(re.findall(r"\{(\w+)\}", template.name), "v")
        phrase = Calculations().phrase(template(**values))
        assert (phrase.family, phrase.is_fault) == (template.family, template.fault)
        assert "{" not in "".join(str(part) for part in phrase)
        assert phrase.instead or not phrase.is_fault


# --- the real file --------------------------------------------------------------------------


def test_facts_of_the_file(gsm8k_rows: list[dict[str, Any]], gsm8k_attempts: list[Attempt]) -> None:
    truths = [final_answer(row["ground_truth"], None) for row in gsm8k_rows]
    assert len(truths) == 1319
    assert all(truth is not None and truth.is_integer() for truth in truths)

    annotation = re.compile(r"<<([^<>]*=[^<>]*)>>")
    steps = [
        annotated_calculation(inside)
        for attempt in gsm8k_attempts
        for inside in annotation.findall(attempt.answer or "")
    ]
    assert len(steps) == 16_692
    assert 40 <= sum(step.is_wrong for step in steps) <= 0.005 * len(steps)

    solutions = [(each, read_solution(each)) for each in gsm8k_attempts]
    fractional = [(a, s) for a, s in solutions if s.answer is not None and s.answer % 1 != 0]
    assert all(attempt.outcome is Outcome.FAILURE for attempt, _ in fractional)
    assert sum("/" not in solution.answer_text for _, solution in fractional) == 239
    written = sorted(s.answer_text for _, s in fractional if "/" in s.answer_text)
    assert written == ["1/5", "7/14"]


def test_final_answers_agree_with_the_marks(
    gsm8k_rows: list[dict[str, Any]], gsm8k_attempts: list[Attempt]
) -> None:
    truths = [final_answer(row["ground_truth"], None) for row in gsm8k_rows for _ in range(4)]
    equal = np.array(
        [read_solution(a).answer == t for a, t in zip(gsm8k_attempts, truths, strict=True)]
    )
    marked = np.array([each.outcome is Outcome.SUCCESS for each in gsm8k_attempts])
    assert marked.sum() == 2001
    assert np.array_equal(equal, marked)


def test_the_table_of_the_file(gsm8k_attempts: list[Attempt]) -> None:
    table = build_table(gsm8k_attempts)
    assert table.present.shape == (5276, len(table.names))
    assert 90 <= len(table.names) <= 160
    column = dict(zip(table.names, table.present.T, strict=True))
    fractional = column["the answer is not an integer"]
    assert fractional.sum() == 239
    assert table.failed[fractional].all()
    # Published with another parser: 1,298, 1,185, 669 and 261 attempts.
    near = {
        "a number of the question is never used": 1298,
        "fewer steps than the median attempt at the task": 1185,
        "the answer is not the last computed result": 261,
        "an intermediate result is negative": 148,
        "an intermediate result is not an integer": 565,
    }
    for name, published in near.items():
        assert column[name].sum() == pytest.approx(published, rel=0.05)


def test_verdicts_do_not_change_events(gsm8k_attempts: list[Attempt]) -> None:
    some = gsm8k_attempts[:400]
    wrong = Verdict(outcome=Outcome.FAILURE)
    flipped = [msgspec.structs.replace(each, verdict=wrong) for each in some]
    assert Calculations().events(some) == Calculations().events(flipped)
