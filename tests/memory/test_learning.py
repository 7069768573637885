from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.evidence.report import Report
from twiceshy.lessons import EvidenceLevel
from twiceshy.memory.contrast import learn, prove_lessons


def _area(report: Report, *path: str) -> dict[str, Any]:
    found: Any = report.numbers
    for key in path:
        found = found[key]
    assert isinstance(found, dict)
    return found


def test_tau_bench_claims_nothing(tau_attempts: list[Attempt]) -> None:
    learned = learn(tau_attempts)
    numbers = learned.report.numbers
    assert (numbers["n_attempts"], numbers["n_scored"], numbers["n_broken"]) == (200, 195, 5)
    assert numbers["n_mixed_tasks"] == numbers["n_mixed_tasks_as_recorded"] == 26
    assert numbers["gate"] == "describe"
    assert numbers["n_claimed"] == numbers["n_suggested"] == 0
    assert {each.level for each in learned.lessons} == {EvidenceLevel.DESCRIBED}
    assert {each.kind for each in learned.lessons} == {"avoid", "recover", "demonstration"}
    summary = " ".join(learned.report.summary)
    assert "26 mixed tasks cannot decide" in summary
    assert "after 5 broken attempts were set aside, 26 as recorded" in summary
    assert numbers["divergence"]["success_success"] == {
        "n_pairs": 82,
        "n_different": 0,
        "rate": 0.0,
    }
    titles = [table.title for table in learned.report.tables]
    assert "First difference of the failure" in titles
    assert 40 <= numbers["pooled"]["n_discoveries"] <= 200


def _check_tau_proof(report: Report) -> None:
    assert report.ok
    assert "26 mixed tasks cannot decide" in report.summary[0]
    assert report.numbers["n_claimed"] == 0
    assert _area(report, "within_auc")["value"] == pytest.approx(0.5, abs=0.03)
    assert _area(report, "null")["p"] > 0.05
    # The number of messages knows which tasks are hard, and points the wrong way inside a task.
    length = _area(report, "baselines", "message_count")
    assert length["overall_auc"]["value"] > 0.6
    assert length["within_auc"]["value"] < 0.5
    pooled = _area(report, "arms", "pooled")
    assert pooled["overall_auc"]["value"] > 0.62
    assert pooled["within_auc"]["low"] < 0.5
    assert pooled["null"] is None
    ranking = _area(report, "arms", "ranking")
    assert ranking["null"]["p"] > 0.05
    needed = report.numbers["needed_mixed_tasks"]
    assert needed[0]["n_tasks"] > 26


def test_tau_bench_cannot_be_proved(tau_attempts: list[Attempt]) -> None:
    _check_tau_proof(prove_lessons(tau_attempts, n_null=20))


@pytest.mark.slow
def test_tau_bench_cannot_be_proved_in_full(tau_attempts: list[Attempt]) -> None:
    report = prove_lessons(tau_attempts)
    assert report.numbers["n_null"] == 100
    assert report.alarms == ()
    _check_tau_proof(report)


def test_gsm8k_supports_lessons(gsm8k_attempts: list[Attempt]) -> None:
    learned = learn(gsm8k_attempts)
    numbers = learned.report.numbers
    assert numbers["gate"] == "claim"
    assert numbers["n_mixed_tasks"] == 731
    assert numbers["n_pairs"] == 2429
    assert 15 <= numbers["n_claimed"] <= 45
    assert [each.level for each in learned.lessons[:15]] == [
        EvidenceLevel.SUPPORTED_WITHIN_TASK
    ] * 15
    reversed_ = {each["pattern"]: each for each in numbers["pooled"]["reversed"]}
    short = reversed_["shorter than 120 characters"]
    assert short["pooled"]["estimate"] < -0.15
    assert short["within_task"]["estimate"] > 0.1
    assert any("shorter than 120 characters" in alarm.message for alarm in learned.report.alarms)
    whole = next(each for each in learned.lessons if each.pattern == "the answer is not an integer")
    assert any("property of the data set" in flag for flag in whole.flags)
    assert whole.evidence.adjusted_for_policy
    assert whole.evidence.selection_frequency == 1.0


def _check_gsm8k_proof(report: Report) -> None:
    assert report.ok
    within = _area(report, "within_auc")
    assert 0.65 <= within["low"] <= within["value"] <= 0.75
    assert 0.68 <= _area(report, "within_auc_adjusted")["value"] <= 0.82
    assert 0.48 <= _area(report, "placebo_auc")["mean"] <= 0.52
    assert _area(report, "null")["p"] == 1 / (1 + report.numbers["n_null"])
    failure, success = (_area(report, "arms", f"{side}_only") for side in ("failure", "success"))
    assert failure["within_auc"]["value"] > 0.68
    assert success["within_auc"]["value"] < 0.6
    pooled = _area(report, "arms", "pooled")
    # Mined on shuffled labels the pooled miner still ranks: it has learned difficulty.
    assert pooled["placebo_auc"]["mean"] > 0.58
    assert pooled["overall_auc"]["value"] > _area(report, "overall_auc")["value"]
    assert pooled["n_signs_differ"] >= 3
    assert _area(report, "baselines", "hand_checks")["within_auc"]["value"] > 0.6
    assert "rank failures above successes of the same unseen task" in report.summary[0]


