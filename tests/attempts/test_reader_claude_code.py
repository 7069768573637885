from __future__ import annotations

import json
from pathlib import Path

from reader_fixtures import CLAUDE_CODE, CLAUDE_LINES, attempts, lines, read, write_files

from twiceshy.attempts import codec
from twiceshy.attempts.types import Attempt, Outcome, Unreadable


def test_the_main_chain_in_order_with_parallel_results(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, CLAUDE_CODE), "claude_code")
    assert [(step.role, step.text) for step in one.steps] == [
        ("user", "Fix the failing test"),
        ("environment", "a reminder"),
        ("assistant", ""),
        ("tool", "a.py"),
        ("tool", "Exit code 1\n1 failed"),
        ("assistant", "Done."),
    ]
    thinking = one.steps[2]
    assert thinking.reasoning == "hm"
    assert [call.arguments for call in thinking.calls] == [{"command": "ls"}, {"command": "pytest"}]


def test_errors_are_those_the_log_types(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, CLAUDE_CODE), "claude_code")
    replies = [step for step in one.steps if step.role == "tool"]
    assert [(r.call_id, r.name, r.error) for r in replies] == [
        ("c1", "Bash", None),
        ("c2", "Bash", "Exit code 1"),
    ]


def test_nobody_judged_it_and_what_was_left_out_is_counted(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, CLAUDE_CODE), "claude_code")
    assert (one.outcome, one.verdict.reason) == (
        Outcome.UNSCORED,
        "a session log holds no judgement",
    )
    assert (one.task, one.policy, one.trial) == ("Fix the failing test", "claude-x", "s1")
    assert (one.ending, one.truncated) == ("end_turn", False)
    assert (one.extra["side_chain_messages"], one.extra["other_branch_messages"]) == (1, 1)


def test_where_it_ran_is_not_kept(tmp_path: Path) -> None:
    (one,) = attempts(write_files(tmp_path, CLAUDE_CODE), "claude_code")
    assert b"secret-project" not in codec.encode(one)


def test_an_error_of_the_service_at_the_end_is_broken(tmp_path: Path) -> None:
    message = {
        "role": "assistant",
        "id": "m9",
        "model": "<synthetic>",
        "content": [{"type": "text", "text": "API Error: 429"}],
    }
    last = CLAUDE_LINES[-1] | {
        "uuid": "u11",
        "parentUuid": "u10",
        "message": message,
        "isApiErrorMessage": True,
        "error": "rate_limit",
    }
    path = write_files(tmp_path, {"s.jsonl": lines(*CLAUDE_LINES, last)})
    (one,) = attempts(path, "claude_code")
    assert (one.verdict.broken, one.verdict.recorded) == ("refusal", Outcome.UNSCORED)
    assert one.verdict.reason == "rate_limit: API Error: 429"
    assert one.steps[-1].role == "environment"


def test_a_sub_agent_file_is_read_as_such_and_a_loop_ends(tmp_path: Path) -> None:
    side = [line | {"isSidechain": True} for line in CLAUDE_LINES if "uuid" in line]
    side[0] = side[0] | {"parentUuid": side[-1]["uuid"]}
    (one,) = attempts(write_files(tmp_path, {"agent-1.jsonl": lines(*side)}), "claude_code")
    assert one.extra["sub_agent"] is True
    assert one.steps[-1].text == "Done."


def test_a_compaction_does_not_cut_the_chain(tmp_path: Path) -> None:
    boundary = {
        "type": "system",
        "uuid": "u11",
        "parentUuid": None,
        "logicalParentUuid": "u10",
        "sessionId": "s1",
    }
    message = {"role": "user", "content": "the story so far"}
    summary = CLAUDE_LINES[1] | {"uuid": "u12", "parentUuid": "u11", "message": message}
    summary = summary | {"isCompactSummary": True}
    path = write_files(tmp_path, {"s.jsonl": lines(*CLAUDE_LINES, boundary, summary)})
    (one,) = attempts(path, "claude_code")
    assert one.steps[0].text == "Fix the failing test"
    assert (one.steps[-1].role, one.steps[-1].text) == ("environment", "the story so far")


def test_damage_costs_only_its_line(tmp_path: Path) -> None:
    data = CLAUDE_CODE["projects/p/s1.jsonl"] + b'{"uuid": "u99", "par'
    found = read(write_files(tmp_path, {"s.jsonl": data}), "claude_code")
    assert [type(one) for one in found] == [Unreadable, Attempt]
    assert isinstance(found[0], Unreadable)
    assert found[0].where == f"s.jsonl:{len(CLAUDE_LINES) + 1}"
    (nothing,) = read(write_files(tmp_path, {"t.jsonl": b'{"type": "summary"}\n'}), "claude_code")
    assert isinstance(nothing, Unreadable)
    odd = json.dumps({"type": "user", "uuid": "u1", "message": {"content": [3, {"type": []}]}})
    (nothing,) = read(write_files(tmp_path, {"u.jsonl": odd.encode()}), "claude_code")
    assert isinstance(nothing, Unreadable)
