from __future__ import annotations

from pathlib import Path

import pytest
from reader_fixtures import (
    INSTANCE,
    MINI_SWE_AGENT,
    MINI_TRAJECTORY,
    JsonObject,
    attempts,
    document,
    read,
    write_files,
)

from twiceshy.attempts import codec
from twiceshy.attempts.types import Outcome, Unreadable


def test_steps_with_typed_exit_codes(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, MINI_SWE_AGENT), "mini_swe_agent")
    assert [step.role for step in one.steps] == ["system", "user", "assistant", "tool"]
    (call,) = one.steps[2].calls
    assert (call.name, call.arguments, call.id) == ("bash", {"command": "ls"}, "c1")
    reply = one.steps[3]
    assert (reply.error, reply.call_id, reply.name) == ("returncode 2", "c1", "bash")
    assert reply.time == "1970-01-01T00:00:02+00:00"
    assert (one.answer, one.ending, one.truncated) == ("diff --git", "Submitted", False)


def test_the_harness_report_labels_it(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, MINI_SWE_AGENT), "mini_swe_agent")
    assert (one.task, one.policy) == (INSTANCE, "org/model-e")
    assert (one.outcome, one.verdict.source) == (Outcome.FAILURE, "test")
    assert b"secret" not in codec.encode(one)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("LimitsExceeded", "limit"),
        ("TimeExceeded", "limit"),
        ("ReadTimeout", "timeout"),
        ("ContentPolicyViolationError", "refusal"),
        ("RuntimeError", "tool_crash"),
    ],
)
def test_typed_endings_are_broken(tmp_path: Path, status: str, kind: str) -> None:
    changed = MINI_TRAJECTORY | {"info": MINI_TRAJECTORY["info"] | {"exit_status": status}}
    path = f"trajs/{INSTANCE}/{INSTANCE}.traj.json"
    (one,) = attempts(
        write_files(tmp_path, {**MINI_SWE_AGENT, path: document(changed)}), "mini_swe_agent"
    )
    assert (one.verdict.broken, one.verdict.recorded) == (kind, Outcome.FAILURE)
    assert one.verdict.reason == f"exit status {status}"


def test_repeated_format_errors_are_the_policys_own(tmp_path: Path) -> None:
    info = MINI_TRAJECTORY["info"] | {"exit_status": "RepeatedFormatError"}
    path = write_files(tmp_path, {"x.traj.json": document(MINI_TRAJECTORY | {"info": info})})
    (one,) = attempts(path, "mini_swe_agent")
    assert one.outcome is Outcome.UNSCORED


def test_format_1_has_its_actions_in_fenced_blocks(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "Solve it. <returncode>1</returncode> is how codes look."},
        {"role": "assistant", "content": "THOUGHT\n\n```bash\nls -a\n```"},
        {"role": "user", "content": "<returncode>1</returncode>\n<output>\nno\n</output>"},
        {"role": "assistant", "content": "done"},
    ]
    info = {"exit_status": "Submitted", "submission": "x", "mini_version": "1.15.0"}
    record = {"info": info, "messages": messages, "trajectory_format": "mini-swe-agent-1"}
    path = write_files(tmp_path, {"last_run.traj.json": document(record)})
    (one,) = attempts(path, "mini_swe_agent")
    assert [step.role for step in one.steps] == ["system", "user", "assistant", "tool", "assistant"]
    assert one.steps[2].calls[0].arguments == {"command": "ls -a"}
    assert one.steps[3].error == "returncode 1"
    assert one.task.startswith("Solve it.")


def test_responses_api_objects_are_messages(tmp_path: Path) -> None:
    said = {"type": "message", "content": [{"type": "output_text", "text": "look"}]}
    actions = [{"command": "ls", "tool_call_id": "c1"}]
    call: JsonObject = {"object": "response", "output": [said], "extra": {"actions": actions}}
    reply: JsonObject = {
        "type": "function_call_output",
        "call_id": "c1",
        "output": "a.py",
        "extra": {"returncode": -1, "exception_info": "timed out\nlong"},
    }
    record = MINI_TRAJECTORY | {"messages": [call, reply]}
    (one,) = attempts(write_files(tmp_path, {"x.traj.json": document(record)}), "mini_swe_agent")
    assert (one.steps[0].text, one.steps[0].calls[0].id) == ("look", "c1")
    assert (one.steps[1].text, one.steps[1].error) == ("a.py", "timed out")


def test_the_predictions_file_names_the_model(tmp_path: Path) -> None:
    record = {"messages": MINI_TRAJECTORY["messages"], "info": {"exit_status": "Submitted"}}
    entry = {INSTANCE: {"model_name_or_path": "org/model-f", "model_patch": "diff"}}
    files = {
        f"run/{INSTANCE}/{INSTANCE}.traj.json": document(record),
        "run/preds.json": document(entry),
    }
    (one,) = attempts(write_files(tmp_path, files), "mini_swe_agent")
    assert (one.policy, one.task, one.outcome) == ("org/model-f", INSTANCE, Outcome.UNSCORED)


def test_damage_is_reported(tmp_path: Path) -> None:
    data = document(MINI_TRAJECTORY)
    for content in (data[:-9], data.replace(b"bug", b"\xff"), b'{"info": {}}', b""):
        (fault,) = read(write_files(tmp_path, {"x.traj.json": content}), "mini_swe_agent")
        assert isinstance(fault, Unreadable)
        assert fault.where == "x.traj.json:1"
