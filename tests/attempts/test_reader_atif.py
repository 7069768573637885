from __future__ import annotations

from pathlib import Path

import pytest
from reader_fixtures import (
    ATIF,
    ATIF_TRAJECTORY,
    HARBOR_RESULT,
    JsonObject,
    attempts,
    document,
    read,
    write_files,
)

from twiceshy.attempts import codec
from twiceshy.attempts.types import Outcome, Unreadable


def _trial(folder: Path, **changed: object) -> Path:
    result = document(HARBOR_RESULT | changed)
    return write_files(
        folder, {"t/agent/trajectory.json": document(ATIF_TRAJECTORY), "t/result.json": result}
    )


def test_steps_calls_and_replies(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, ATIF), "atif")
    assert [(step.role, step.text) for step in one.steps] == [
        ("user", "Sort the file"),
        ("assistant", "I sort it"),
        ("tool", "a\nb"),
        ("assistant", "done"),
        ("environment", "terminal idle"),
    ]
    assert one.steps[1].reasoning == "easy"
    assert one.steps[1].calls[0].arguments == {"command": "sort f"}
    assert (one.steps[2].call_id, one.steps[2].name) == ("c1", "bash")
    assert (one.token_ids, one.logprobs) == ((5, 6, 7), (-0.1, -0.2, -0.3))


def test_harbor_names_the_task_and_judges(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, ATIF), "atif")
    assert (one.task, one.trial) == ("sort-file", "sort-file__ab12")
    assert one.policy == "terminus-2 2.0 org/model-c"
    assert (one.outcome, one.verdict.reward) == (Outcome.SUCCESS, 1.0)
    assert one.verdict.evidence == "verifier_result.rewards.reward"
    assert b"secret" not in codec.encode(one)


def test_without_a_result_it_is_unscored(tmp_path: Path) -> None:
    path = write_files(tmp_path, {"a/b/t.json": document(ATIF_TRAJECTORY)})
    (one,) = attempts(path, "atif")
    assert (one.outcome, one.task) == (Outcome.UNSCORED, "Sort the file")
    assert one.verdict.reason == "no Harbor trial result found beside the trajectory"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("AgentTimeoutError", "limit"),
        ("VerifierTimeoutError", "checker_error"),
        ("EnvironmentStartTimeoutError", "timeout"),
        ("SomethingNewError", "tool_crash"),
    ],
)
def test_exceptions_are_broken_and_keep_the_reward(tmp_path: Path, name: str, kind: str) -> None:
    info = {"exception_type": name, "exception_message": "after 900 s\nand more"}
    rewards = {"rewards": {"reward": 0}}
    (one,) = attempts(_trial(tmp_path, exception_info=info, verifier_result=rewards), "atif")
    assert (one.verdict.broken, one.verdict.recorded) == (kind, Outcome.FAILURE)
    assert one.verdict.reason == f"{name}: after 900 s"
    assert one.ending == name


def test_a_trial_that_was_not_verified_is_unscored_not_zero(tmp_path: Path) -> None:
    (one,) = attempts(_trial(tmp_path, verifier_result=None), "atif")
    assert (one.outcome, one.verdict.reward) == (Outcome.UNSCORED, None)
    info = {"exception_type": "RewardFileNotFoundError", "exception_message": ""}
    path = _trial(tmp_path, verifier_result=None, exception_info=info)
    (one,) = attempts(path, "atif")
    assert (one.verdict.broken, one.verdict.recorded) == ("checker_error", Outcome.UNSCORED)


def test_several_rewards_need_a_declaration(tmp_path: Path) -> None:
    path = _trial(tmp_path, verifier_result={"rewards": {"speed": 0.4, "correct": 1}})
    assert attempts(path, "atif")[0].outcome is Outcome.UNSCORED
    assert attempts(path, "atif", mapping={"reward": "correct"})[0].outcome is Outcome.SUCCESS


def test_parts_of_one_run_are_one_attempt(tmp_path: Path) -> None:
    first = ATIF_TRAJECTORY | {"continued_trajectory_ref": "trajectory.cont-1.json"}
    copied: JsonObject = ATIF_TRAJECTORY["steps"][0] | {"is_copied_context": True}
    more = {"step_id": 4, "source": "agent", "message": "and more"}
    second = ATIF_TRAJECTORY | {"steps": [copied, more]}
    files = {"trajectory.json": document(first), "trajectory.cont-1.json": document(second)}
    path = write_files(tmp_path, files)
    (one,) = attempts(path, "atif")
    assert [step.text for step in one.steps].count("Sort the file") == 1
    assert one.steps[-1].text == "and more"
    (fault,) = read(tmp_path / "trajectory.cont-1.json", "atif")
    assert isinstance(fault, Unreadable)
    assert "trajectory.json" in fault.got


def test_damage_is_reported(tmp_path: Path) -> None:
    data = document(ATIF_TRAJECTORY)
    bad = [data[:-20], data.replace(b"Sort", b"\xff"), b'{"schema_version": "ATIF-v1.6"}', b"[]"]
    for content in bad:
        (fault,) = read(write_files(tmp_path, {"t.json": content}), "atif")
        assert isinstance(fault, Unreadable)
        assert fault.where == "t.json:1"
