from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.attempts.types import Attempt, Outcome, Verdict
from twiceshy.evidence.audits import audit_passk

OUTCOMES = list(Outcome)


def attempt(
    task: str, outcome: Outcome, *, policy: str = "p", recorded: Outcome | None = None
) -> Attempt:
    return Attempt(task=task, policy=policy, verdict=Verdict(outcome=outcome, recorded=recorded))


def runs(task: str, marks: str, *, policy: str = "p") -> list[Attempt]:
    """One attempt a letter: s(uccess), f(ailure), u(nscored), b(roken), x: logged as failed."""
    kinds = {
        "s": (Outcome.SUCCESS, None),
        "f": (Outcome.FAILURE, None),
        "u": (Outcome.UNSCORED, None),
        "b": (Outcome.BROKEN, None),
        "x": (Outcome.BROKEN, Outcome.FAILURE),
    }
    return [attempt(task, kinds[mark][0], policy=policy, recorded=kinds[mark][1]) for mark in marks]


def test_tau_bench_publishes_exactly_this_table(tau_attempts: tuple[Attempt, ...]) -> None:
    report = audit_passk(tau_attempts)
    numbers = report.numbers
    assert [round(value, 3) for value in numbers["pass_hat_k"]] == [0.420, 0.273, 0.220, 0.200]
    assert numbers["pass_at_k"][0] == 0.42
    assert numbers["pass_at_k"][3] == pytest.approx(36 / 50)  # 14 tasks are never solved
    assert numbers["pass_hat_k"][3] == pytest.approx(10 / 50)  # 10 are always
    counts = [numbers[k] for k in ("n_tasks", "n_attempts", "n_broken", "n_unscored")]
    assert counts == [50, 200, 5, 0]
    assert all(
        low < value < high
        for value, (low, high) in zip(
            numbers["pass_hat_k"], numbers["intervals"]["pass_hat_k"], strict=True
        )
    )
    without = numbers["excluding_broken"]
    assert without["n_attempts"] == 195
    # the five broken attempts lie in four tasks: (9, 2) and (9, 3) share one
    assert without["n_tasks_left_out"] == [0, 0, 1, 4]
    assert without["pass_hat_k"][0] > numbers["pass_hat_k"][0]
    assert report.ok
    assert "as the log recorded them" in report.summary[1]
    assert "5 of 200" in report.summary[1]


def test_four_policies_are_not_four_trials(gsm8k_attempts: tuple[Attempt, ...]) -> None:
    numbers = audit_passk(gsm8k_attempts).numbers
    assert numbers["k"] == [1]
    assert (numbers["n_tasks"], numbers["n_groups"]) == (1319, 5276)
    rights = {p: round(own["pass_at_k"][0] * 1319) for p, own in numbers["policies"].items()}
    assert rights == {
        "6b_finetuning": 286,
        "6b_verification": 515,
        "175b_finetuning": 458,
        "175b_verification": 742,
    }
    assert numbers["pass_at_k"][0] == pytest.approx((286 + 515 + 458 + 742) / 5276)


def test_by_hand() -> None:
    # task a: 3 recorded, 1 success (x counts as recorded failure); task b: 2 successes of 2
    # pass^1 = (1/3 + 1)/2, pass^2 = (0 + 1)/2, pass@2 = (2/3 + 1)/2; k = 3 from task a alone
    report = audit_passk(runs("a", "sfx") + runs("b", "ssu"))
    numbers = report.numbers
    assert numbers["pass_hat_k"] == pytest.approx([2 / 3, 0.5, 0.0])
    assert numbers["pass_at_k"] == pytest.approx([2 / 3, 5 / 6, 1.0])
    assert numbers["n_tasks_left_out"] == [0, 0, 1]
    counts = [numbers[k] for k in ("n_attempts", "n_scored", "n_broken", "n_unscored")]
    assert counts == [6, 5, 1, 1]
    # without the broken one task a has 1 success of 2
    assert numbers["excluding_broken"]["pass_hat_k"] == pytest.approx([0.75, 0.5])
    assert [alarm.name for alarm in report.alarms] == ["unequal attempts"]


def test_nothing_judged() -> None:
    report = audit_passk(runs("a", "uu") + runs("b", "u"))
    assert report.numbers["pass_hat_k"] == [None]
    assert report.numbers["pass_at_k"] == [None]
    assert report.numbers["intervals"]["pass_at_k"] == [[None, None]]
    assert report.numbers["n_scored"] == 0
    assert report.numbers["n_unscored"] == 3
    assert report.ok
    assert "n = 0" in report.summary[0]
    assert any("--outcomes FILE" in line for line in report.summary)
    assert not report.alarms


def test_nothing_at_all() -> None:
    report = audit_passk([])
    assert report.numbers["pass_hat_k"] == [None]
    assert (report.numbers["n_attempts"], report.ok) == (0, True)
    assert "n = 0" in report.summary[0]


def test_broken_without_a_recorded_verdict_enters_nothing() -> None:
    numbers = audit_passk(runs("a", "bb") + runs("b", "sf")).numbers
    assert (numbers["n_scored"], numbers["n_broken"]) == (2, 2)
    assert numbers["pass_hat_k"] == [0.5, 0.0]
    assert numbers["n_tasks_left_out"] == [1, 1]


def test_only_broken() -> None:
    report = audit_passk(runs("a", "bx"))
    assert report.numbers["pass_hat_k"] == [0.0]
    assert report.numbers["excluding_broken"]["pass_hat_k"] == [None]
    assert "undefined" in report.summary[1]


def test_a_policy_never_borrows_trials_of_another() -> None:
    report = audit_passk(runs("a", "sf", policy="x") + runs("a", "ss", policy="y"))
    numbers = report.numbers
    assert numbers["k"] == [1, 2]
    assert numbers["pass_hat_k"] == [0.75, 0.5]
    assert numbers["policies"]["x"]["pass_hat_k"] == [0.5, 0.0]
    assert numbers["policies"]["y"]["pass_hat_k"] == [1.0, 1.0]
    assert (numbers["n_tasks"], numbers["n_groups"]) == (1, 2)


marks = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("pq"), st.sampled_from("sfubx")), max_size=25
)


@given(marks)
def test_json_is_finite_and_counts_add_up(drawn: list[tuple[str, str, str]]) -> None:
    made = [run for task, policy, mark in drawn for run in runs(task, mark, policy=policy)]
    report = audit_passk(iter(made))
    text = msgspec.json.encode(report)
    assert b"NaN" not in text
    numbers = report.numbers
    assert numbers["n_attempts"] == len(made)
    assert numbers["n_scored"] == sum(a.verdict.as_recorded.is_scored for a in made)
    both = zip(numbers["pass_hat_k"], numbers["pass_at_k"], strict=True)
    for hat, at in both:
        assert (hat is None) == (at is None)
        if hat is not None:
            assert 0 <= hat <= at + 1e-12 <= 1 + 2e-12
    again = audit_passk(reversed(made)).numbers
    assert again["pass_hat_k"] == pytest.approx(numbers["pass_hat_k"])
