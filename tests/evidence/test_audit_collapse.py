from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest

from twiceshy.attempts.answers import final_answer
from twiceshy.attempts.groups import group_attempts
from twiceshy.attempts.types import Attempt, Outcome, Step, ToolCall, Verdict
from twiceshy.evidence.audits import audit_collapse
from twiceshy.evidence.audits.variety import variety_of
from twiceshy.evidence.audits.views import repeated_share


def attempt(
    answer: str | None,
    *,
    task: str = "t",
    policy: str = "p",
    outcome: Outcome = Outcome.FAILURE,
    text: str = "",
    logprobs: Sequence[float] | None = None,
    step: int | None = None,
) -> Attempt:
    return Attempt(
        task=task,
        policy=policy,
        answer=answer,
        verdict=Verdict(outcome=outcome),
        steps=(Step(role="assistant", text=text),) if text else (),
        logprobs=None if logprobs is None else tuple(logprobs),
        extra={} if step is None else {"step": step},
    )


def test_variety_by_hand() -> None:
    # answers 7, 7, 8, 8 as written four ways; two wrong ones agree, the pair agrees always
    group = group_attempts(
        [
            attempt("A: 7"),
            attempt("$7.00"),
            attempt(r"\boxed{8}", outcome=Outcome.SUCCESS),
            attempt("the answer is 8", outcome=Outcome.SUCCESS),
        ]
    )[0]
    variety = variety_of(group)
    assert (variety.n_answers, variety.n_distinct) == (4, 2)
    assert variety.same_answer == pytest.approx(2 * (2 * 1) / (4 * 3))
    assert variety.same_wrong == 1.0
    assert variety.entropy == pytest.approx(math.log(2))
    assert variety.n_copies == 0


def test_bigrams_by_hand() -> None:
    # "a b a b": ab ba ab; "a b c": ab bc; 5 pairs, 3 distinct
    group = group_attempts([attempt(None, text="a b a b"), attempt(None, text="a b c")])[0]
    assert variety_of(group).distinct_bigrams == pytest.approx(3 / 5)


def test_same_calls_need_calls_and_ignore_key_order() -> None:
    def caller(arguments: dict[str, int]) -> Attempt:
        call = ToolCall(name="pay", arguments=arguments)
        return Attempt(
            task="t",
            verdict=Verdict(outcome=Outcome.UNSCORED),
            steps=(Step(role="assistant", calls=(call,)),),
        )

    group = group_attempts([caller({"a": 1, "b": 2}), caller({"b": 2, "a": 1}), caller({"a": 9})])[
        0
    ]
    assert variety_of(group).same_calls == pytest.approx(1 / 3)
    assert variety_of(group).n_copies == 1
    talk = group_attempts([attempt(None, text="x"), attempt(None, text="x")])[0]
    assert variety_of(talk).same_calls is None


def test_a_closing_message_without_a_marked_answer_is_no_answer() -> None:
    assert final_answer(attempt(None, text="Glad I could help!")) is None
    assert final_answer(attempt(None, text="So\n#### 1,200")) == "1200"
    assert final_answer(attempt("forty two.")) == "forty two"
    assert repeated_share(["a", "b"]) is None


def varied(policy: str, *, step: int | None = None) -> list[Attempt]:
    return [
        attempt(
            str(10 * t + i),
            task=f"t{t}",
            policy=policy,
            text=f"I tried way {t} {i} of thinking about it and found number {10 * t + i}",
            logprobs=[-1.0, -0.5],
            step=step,
        )
        for t in range(12)
        for i in range(4)
    ]


def collapsed(policy: str, *, step: int | None = None) -> list[Attempt]:
    return [
        attempt(str(t), task=f"t{t}", policy=policy, text=f"it is {t}", logprobs=[-0.1], step=step)
        for t in range(12)
        for _ in range(4)
    ]


def test_a_collapsed_policy_raises_the_alarm() -> None:
    report = audit_collapse([*varied("old"), *collapsed("new")])
    assert not report.ok
    assert "new has collapsed" in report.summary[0]
    names = {alarm.name for alarm in report.alarms if alarm.severity == "alarm"}
    assert {
        "same wrong answer",
        "copies",
        "agreement rose",
        "length fell",
        "surprisal fell",
    } <= names
    change = report.numbers["comparisons"][0]
    assert change["same_answer_change"]["value"] == pytest.approx(1.0)
    assert change["same_answer_change"]["n_tasks"] == 12
    assert change["surprisal_ratio"] == pytest.approx(0.1 / 0.75)
    assert all(alarm.source for alarm in report.alarms)


def test_a_varied_policy_does_not() -> None:
    report = audit_collapse([*varied("old"), *varied("new")])
    assert report.ok
    assert not report.alarms
    assert report.summary[0] == "No sign of collapse."
    assert report.numbers["cohorts"]["old"]["same_answer"]["value"] == 0.0
    assert report.numbers["cohorts"]["old"]["distinct_ratio"] == 1.0


def test_one_sign_is_only_a_note() -> None:
    shorter = [msgspec.structs.replace(a, policy="new", steps=()) for a in varied("old")]
    report = audit_collapse([*varied("old"), *shorter])
    assert report.ok
    assert [alarm.severity for alarm in report.alarms] == ["warning"]
    assert report.summary[0].startswith("1 of 3 signs")


def test_training_steps_are_cohorts_in_order() -> None:
    report = audit_collapse([*collapsed("p", step=200), *varied("p", step=0)])
    assert list(report.numbers["cohorts"]) == ["p @ step 0", "p @ step 200"]
    assert not report.ok


def test_surprisal_by_hand() -> None:
    report = audit_collapse([attempt("1", logprobs=[-1.0, -3.0]), attempt("2", logprobs=[-4.0])])
    assert report.numbers["cohorts"]["p"]["surprisal_nats"]["value"] == pytest.approx(3.0)


def test_single_attempts_cannot_be_judged(gsm8k_attempts: tuple[Attempt, ...]) -> None:
    report = audit_collapse(gsm8k_attempts)
    assert "cannot be judged" in report.summary[0]
    own = report.numbers["cohorts"]["6b_finetuning"]
    assert (own["same_answer"]["value"], own["same_answer"]["n"]) == (None, 0)
    assert own["length"]["median_success"] < own["length"]["median_failure"]
    assert report.ok


def test_tool_logs_are_judged_by_their_calls(tau_attempts: tuple[Attempt, ...]) -> None:
    report = audit_collapse(tau_attempts)
    own = report.numbers["cohorts"]["gpt-4o"]
    assert own["same_calls"]["n"] == 50
    assert 0 < own["same_calls"]["value"] < 0.2
    assert own["copies"]["n"] == 0
    assert report.ok


def test_empty_and_unscored() -> None:
    assert "n = 0" in audit_collapse([]).summary[0]
    report = audit_collapse([attempt("1", outcome=Outcome.UNSCORED)] * 3)
    assert report.ok
    assert b"NaN" not in msgspec.json.encode(report)
    assert report.numbers["cohorts"]["p"]["same_wrong_answer"]["n"] == 0
    assert report.numbers["cohorts"]["p"]["same_answer"]["value"] == 1.0
