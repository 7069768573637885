from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.attempts.types import Attempt, Outcome, Step, ToolCall, Verdict
from twiceshy.evidence.audits import audit_shortcuts


def attempt(
    *,
    task: str = "t",
    outcome: Outcome = Outcome.FAILURE,
    answer: str | None = None,
    text: str = "",
    calls: tuple[str, ...] = (),
    gold: list[str] | None = None,
    recorded: Outcome | None = None,
    policy: str = "p",
) -> Attempt:
    steps = [Step(role="assistant", calls=(ToolCall(name=name),)) for name in calls]
    if text:
        steps.append(Step(role="assistant", text=text))
    extra: dict[str, Any] = {}
    if gold is not None:
        extra["gold_actions"] = [{"name": name} for name in gold]
    return Attempt(
        task=task,
        policy=policy,
        answer=answer,
        verdict=Verdict(outcome=outcome, recorded=recorded),
        steps=tuple(steps),
        extra=extra,
        id=f"{task}-{answer}-{text[:8]}",
    )


S, F = Outcome.SUCCESS, Outcome.FAILURE


def test_tau_bench_pays_for_doing_nothing(tau_attempts: tuple[Attempt, ...]) -> None:
    report = audit_shortcuts(tau_attempts)
    nothing = report.numbers["do_nothing"]
    assert (nothing["no_write"]["n"], nothing["no_write"]["n_passed"]) == (87, 57)
    assert nothing["share_of_passes_without_write"] == pytest.approx(57 / 84)
    assert (nothing["no_call"]["n"], nothing["no_call"]["n_passed"]) == (18, 4)
    where = nothing["no_write_where_gold_writes"]
    assert (where["n"], where["n_passed"]) == (28, 0)
    assert where["low"] == 0.0
    assert nothing["baseline"]["n_tasks"] == 50
    assert nothing["baseline"]["pass_rate"] == pytest.approx(19 / 50)
    # pooled, changing nothing looks good (0.66 against 0.24); at the same task it does not
    within = nothing["within_task"]
    assert nothing["no_write"]["pass_rate"] - nothing["with_write"]["pass_rate"] > 0.4
    assert within["low"] < 0 < within["high"]
    assert not report.ok
    assert "does nothing would pass 38%" in report.summary[0]
    assert "87 attempts changed nothing and 57" in report.summary[1]


def test_gsm8k_skipped_steps(gsm8k_attempts: tuple[Attempt, ...]) -> None:
    report = audit_shortcuts(gsm8k_attempts)
    skipped = report.numbers["skipped_work"]
    assert skipped["unit"] == "calculations"
    # an independent count gave 1,185 attempts below their siblings' median, 82.2 % of them wrong
    assert skipped["less_than_siblings"]["n"] == pytest.approx(1185, abs=5)
    assert skipped["less_than_siblings"]["pass_rate"] == pytest.approx(0.178, abs=0.005)
    assert skipped["less_than_siblings"]["n"] + skipped["rest"]["n"] == 5276
    assert report.numbers["do_nothing"]["no_write"]["n"] == 0  # no calls anywhere: undefined
    assert report.numbers["do_nothing"]["no_write"]["pass_rate"] is None
    assert report.ok


def test_do_nothing_by_hand() -> None:
    made = [
        attempt(task="a", outcome=S, calls=("get_user",), gold=["get_user"]),
        attempt(task="a", outcome=F, calls=("pay",), gold=["get_user"]),
        attempt(task="b", outcome=F, gold=["pay"]),
        attempt(task="b", outcome=S, calls=("pay",), gold=["pay"]),
        attempt(task="b", outcome=Outcome.BROKEN, recorded=F, gold=["pay"]),
        attempt(task="b", outcome=Outcome.UNSCORED, gold=["pay"]),
    ]
    nothing = audit_shortcuts(made).numbers["do_nothing"]
    assert (nothing["no_write"]["n"], nothing["no_write"]["n_passed"]) == (3, 1)
    assert nothing["excluding_broken"]["no_write"]["n"] == 2
    assert (nothing["no_call"]["n"], nothing["no_call"]["n_passed"]) == (2, 0)
    assert (nothing["with_write"]["n"], nothing["with_write"]["n_passed"]) == (2, 1)
    assert nothing["baseline"]["pass_rate"] == 0.5
    assert nothing["share_of_passes_without_write"] == 0.5
    # at a: 1 idle passed, 0 of 1 busy: +1; at b: 0 of 2 idle, 1 of 1 busy: -1
    assert (nothing["within_task"]["difference"], nothing["within_task"]["n_tasks"]) == (0.0, 2)


def test_one_answer_for_all_tasks() -> None:
    same = [attempt(task=f"t{i}", answer="2", outcome=S if i < 2 else F) for i in range(12)]
    report = audit_shortcuts([*same, attempt(task="u", answer="3", outcome=S)])
    top = report.numbers["top_answer"]
    assert (top["answer"], top["share"], top["n"]) == ("2", pytest.approx(12 / 13), 13)
    assert top["pass"]["pass_rate"] == pytest.approx(2 / 12)
    assert "one answer for all" in [alarm.name for alarm in report.alarms]
    assert report.ok  # a warning does not fail the audit


