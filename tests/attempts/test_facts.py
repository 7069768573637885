"""What two published data sets hold, counted: any change here is a reading error."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from twiceshy.attempts import Attempt, ImportSummary, Outcome, group_attempts, read_attempts

GSM8K = {"task": "question", "answer": "solution", "success": "is_correct"}
LIMIT_HIT = {("33", "0"), ("2", "1"), ("9", "2"), ("9", "3"), ("46", "3")}


@pytest.fixture(scope="module")
def tau(tau_file: Path) -> tuple[list[Attempt], ImportSummary]:
    reading = read_attempts(tau_file)
    return list(reading), reading.summary


def test_tau_outcomes_as_recorded(tau: tuple[list[Attempt], ImportSummary]) -> None:
    attempts, summary = tau
    recorded = Counter(attempt.verdict.as_recorded for attempt in attempts)
    assert recorded == {Outcome.SUCCESS: 84, Outcome.FAILURE: 116}
    assert summary.numbers()["n_success"] == 84
    assert summary.formats == {"tau_bench": 200}
    n_solved = [
        sum(a.verdict.as_recorded is Outcome.SUCCESS for a in group.attempts)
        for group in group_attempts(attempts)
    ]
    assert [n_solved.count(k) for k in range(5)] == [14, 12, 10, 4, 10]
    assert sum(k * (4 - k) for k in n_solved) == 88


def test_tau_limit_hit_runs_are_broken(tau: tuple[list[Attempt], ImportSummary]) -> None:
    attempts, summary = tau
    broken = [a for a in attempts if a.outcome is Outcome.BROKEN]
    assert {(a.task, a.trial) for a in broken} == LIMIT_HIT
    for attempt in broken:
        assert attempt.verdict.broken == "limit"
        assert attempt.verdict.recorded is Outcome.FAILURE
        assert attempt.verdict.reward == 0.0
        assert sum(step.role == "assistant" for step in attempt.steps) == 30
    assert {kind: sum(reasons.values()) for kind, reasons in summary.broken.items()} == {"limit": 5}


def test_tau_calls_and_errors(tau: tuple[list[Attempt], ImportSummary]) -> None:
    attempts, _ = tau
    names = Counter(call.name for a in attempts for s in a.steps for call in s.calls)
    assert names.total() == 1164
    assert names["get_reservation_details"] == 377
    assert names["book_reservation"] == 53
    assert sum(len(attempt.steps) for attempt in attempts) == 5308
    with_errors = [a for a in attempts if any(s.error is not None for s in a.steps)]
    assert sum(s.error is not None for a in attempts for s in a.steps) == 73
    recorded = Counter(a.verdict.as_recorded for a in with_errors)
    assert recorded == {Outcome.FAILURE: 27, Outcome.SUCCESS: 9}


def test_tau_gold_is_apart_from_the_steps(tau: tuple[list[Attempt], ImportSummary]) -> None:
    attempts, _ = tau
    assert all("gold_actions" in attempt.extra for attempt in attempts)
    assert all((attempt.prompt or "").strip() for attempt in attempts)


def test_gsm8k_right_counts(gsm8k_file: Path) -> None:
    reading = read_attempts(gsm8k_file, mapping=GSM8K)
    attempts = list(reading)
    assert len(attempts) == 5276
    right = Counter(a.policy for a in attempts if a.outcome is Outcome.SUCCESS)
    assert right == {
        "6b_finetuning": 286,
        "6b_verification": 515,
        "175b_finetuning": 458,
        "175b_verification": 742,
    }
    by_task: Counter[str] = Counter()
    for attempt in attempts:
        by_task[attempt.task] += attempt.outcome is Outcome.SUCCESS
    assert [list(by_task.values()).count(k) for k in range(5)] == [432, 290, 236, 205, 156]
    assert sum(k * (4 - k) for k in by_task.values()) == 2429
    assert all("ground_truth" in attempt.extra for attempt in attempts)
    assert reading.summary.n_policies == 4
    assert len({attempt.id for attempt in attempts}) == 5276
