from __future__ import annotations

from pathlib import Path

import pytest
from reader_fixtures import CODEX, CODEX_LINES, JsonObject, attempts, lines, read, write_files

from twiceshy.attempts import codec
from twiceshy.attempts.types import Outcome, Unreadable


def test_the_conversation_is_read_once(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, CODEX), "codex")
    assert [(step.role, step.text) for step in one.steps] == [
        ("environment", "<environment_context>...</environment_context>"),
        ("user", "Make the build pass"),
        ("assistant", ""),
        ("assistant", ""),
        ("tool", "boom"),
        ("assistant", ""),
        ("tool", "no"),
        ("assistant", ""),
        ("tool", "Exit code: 0\nWall time: 0.1 seconds\nOutput:\nok"),
        ("assistant", "It passes."),
    ]
    assert one.steps[2].reasoning == "plan"
    assert one.steps[3].calls[0].arguments == {"command": ["make"]}
    assert one.steps[5].calls[0].arguments == "{"
    assert one.steps[7].calls[0].name == "apply_patch"


def test_exit_codes_come_from_events_metadata_and_headers(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, CODEX), "codex")
    replies = [step for step in one.steps if step.role == "tool"]
    assert [(r.name, r.error) for r in replies] == [
        ("shell", "exit code 2"),
        ("shell", "exit code 1"),
        ("apply_patch", None),
    ]
    header = "Chunk ID: a1\nWall time: 0.5 seconds\nProcess exited with code 7\nOutput:\n"
    replaced: list[JsonObject] = [
        *CODEX_LINES[:8],
        CODEX_LINES[8] | {"payload": CODEX_LINES[8]["payload"] | {"output": header}},
    ]
    without_event = [line for line in replaced if line["payload"].get("type") != "exec_command_end"]
    path = write_files(tmp_path, {"r.jsonl": lines(*without_event)})
    assert attempts(path, "codex")[0].steps[-1].error == "exit code 7"


def test_json_that_a_command_printed_is_left_alone(tmp_path: Path) -> None:
    printed = '{"output": "a field of the file", "metadata": {"author": "x"}}'
    line = CODEX_LINES[8] | {"payload": CODEX_LINES[8]["payload"] | {"output": printed}}
    path = write_files(tmp_path, {"r.jsonl": lines(*CODEX_LINES[:7], line)})
    assert attempts(path, "codex")[0].steps[-1].text == printed


def test_what_is_known_of_the_session(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, CODEX), "codex")
    assert (one.task, one.policy, one.trial) == ("Make the build pass", "gpt-x-codex", "sid")
    assert (one.ending, one.outcome) == ("task_complete", Outcome.UNSCORED)
    assert one.extra["started_at"] == "2026-01-02T03:04:00.000Z"
    assert one.extra["ended_at"] == "2026-01-02T03:04:10.000Z"
    assert b"/home/someone" not in codec.encode(one)


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ("usage_limit_exceeded", "refusal"),
        ("context_window_exceeded", "limit"),
        ({"http_connection_failed": {"http_status_code": 502}}, "tool_crash"),
        (None, "tool_crash"),
    ],
)
def test_an_error_at_the_end_is_broken(tmp_path: Path, info: object, kind: str) -> None:
    event = {"type": "error", "message": "it stopped", "codex_error_info": info}
    last = {"timestamp": "t", "type": "event_msg", "payload": event}
    (one,) = attempts(write_files(tmp_path, {"r.jsonl": lines(*CODEX_LINES, last)}), "codex")
    assert (one.verdict.broken, one.ending) == (kind, "error")
    assert one.verdict.reason.endswith(": it stopped")


def test_an_interrupted_turn_says_so(tmp_path: Path) -> None:
    event = {"type": "turn_aborted", "reason": "interrupted"}
    last = {"timestamp": "t", "type": "event_msg", "payload": event}
    (one,) = attempts(write_files(tmp_path, {"r.jsonl": lines(*CODEX_LINES, last)}), "codex")
    assert (one.ending, one.outcome) == ("turn_aborted: interrupted", Outcome.UNSCORED)


def test_other_tools_type_their_faults_in_events(tmp_path: Path) -> None:
    done = {"type": "mcp_tool_call_end", "call_id": "c1", "result": {"Err": "no server"}}
    last = {"timestamp": "t", "type": "event_msg", "payload": done}
    kept = [line for line in CODEX_LINES if line["payload"].get("type") != "exec_command_end"]
    (one,) = attempts(write_files(tmp_path, {"r.jsonl": lines(*kept, last)}), "codex")
    assert one.steps[4].error == "no server"


def test_damage_costs_only_its_line(tmp_path: Path) -> None:
    data = lines(CODEX_LINES[0]) + b"{broken\n\xff\xfe\n" + lines(*CODEX_LINES[1:])
    found = read(write_files(tmp_path, {"r.jsonl": data}), "codex")
    bad = [one.where for one in found if isinstance(one, Unreadable)]
    assert bad == ["r.jsonl:2", "r.jsonl:3"]
    assert len(found) == 3
    (nothing,) = read(write_files(tmp_path, {"e.jsonl": lines(CODEX_LINES[0])}), "codex")
    assert isinstance(nothing, Unreadable)