def test_repetition_by_hand() -> None:
    # "a b" five times: 7 four-grams, 2 distinct, 5/7 repeated
    loops = [attempt(task=f"t{i}", text="a b " * 5) for i in range(2)]
    rest = [attempt(task=f"t{i}", text="one two three four five six") for i in range(8)]
    report = audit_shortcuts([*loops, *rest])
    repeats = report.numbers["repetition"]
    assert repeats["repetitive"] == {"count": 2, "n": 10, "share": 0.2}
    assert [alarm.name for alarm in report.alarms] == ["repetition"]
    assert audit_shortcuts(loops[:1]).numbers["repetition"][
        "repeated_4grams_failure"
    ] == pytest.approx(5 / 7)


def test_boxes_and_writes_made_twice() -> None:
    made = [
        attempt(text=r"\boxed{1} no, \boxed{2}"),
        attempt(text=r"\boxed{3}", calls=("pay", "pay")),
        attempt(calls=("get", "get")),
    ]
    repeats = audit_shortcuts(made).numbers["repetition"]
    assert repeats["boxed_twice"] == {"count": 1, "n": 2, "share": 0.5}
    assert repeats["repeats_a_write"] == {"count": 1, "n": 2, "share": 0.5}


def test_skipped_work_by_hand() -> None:
    # calls 1, 2, 2 at one task: medians of the others 2, 1.5, 1.5; only the first did less
    made = [
        attempt(task="a", outcome=F, calls=("x",)),
        attempt(task="a", outcome=S, calls=("x", "y")),
        attempt(task="a", outcome=S, calls=("x", "y")),
        attempt(task="alone", outcome=S, calls=()),
    ]
    skipped = audit_shortcuts(made).numbers["skipped_work"]
    assert skipped["unit"] == "calls"
    less, rest = skipped["less_than_siblings"], skipped["rest"]
    assert (less["n"], less["n_passed"], rest["n"], rest["n_passed"]) == (1, 0, 2, 2)


def test_answer_position_by_hand() -> None:
    early = "42 it is . " + "because of many reasons " * 10 + "so the answer is 42"
    late = "first we add twenty and then twenty two so the answer is 42"
    numbers = audit_shortcuts(
        [attempt(outcome=S, text=early), attempt(outcome=F, text=late)]
    ).numbers
    position = numbers["answer_position"]
    assert (position["median_success"], position["median_failure"]) == (0.0, 1.0)
    assert (position["early"]["n"], position["n"]) == (1, 2)


def test_modal_wrong_answer_by_hand() -> None:
    # wrong answers 5, 5, 6 at a (share 2/3) and 1, 1 at b (share 1); right answers do not count
    made = [attempt(task="a", answer=x) for x in ("5", "5", "6")]
    made += [attempt(task="b", answer="1"), attempt(task="b", answer="1.0")]
    made += [attempt(task="a", answer="9", outcome=S)] * 3
    wrong = audit_shortcuts(made).numbers["modal_wrong_answer"]
    assert wrong["mean_share"] == pytest.approx((2 / 3 + 1) / 2)
    assert (wrong["n_groups"], wrong["n_all_the_same"]) == (2, 1)


def test_a_short_lone_success_is_named() -> None:
    def group(task: str, lengths: list[int]) -> list[Attempt]:
        return [
            attempt(task=task, outcome=S if i == 0 else F, text=f"{task} " + "x" * n)
            for i, n in enumerate(lengths)
        ]

    made = [a for t in range(6) for a in group(f"t{t}", [900 + 40 * t, 1000, 1100, 950])]
    made += group("guess", [3, 1000, 1050, 980])
    lone = audit_shortcuts(made).numbers["lone_success"]
    assert (lone["n"], lone["n_short"]) == (7, 1)
    assert lone["short"][0].startswith("guess")


def test_nothing_judged() -> None:
    report = audit_shortcuts([attempt(outcome=Outcome.UNSCORED, calls=("pay",))] * 2)
    assert report.ok
    assert "n = 0" in report.summary[0]
    assert any("--outcomes FILE" in line for line in report.summary)
    for rate in (
        report.numbers["do_nothing"]["no_write"],
        report.numbers["skipped_work"]["rest"],
        report.numbers["top_answer"]["pass"],
    ):
        assert (rate["n"], rate["pass_rate"]) == (0, None)


def test_empty() -> None:
    report = audit_shortcuts([])
    assert report.ok
    assert "n = 0" in report.summary[0]


attempts = st.lists(
    st.builds(
        attempt,
        task=st.sampled_from("abc"),
        policy=st.sampled_from("pq"),
        outcome=st.sampled_from(list(Outcome)),
        answer=st.none() | st.sampled_from(["1", "A: 2", "\\boxed{", "", "…"]),
        text=st.text(max_size=30),
        calls=st.lists(st.sampled_from(["get", "pay", ""]), max_size=3).map(tuple),
        gold=st.none() | st.lists(st.sampled_from(["get", "pay"]), max_size=2),
    ),
    max_size=15,
)


@given(attempts)
def test_any_attempts_give_finite_json(made: list[Attempt]) -> None:
    report = audit_shortcuts(made)
    assert b"NaN" not in msgspec.json.encode(report)
    assert report.summary
    assert all(len(row) == len(table.columns) for table in report.tables for row in table.rows)
    less, rest = (report.numbers["skipped_work"][k]["n"] for k in ("less_than_siblings", "rest"))
    assert less + rest <= report.numbers["n_scored"]
