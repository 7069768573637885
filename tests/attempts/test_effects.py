from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.attempts.effects import (
    answered_calls,
    canonical,
    is_state_changing,
    successful_writes,
)
from twiceshy.attempts.types import Attempt, Outcome, Step, ToolCall, Verdict


def attempt_of(*steps: Step) -> Attempt:
    return Attempt(task="t", verdict=Verdict(outcome=Outcome.UNSCORED), steps=steps)


@pytest.mark.parametrize(
    "name",
    [
        "get_user_details",
        "search_direct_flight",
        "list_all_airports",
        "calculate",
        "think",
        "transfer_to_human_agents",
        "mcp__github__get_issue",
        "functions.read_file",
        "WebFetch",
        "Read",
        "TodoWrite",
        "look",
        "HTTPGet.getUser",
        "isOpen",
    ],
)
def test_reads(name: str) -> None:
    assert not is_state_changing(name)


@pytest.mark.parametrize(
    "name",
    [
        "book_reservation",
        "cancel_reservation",
        "update_reservation_flights",
        "send_certificate",
        "transfer_money",
        "mcp__github__create_issue",
        "Write",
        "Edit",
        "getaway",  # begins with the letters of a read verb, not with the word
        "issue_refund",
        "",
        "42",
    ],
)
def test_writes(name: str) -> None:
    assert is_state_changing(name)


def test_the_caller_knows_better() -> None:
    assert is_state_changing("get_lock", writes={"get_lock"})
    assert not is_state_changing("bash", reads={"bash"})
    assert is_state_changing("bash", reads={"bash"}, writes={"bash"})


def test_canonical_is_blind_to_key_order_whitespace_and_whole_floats() -> None:
    one = ToolCall(name="pay", arguments={"b": [1.0, {"y": 2, "x": "a  b"}], "a": True})
    two = ToolCall(name="pay", arguments={"a": True, "b": [1, {"x": " a b", "y": 2.0}]})
    assert canonical(one) == canonical(two)


def test_canonical_keeps_what_differs() -> None:
    arguments: list[dict[str, object]] = [
        {"x": [1, 2]},
        {"x": [2, 1]},
        {"x": "1"},
        {"x": 1},
        {"x": True},
        {"x": None},
        {},
        {"x": "2024-05-20"},
        {"x": 1.5},
    ]
    assert len({canonical(ToolCall(name="f", arguments=a)) for a in arguments}) == len(arguments)


@given(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), max_size=5))
def test_canonical_does_not_depend_on_insertion_order(arguments: dict[str, object]) -> None:
    backwards = dict(reversed(arguments.items()))
    assert canonical(ToolCall(name="f", arguments=arguments)) == canonical(
        ToolCall(name="f", arguments=backwards)
    )


def test_raw_argument_text_is_kept_with_its_whitespace_collapsed() -> None:
    assert canonical(ToolCall(name="sh", arguments=" ls   -l\n")).arguments == "ls -l"


def test_replies_by_id_out_of_order_and_errors_are_not_writes() -> None:
    attempt = attempt_of(
        Step(role="assistant", calls=(ToolCall(name="pay", id="a"), ToolCall(name="ship", id="b"))),
        Step(role="tool", call_id="b", text="done"),
        Step(role="tool", call_id="a", text="Error: no money", error="Error: no money"),
    )
    replies = [answered.reply for answered in answered_calls(attempt)]
    assert [reply.text for reply in replies if reply] == ["Error: no money", "done"]
    assert [call.name for call in successful_writes(attempt)] == ["ship"]


def test_a_reused_id_takes_the_reply_after_its_own_call() -> None:
    attempt = attempt_of(
        Step(role="assistant", calls=(ToolCall(name="pay", id="a"),)),
        Step(role="tool", call_id="a", error="Error: no money"),
        Step(role="assistant", calls=(ToolCall(name="pay", id="a"),)),
        Step(role="tool", call_id="a", text="done"),
    )
    assert [answered.is_error for answered in answered_calls(attempt)] == [True, False]


def test_an_unanswered_call_does_not_take_an_earlier_reply() -> None:
    attempt = attempt_of(
        Step(role="tool", call_id="a", error="stray"),
        Step(role="assistant", calls=(ToolCall(name="pay", id="a"),)),
    )
    assert [answered.reply for answered in answered_calls(attempt)] == [None]


def test_replies_without_ids_are_taken_in_order() -> None:
    attempt = attempt_of(
        Step(role="assistant", calls=(ToolCall(name="pay"), ToolCall(name="ship", id="b"))),
        Step(role="tool", text="failed", error="ValueError"),
        Step(role="tool", text="done"),
        Step(role="assistant", calls=(ToolCall(name="close"),)),
    )
    answered = list(answered_calls(attempt))
    assert [a.is_error for a in answered] == [True, False, False]
    assert answered[2].reply is None
    assert [call.name for call in successful_writes(attempt)] == ["ship", "close"]


def test_no_steps_no_writes() -> None:
    assert successful_writes(attempt_of()) == ()
    assert list(answered_calls(attempt_of(Step(role="user", text="hello")))) == []
