"""Lessons held against steps: what is decided, and what is said not to be."""

from __future__ import annotations

import pytest

from twiceshy.attempts.types import Step, ToolCall
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.memory.recall import allowed, check, check_end, penalties


def avoid(pattern: str, vocabulary: str = "toolcalls") -> Lesson:
    return Lesson(id=pattern, kind="avoid", text="", pattern=pattern, vocabulary=vocabulary)


def call(name: str, *facts: str, **arguments: object) -> Step:
    return Step(role="assistant", calls=(ToolCall(name=name, arguments=arguments),), facts=facts)


def reply(text: str = "ok", error: str | None = None) -> Step:
    return Step(role="tool", text=text, error=error)


def verdicts(lesson: Lesson, *steps: Step) -> list[str]:
    return [
        check(step, [lesson], before=steps[:place])[0].verdict for place, step in enumerate(steps)
    ]


BURN = avoid("cook | food.cooked", "conditions")


@pytest.mark.parametrize(
    ("step", "options", "verdict"),
    [
        (call("cook", "food.cooked"), None, "violated"),
        (call("cook", "tool is oven"), None, "not_triggered"),
        (call("cook"), None, "cannot_check"),
        (call("eat", "meal.edible"), None, "cannot_check"),
        (call("eat", "meal.edible"), [call("cook", "food.cooked")], "complied"),
        (call("eat", "meal.edible"), [call("cook", "tool is oven")], "not_triggered"),
        (call("eat", "meal.edible"), [call("cook")], "cannot_check"),
        (reply(), None, "not_triggered"),
    ],
)
def test_conditions(step: Step, options: list[Step] | None, verdict: str) -> None:
    assert check(step, [BURN], options=options)[0].verdict == verdict


def test_a_verb_alone_is_always_open() -> None:
    assert verdicts(avoid("drink", "conditions"), call("eat"), call("drink")) == [
        "complied",
        "violated",
    ]


def test_order_of_calls() -> None:
    lesson = avoid("calls pay without check before it")
    wrong = verdicts(lesson, call("look"), reply(), call("pay"), reply(), call("pay"))
    assert wrong == ["not_triggered"] * 2 + ["violated"] + ["not_triggered"] * 2
    right = verdicts(lesson, call("check"), reply(), call("pay"))
    assert right == ["not_triggered", "not_triggered", "complied"]


def test_retry_after_an_error() -> None:
    lesson = avoid("retries a failed call unchanged")
    failed = (call("pay", amount=1), reply(error="refused"))
    assert verdicts(lesson, *failed, call("pay", amount=1))[-1] == "violated"
    assert verdicts(lesson, *failed, call("pay", amount=2))[-1] == "complied"


def test_an_error_is_judged_by_its_reply() -> None:
    lesson = avoid("gets the error 'card expired' from pay")
    assert verdicts(lesson, call("pay"), reply("card expired", error="E"))[-1] == "violated"
    assert verdicts(lesson, call("pay"), reply())[-1] == "complied"
    assert verdicts(lesson, call("look"), reply())[-1] == "not_triggered"


def test_a_situation() -> None:
    lesson = avoid("calls cancel when order status = shipped")
    looked = (call("get_order", order_id="7"), reply('{"order_id": "7", "status": "shipped"}'))
    assert verdicts(lesson, *looked, call("cancel", order_id="7"))[-1] == "violated"
    assert verdicts(lesson, *looked, call("refund", order_id="7"))[-1] == "complied"
    assert verdicts(lesson, call("cancel", order_id="7")) == ["not_triggered"]


def test_what_only_the_end_decides() -> None:
    few, many = avoid("makes at most 1 calls"), avoid("makes 3 or more calls")
    steps = [call("look"), call("look"), call("pay")]
    assert verdicts(few, *steps) == ["cannot_check"] * 3
    assert verdicts(many, *steps) == ["not_triggered", "not_triggered", "violated"]
    assert [each.verdict for each in check_end(steps, [few, many])] == ["complied"]
    assert [each.verdict for each in check_end(steps[:1], [few, many])] == ["violated", "complied"]


@pytest.mark.parametrize(
    "lesson",
    [avoid("", ""), avoid("beyond | ", "conditions"), avoid("xyzzy"), avoid("a", "of my own")],
)
def test_what_cannot_be_checked_is_never_complied(lesson: Lesson) -> None:
    found = check(call("pay"), [lesson])[0]
    assert found.verdict == "cannot_check"
    assert found.why
    assert found.as_event(run_id="r", step=0) is None


def test_calculations_at_the_end() -> None:
    lesson = avoid("the answer is never computed", "calculations")
    other = avoid("fewer steps than the median attempt at the task", "calculations")
    steps = [Step(role="assistant", text="16 - 3 = <<16-3=13>>13\n#### 13")]
    found = {each.lesson_id: each.verdict for each in check_end(steps, [lesson, other])}
    assert found == {lesson.pattern: "complied", other.pattern: "cannot_check"}
    assert check(steps[0], [lesson])[0].verdict == "cannot_check"


def test_penalties_and_veto() -> None:
    options = [call("cook", "food.cooked"), call("eat", "meal.edible"), call("cook")]
    found = penalties(options, [BURN])
    assert found.nats == (-4.0, 0.0, 0.0)
    assert found.against[0] == (BURN.id,)
    assert found.cannot_check[BURN.id] == 2
    assert allowed(options, [BURN]) == [1, 2]
    assert allowed(options[:1], [BURN]) == [0]
    with pytest.raises(BadInput):
        penalties(options, [BURN], nats=1.0)


def test_records_for_the_bank() -> None:
    event = check(call("cook", "food.cooked"), [BURN])[0].as_event(run_id="r", step=3)
    assert event is not None
    assert (event.run_id, event.step, event.took_bad_action) == ("r", 3, True)
