from __future__ import annotations

from typing import Any

import pytest

from twiceshy.attempts import Attempt, Outcome, Step, Verdict, classify
from twiceshy.attempts.classify import broken_kind_of_text

FAILED = Verdict(outcome=Outcome.FAILURE, reward=0.0, source="test")
NOT_JUDGED = Verdict(outcome=Outcome.UNSCORED)


def attempt(verdict: Verdict = FAILED, **fields: Any) -> Attempt:
    return Attempt(task="t", verdict=verdict, **fields)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ("max_steps", "limit"),
        ("Max Turns", "limit"),
        ("timeout", "timeout"),
        ("rate-limit", "refusal"),
        ("content_filter", "refusal"),
        ("sandbox_error", "tool_crash"),
        ("grader_error", "checker_error"),
        ("stop", None),
        ("lost", None),
        ("length", None),
    ],
)
def test_typed_endings(ending: str, kind: str | None) -> None:
    verdict = classify(attempt(ending=ending)).verdict
    assert verdict.broken == kind
    if kind is not None:
        assert (verdict.recorded, verdict.reward, verdict.source) == (Outcome.FAILURE, 0.0, "test")
        assert ending in verdict.reason


def test_an_unjudged_attempt_can_be_broken() -> None:
    verdict = classify(attempt(NOT_JUDGED, ending="timeout")).verdict
    assert verdict.outcome is Outcome.BROKEN
    assert verdict.recorded is Outcome.UNSCORED
    assert verdict.reward is None


def test_a_success_is_never_broken_by_its_ending() -> None:
    succeeded = attempt(Verdict(outcome=Outcome.SUCCESS, reward=1.0), ending="max_steps")
    assert classify(succeeded) is succeeded


@pytest.mark.parametrize(
    "text",
    [
        "Error: payment method not found",
        "Error: gift card balance is not enough",
        "FileNotFoundError: no such file: test_500.py",
        "AssertionError: expected 429, found 500 rows",
        "Error: user 503 does not exist",
    ],
)
def test_an_error_the_policy_earned_is_not_broken(text: str) -> None:
    assert broken_kind_of_text(text) is None
    failed = attempt(steps=(Step(role="tool", text=text, error=text),))
    assert classify(failed) is failed


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Error code: 429 - Rate limit reached for gpt", "refusal"),
        ("HTTP 503 Service Unavailable", "refusal"),
        ("The response was filtered by the content policy", "refusal"),
        ("ReadTimeoutError: request timed out", "timeout"),
        ("This model's maximum context length is 8192 tokens", "limit"),
        ("requests.exceptions.ConnectionError: connection refused", "tool_crash"),
    ],
)
def test_infrastructure_errors_count_only_as_the_last_word(text: str, kind: str) -> None:
    error = Step(role="tool", text=text, error=text)
    assert classify(attempt(steps=(error,))).verdict.broken == kind
    assert classify(attempt(extra={"error": {"message": text}})).verdict.broken == kind
    went_on = attempt(steps=(error, Step(role="assistant", text="never mind")))
    assert classify(went_on) is went_on
    untyped = attempt(steps=(Step(role="tool", text=text),))
    assert classify(untyped) is untyped


def test_rules_come_last_and_the_first_reason_wins() -> None:
    def silent(attempt: Attempt) -> str | None:
        return None

    def first(attempt: Attempt) -> str | None:
        return "first"

    def second(attempt: Attempt) -> str | None:
        return "second"

    rules = [silent, first, second]
    verdict = classify(attempt(), rules).verdict
    assert (verdict.broken, verdict.reason) == ("user_rule", "first")
    assert classify(attempt(ending="timeout"), rules).verdict.broken == "timeout"
    assert classify(attempt(ending="timeout"), typed=False).verdict is FAILED
