from __future__ import annotations

from pathlib import Path

from reader_fixtures import VERL, attempts, lines, read, write_files

from twiceshy.attempts.readers.verl import BROKEN_SCORE, UNSCORED_SCORE
from twiceshy.attempts.types import Outcome, Unreadable


def test_outcomes_never_turn_an_odd_score_into_a_failure(tmp_path: Path) -> None:
    found = attempts(write_files(tmp_path, VERL), "verl")
    assert [one.outcome for one in found] == [
        Outcome.SUCCESS,
        Outcome.FAILURE,
        Outcome.FAILURE,
        Outcome.UNSCORED,
        Outcome.UNSCORED,
        Outcome.SUCCESS,
    ]
    assert found[2].verdict.evidence == "acc"
    assert found[3].verdict.reason == "reward outside {0, 1} and no threshold"
    assert (found[4].verdict.reason, found[4].verdict.reward) == ("reward is not a number", None)


def test_the_prompt_is_the_task_and_run_and_step_the_policy(tmp_path: Path) -> None:
    found = attempts(write_files(tmp_path, VERL), "verl")
    assert len({one.task for one in found}) == 1
    assert {one.policy for one in found} == {"run7@3"}
    assert found[0].trial == "u1_0_0"
    assert found[0].steps[0].text == "42"
    assert found[0].extra["gts"] == "42"


def test_a_threshold_or_a_declared_column_decides(tmp_path: Path) -> None:
    path = write_files(tmp_path, VERL)
    assert attempts(path, "verl", threshold=0.2)[3].outcome is Outcome.SUCCESS
    assert attempts(path, "verl", threshold=0.2)[2].outcome is Outcome.FAILURE
    assert attempts(path, "verl", mapping={"reward": "acc"})[0].outcome is Outcome.UNSCORED


def test_damage_costs_only_its_line(tmp_path: Path) -> None:
    good = VERL["run7/3.jsonl"].splitlines(keepends=True)[0]
    data = good + b"{\n" + lines({"input": 3, "output": "x", "score": 1, "step": 1}) + good
    found = read(write_files(tmp_path, {"3.jsonl": data}), "verl")
    bad = [one.where for one in found if isinstance(one, Unreadable)]
    assert (bad, len(found)) == (["3.jsonl:2", "3.jsonl:3"], 4)


def row(uid: str, score: float, **more: object) -> dict[str, object]:
    said = {"input": "6 x 7?", "output": uid, "gts": "42", "score": score, "step": 3, "uid": uid}
    return said | more


def test_a_training_dump_of_our_reward_manager_keeps_four_outcomes_apart(tmp_path: Path) -> None:
    scores = (1.0, -1.0, BROKEN_SCORE, UNSCORED_SCORE)
    data = lines(*(row(f"p_{session}_0", score) for session, score in enumerate(scores)))
    path = write_files(tmp_path, {"3.jsonl": data})
    wanted = [Outcome.SUCCESS, Outcome.FAILURE, Outcome.BROKEN, Outcome.UNSCORED]
    assert [one.outcome for one in attempts(path, "verl")] == wanted
    # a threshold is for rewards; what nobody judged has none
    assert [one.outcome for one in attempts(path, "verl", threshold=0.5)] == wanted


def test_a_validation_dump_says_the_outcome_and_why(tmp_path: Path) -> None:
    broke = row(
        "p_0_0", BROKEN_SCORE, outcome="broken", failure_class="timeout", reason="slow", acc=None
    )
    wrong = row("p_1_0", -1.0, outcome="failure", failure_class="sign", acc=0.0, reason=None)
    found = attempts(write_files(tmp_path, {"3.jsonl": lines(broke, wrong)}), "verl")
    assert (found[0].verdict.broken, found[0].verdict.reason) == ("timeout", "slow")
    assert (found[1].outcome, found[1].extra["failure_class"]) == (Outcome.FAILURE, "sign")


def test_outputs_of_one_session_are_one_attempt(tmp_path: Path) -> None:
    data = lines(
        row("p_0_0", -1.0), row("p_0_1", -1.0, input="go on"), row("p_1_0", 1.0), row("q_0_0", 1.0)
    )
    found = attempts(write_files(tmp_path, {"3.jsonl": data}), "verl")
    assert [one.trial for one in found] == ["p_0_0", "p_1_0", "q_0_0"]
    assert [step.text for step in found[0].steps] == ["p_0_0", "go on", "p_0_1"]
    assert found[0].prompt == "6 x 7?"


def test_a_key_that_is_there_twice_is_named(tmp_path: Path) -> None:
    data = lines(row("p_0_0", -1.0), row("p_0_0", 1.0), row("p_1_0", 1.0))
    found = read(write_files(tmp_path, {"3.jsonl": data}), "verl")
    (bad,) = [one for one in found if isinstance(one, Unreadable)]
    assert (bad.where, bad.got) == ("3.jsonl:2", "p_0_0 again")
    assert len(found) == 3