def test_gsm8k_lessons_hold_on_unseen_questions(gsm8k_attempts: list[Attempt]) -> None:
    _check_gsm8k_proof(prove_lessons(gsm8k_attempts, n_splits=1, n_null=10))


@pytest.mark.slow
def test_gsm8k_lessons_hold_in_full(gsm8k_attempts: list[Attempt]) -> None:
    report = prove_lessons(gsm8k_attempts)
    assert report.numbers["n_null"] == 100
    _check_gsm8k_proof(report)


def test_learning_and_proving_at_once_is_the_same_proof(tau_attempts: list[Attempt]) -> None:
    learned = learn(tau_attempts, n_null=3)
    alone = prove_lessons(tau_attempts, n_null=3)
    assert learned.proof is not None
    assert learned.proof.numbers["within_auc"] == alone.numbers["within_auc"]
    assert learned.proof.numbers["null"] == alone.numbers["null"]
    assert learned.held_out.main.null is not None
    assert len(learned.held_out.main.null.runs) == 3
    assert learn(tau_attempts).proof is None


def _chat(outcome: Outcome, n: int) -> list[Attempt]:
    steps = (Step(role="user", text="hi"), Step(role="assistant", text="hello"))
    return [
        Attempt(task=f"t{k // 2}", verdict=Verdict(outcome=outcome), steps=steps, id=str(k))
        for k in range(n)
    ]


@pytest.mark.parametrize("n", [0, 6])
def test_unscored_attempts_teach_nothing_and_break_nothing(n: int) -> None:
    learned = learn(_chat(Outcome.UNSCORED, n))
    assert learned.lessons == ()
    assert learned.report.numbers["n_unscored"] == n
    assert learned.report.numbers["n_scored"] == 0
    assert "every rate is undefined (n = 0)" in learned.report.summary[0]
    proof = prove_lessons(_chat(Outcome.UNSCORED, n), n_null=2)
    assert proof.numbers["within_auc"]["value"] is None
    assert proof.numbers["null"] is None
    assert proof.ok
    msgspec.json.encode(proof)


def test_a_log_without_a_vocabulary_says_so() -> None:
    attempts = [*_chat(Outcome.SUCCESS, 4)]
    learned = learn(attempts)
    assert learned.lessons == ()
    assert learned.report.numbers["vocabulary"] is None
    assert learned.report.summary[0].startswith("No vocabulary fits these 4 attempts")


def test_an_interrupted_proof_resumes(tau_attempts: list[Attempt], tmp_path: Path) -> None:
    path = tmp_path / "null.jsonl"
    first = prove_lessons(tau_attempts, n_splits=1, n_null=2, checkpoint=path)
    steps: list[tuple[int, int]] = []
    resumed = prove_lessons(
        tau_attempts,
        n_splits=1,
        n_null=3,
        checkpoint=path,
        progress=lambda done, total: steps.append((done, total)),
    )
    fresh = prove_lessons(tau_attempts, n_splits=1, n_null=3)
    assert len(path.read_bytes().splitlines()) == 3
    assert resumed == fresh
    assert resumed.numbers["within_auc"] == first.numbers["within_auc"]
    assert steps[-1] == (4, 4)


def _demo_attempts() -> list[Attempt]:
    from twiceshy.attempts.reading import read_attempts
    from twiceshy.demo_data import demo_path

    return list(read_attempts(demo_path("train")))


def test_step_lessons_come_from_the_fatal_step() -> None:
    learned = learn(_demo_attempts(), max_demonstrations=5)
    supported = [
        each
        for each in learned.lessons
        if each.level is EvidenceLevel.SUPPORTED_WITHIN_TASK and each.kind == "avoid"
    ]
    assert learned.report.numbers["vocabulary"] == "conditions"
    assert 0 < len(supported) < 30
    assert all(each.instead for each in supported[:3])
    assert learned.report.numbers["n_claimed"] < 50
    titles = [table.title for table in learned.report.tables]
    assert "Strongest patterns within tasks" not in titles


@pytest.mark.slow
def test_step_lessons_hold_on_unseen_games() -> None:
    report = prove_lessons(_demo_attempts(), n_null=20)
    assert report.numbers["primary_arm"] == "fatal_step"
    assert report.numbers["within_auc"]["low"] > 0.6
    assert report.numbers["null"]["p"] == 1 / 21
    assert report.numbers["placebo_auc"]["mean"] == pytest.approx(0.5, abs=0.02)
