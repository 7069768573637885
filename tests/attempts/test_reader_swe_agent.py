from __future__ import annotations

from pathlib import Path

import pytest
from reader_fixtures import (
    INSTANCE,
    SWE_AGENT,
    SWE_REPORT,
    SWE_TRAJECTORY,
    JsonObject,
    attempts,
    document,
    read,
    write_files,
)

from twiceshy.attempts.types import Attempt, Outcome, Unreadable


def _read(folder: Path, *, status: str = "submitted", instance: str = INSTANCE) -> Attempt:
    trajectory = SWE_TRAJECTORY | {"info": {"exit_status": status}}
    files = {
        f"run/{instance}/{instance}.traj": document(trajectory),
        "run/results.json": document(SWE_REPORT),
    }
    (one,) = attempts(write_files(folder, files), "swe_agent")
    return one


def test_steps_answer_and_policy(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, SWE_AGENT), "swe_agent")
    assert [(step.role, step.text) for step in one.steps] == [
        ("system", "You are an engineer"),
        ("user", "Fix the bug"),
        ("assistant", "I open it"),
        ("tool", "[File: a.py]"),
        ("assistant", "ok"),
        ("tool", "diff --git"),
    ]
    (call,) = one.steps[2].calls
    assert (call.name, call.arguments) == ("open", {"command": "open a.py"})
    assert (one.task, one.policy, one.answer) == (INSTANCE, "org/model-d", "diff --git")
    assert (one.ending, one.truncated) == ("submitted", False)


@pytest.mark.parametrize(
    ("instance", "outcome"),
    [
        (INSTANCE, Outcome.SUCCESS),
        ("other__other-1", Outcome.FAILURE),
        ("other__other-2", Outcome.BROKEN),
        ("other__other-3", Outcome.UNSCORED),
    ],
)
def test_the_report_of_the_run_labels_it(tmp_path: Path, instance: str, outcome: Outcome) -> None:
    one = _read(tmp_path, instance=instance)
    assert one.outcome is outcome
    assert one.verdict.reward is None
    if outcome is Outcome.BROKEN:
        assert (one.verdict.broken, one.verdict.recorded) == ("checker_error", Outcome.FAILURE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("exit_cost", "limit"),
        ("submitted (exit_context)", "limit"),
        ("exit_command_timeout", "timeout"),
        ("exit_error", "tool_crash"),
    ],
)
def test_typed_endings_are_broken_and_keep_the_label(
    tmp_path: Path, status: str, kind: str
) -> None:
    one = _read(tmp_path, status=status)
    assert (one.verdict.broken, one.verdict.recorded) == (kind, Outcome.SUCCESS)
    assert one.verdict.reason == f"exit status {status}"
    assert one.truncated is (kind == "limit")


def test_the_policys_own_endings_stay_judged(tmp_path: Path) -> None:
    assert _read(tmp_path, status="exit_format").outcome is Outcome.SUCCESS


def test_a_report_of_the_instance_goes_first(tmp_path: Path) -> None:
    entry: JsonObject = {INSTANCE: {"resolved": False, "patch_successfully_applied": False}}
    files = SWE_AGENT | {f"run/{INSTANCE}/report.json": document(entry)}
    (one,) = attempts(write_files(tmp_path, files), "swe_agent")
    assert one.outcome is Outcome.FAILURE
    assert one.verdict.evidence == "report.json: resolved=False, the patch did not apply"
    assert one.verdict.source == "test"


def test_older_reports_and_reports_under_any_name(tmp_path: Path) -> None:
    trajectory = document(SWE_TRAJECTORY)
    older: JsonObject = {"no_generation": [], "generated": [INSTANCE], "resolved": []}
    files = {f"a/trajs/{INSTANCE}.traj": trajectory, "a/results/results.json": document(older)}
    (one,) = attempts(write_files(tmp_path, files), "swe_agent")
    assert one.outcome is Outcome.FAILURE
    files = {f"b/{INSTANCE}.traj": trajectory, "b/model.run1.json": document(SWE_REPORT)}
    (one,) = attempts(write_files(tmp_path, files), "swe_agent")
    assert one.outcome is Outcome.SUCCESS


def test_without_a_report_it_is_unscored(tmp_path: Path) -> None:
    path = write_files(tmp_path, {"a/b/c/x.traj": document(SWE_TRAJECTORY)})
    (one,) = attempts(path, "swe_agent")
    assert one.outcome is Outcome.UNSCORED
    assert "no SWE-bench report" in one.verdict.reason


def test_damage_is_reported(tmp_path: Path) -> None:
    data = document(SWE_TRAJECTORY)
    for content in (data[:-9], data.replace(b"bug", b"\xff"), b'{"trajectory": 3}', b"", b"3"):
        (fault,) = read(write_files(tmp_path, {"x.traj": content}), "swe_agent")
        assert isinstance(fault, Unreadable)
        assert fault.where == "x.traj:1"
    odd = document({"trajectory": [3, {"action": 5}, {"action": "ls", "observation": 4}]})
    (one,) = attempts(write_files(tmp_path, {"x.traj": odd}), "swe_agent")
    assert [step.calls[0].name for step in one.steps] == ["ls"]
