"""Chat, τ-bench, τ²-bench, tables and our own format, each on records written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from twiceshy.attempts import Attempt, ImportSummary, Outcome, read_attempts, write_attempts
from twiceshy.attempts.readers import records


def read(path: Path, **options: Any) -> tuple[list[Attempt], ImportSummary]:
    reading = read_attempts(path, **options)
    return list(reading), reading.summary


def read_lines(folder: Path, rows: Sequence[object], **options: Any) -> list[Attempt]:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read(path, **options)[0]


USER = {"role": "user", "content": "What is 2 + 2?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
TOOLS: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    USER,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "no", "is_error": True},
    {"role": "assistant", "content": "4", "reasoning_content": "hm"},
]


def test_chat_with_tools(tmp_path: Path) -> None:
    row = {"messages": TOOLS, "metadata": {"task_id": 7, "split": "test"}, "model": "m", "usage": 3}
    (attempt,) = read_lines(tmp_path, [row | {"success": True, "score": 0.5}])
    assert (attempt.task, attempt.policy, attempt.split) == ("7", "m", "test")
    assert (attempt.outcome, attempt.verdict.reward) == (Outcome.SUCCESS, 0.5)
    assert [step.role for step in attempt.steps] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    call = attempt.steps[2].calls[0]
    assert (call.name, call.arguments, call.id) == ("add", {"a": 2}, "c1")
    reply = attempt.steps[3]
    assert (reply.call_id, reply.name, reply.error) == ("c1", "add", "no")
    assert attempt.steps[4].reasoning == "hm"
    assert attempt.extra == {"usage": 3, "metadata": row["metadata"]}


def test_chat_slow_and_fast_way_agree(tmp_path: Path) -> None:
    plain: dict[str, Any] = {"messages": TOOLS, "task_id": "t", "reward": 1}
    in_parts = json.loads(json.dumps(plain))
    in_parts["messages"][1]["content"] = [{"type": "text", "text": USER["content"]}]
    in_parts["messages"][3].pop("is_error")
    plain["messages"] = [*TOOLS[:3], {**TOOLS[3], "is_error": False}, TOOLS[4]]
    fast, slow = read_lines(tmp_path, [plain, in_parts])
    assert fast.steps == slow.steps
    assert (fast.task, fast.verdict, fast.extra) == (slow.task, slow.verdict, slow.extra)


def test_chat_task_names(tmp_path: Path) -> None:
    long = {"role": "user", "content": "x" * 500}
    rows: list[dict[str, Any]] = [
        {"messages": [USER], "id": "chatcmpl-123"},
        {"messages": [{"role": "system", "content": "another"}, USER]},
        {"messages": [USER], "id": "q1"},
        {"messages": [long]},
        {"messages": [long, USER], "question_id": 3},
    ]
    tasks = [attempt.task for attempt in read_lines(tmp_path, rows)]
    assert tasks[:3] == ["What is 2 + 2?", "What is 2 + 2?", "q1"]
    assert len(tasks[3]) < 100
    assert tasks[4] == "3"


def test_chat_records_whose_keys_differ(tmp_path: Path) -> None:
    rows = [{"messages": [USER], **{f"k{n % 3}": n}} for n in range(9)]
    attempts = read_lines(tmp_path, rows)
    assert [attempt.extra for attempt in attempts] == [{f"k{n % 3}": n} for n in range(9)]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": []},
        {"messages": "hello"},
        {"messages": [{"role": "wizard", "content": "?"}]},
        {"messages": [{"content": "?"}]},
        {"messages": [{"role": "assistant", "content": "hi"}]},
        {"text": "no messages"},
        [1, 2],
    ],
)
def test_chat_records_that_cannot_be_used(row: object, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"messages": [USER]}) + "\n" + json.dumps(row) + "\n")
    attempts, summary = read(path)
    assert len(attempts) == summary.n_unreadable == 1
    assert summary.unreadable[0].where == f"{path}:2"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"outcome": "pass"}, "success"),
        ({"outcome": "failed"}, "failure"),
        ({"outcome": "perhaps"}, "unscored"),
        ({"is_correct": False}, "failure"),
        ({"reward": 1.0}, "success"),
        ({"score": 0}, "failure"),
        ({"score": None}, "unscored"),
        ({"reward": [1]}, "unscored"),
        ({"reward": "1"}, "success"),
        ({"metadata": {"reward": 0}}, "failure"),
    ],
)
def test_chat_outcomes(field: dict[str, Any], expected: str, tmp_path: Path) -> None:
    (attempt,) = read_lines(tmp_path, [{"messages": [USER], **field}])
    assert attempt.outcome.value == expected


def test_a_json_list_of_conversations(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(json.dumps([{"messages": [USER], "n": n} for n in range(3)], indent=2))
    attempts, summary = read(path)
    assert [attempt.provenance.line for attempt in attempts] == [1, 2, 3]
    assert summary.formats == {"openai_chat": 3}


def test_splitting_a_list_that_is_whole_equals_decoding_it() -> None:
    values: list[Any] = [{"a": '],"\\', "b": [1, {"c": []}]}, [], {}, "x,]", 3, None]
    data = json.dumps(values, indent=1).encode()
    assert [json.loads(one) for one in records.split(data, start=1)] == values
    assert [json.loads(one) for one in records.elements(data)] == values


def tau_result(**changes: Any) -> dict[str, Any]:
    stop = {"role": "user", "content": "###STOP###"}
    info = {
        "task": {"actions": [{"name": "f"}], "instruction": "do it"},
        "reward_info": {"reward": 1},
    }
    base = {"task_id": 3, "trial": 1, "reward": 1.0, "info": info, "traj": [*TOOLS, stop]}
    return {**base, **changes}


def test_tau_bench_endings(tmp_path: Path) -> None:
    crash = {"error": "Error code: 429 - rate limit", "traceback": "..."}
    rows = [
        tau_result(),
        tau_result(trial=2, info={"reward_info": None}, traj=TOOLS, reward=0.0),
        tau_result(trial=3, info=crash, traj=[], reward=0.0),
        tau_result(trial=4, info={"error": "KeyError: 'x'"}, traj=[], reward=0.0),
    ]
    path = tmp_path / "tau.json"
    path.write_text(json.dumps(rows))
    attempts, _ = read(path, policy="gpt")
    assert [a.ending for a in attempts] == ["user_stop", "max_steps", "error", "error"]
    assert [a.verdict.broken for a in attempts] == [None, "limit", "refusal", "tool_crash"]
    assert attempts[0].extra == {"gold_actions": [{"name": "f"}], "reward_info": {"reward": 1}}
    assert (attempts[0].task, attempts[0].trial, attempts[0].policy) == ("3", "1", "gpt")
    assert attempts[0].prompt == "do it"


SIMULATION: dict[str, Any] = {
    "id": "s1",
    "task_id": "12",
    "trial": 0,
    "termination_reason": "user_stop",
    "reward_info": {"reward": 0.0, "db_check": {"db_match": False}},
    "messages": [
        {"role": "assistant", "content": "Hi", "timestamp": "2026-01-01T00:00:00"},
        {
            "role": "user",
            "tool_calls": [{"id": "u", "name": "toggle", "arguments": {}, "requestor": "user"}],
        },
        {"role": "tool", "id": "u", "content": "on", "requestor": "user", "error": False},
        {"role": "assistant", "tool_calls": [{"id": "c", "name": "get", "arguments": {"k": 1}}]},
        {
            "role": "tool",
            "tool_messages": [
                {"role": "tool", "id": "c", "content": "not found", "error": True},
                {"role": "tool", "id": "d", "content": "ok", "error": False},
            ],
        },
    ],
}
RESULTS: dict[str, Any] = {
    "timestamp": "2026-01-01",
    "info": {
        "agent_info": {"implementation": "llm_agent", "llm": "gpt-x"},
        "environment_info": {"domain_name": "retail"},
    },
    "tasks": [
        {
            "id": "12",
            "user_scenario": {"instructions": {"reason_for_call": "refund", "unknown": None}},
            "evaluation_criteria": {"actions": [{"name": "refund"}]},
        }
    ],
}


def check_simulation(attempt: Attempt) -> None:
    assert (attempt.task, attempt.policy, attempt.trial) == ("retail/12", "gpt-x", "0")
    assert attempt.outcome is Outcome.FAILURE
    roles = [step.role for step in attempt.steps]
    assert roles == ["assistant", "user", "environment", "assistant", "tool", "tool"]
    assert attempt.steps[1].calls == ()
    assert attempt.steps[1].extra["user_calls"][0]["name"] == "toggle"
    assert attempt.steps[3].calls[0].arguments == {"k": 1}
    assert [(s.call_id, s.error) for s in attempt.steps[4:]] == [("c", "not found"), ("d", None)]
    assert attempt.prompt == "reason_for_call: refund"
    assert attempt.extra["gold_actions"] == [{"name": "refund"}]


def test_tau2_results_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({**RESULTS, "simulations": [SIMULATION]}, indent=2))
    (attempt,), summary = read(path)
    check_simulation(attempt)
    assert summary.formats == {"tau2_bench": 1}


def test_tau2_results_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "run" / "simulations").mkdir(parents=True)
    (tmp_path / "run" / "results.json").write_text(json.dumps(RESULTS))
    (tmp_path / "run" / "simulations" / "s1.json").write_text(json.dumps(SIMULATION))
    (attempt,), summary = read(tmp_path / "run")
    check_simulation(attempt)
    assert [file.note for file in summary.files] == ["no records in it", ""]


def test_tau2_cut_in_the_middle(tmp_path: Path) -> None:
    simulations = [{**SIMULATION, "trial": trial} for trial in range(3)]
    path = tmp_path / "results.json"
    path.write_text(json.dumps({**RESULTS, "simulations": simulations}, indent=2)[:-300])
    attempts, summary = read(path)
    assert [attempt.trial for attempt in attempts] == ["0", "1"]
    check_simulation(attempts[0])
    assert summary.n_unreadable == 1


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("max_steps", "limit"),
        ("infrastructure_error", "refusal"),
        ("user_error", "tool_crash"),
        ("too_many_errors", None),
        ("agent_error", None),
    ],
)
def test_tau2_endings(reason: str, kind: str | None, tmp_path: Path) -> None:
    (attempt,) = read_lines(tmp_path, [{**SIMULATION, "termination_reason": reason}])
    assert attempt.verdict.broken == kind
    assert attempt.verdict.as_recorded is Outcome.FAILURE


def test_tau2_that_ended_before_its_first_message(tmp_path: Path) -> None:
    ended = {"termination_reason": "infrastructure_error", "messages": None, "reward_info": None}
    (attempt,) = read_lines(tmp_path, [{**SIMULATION, **ended}])
    assert (attempt.verdict.broken, attempt.verdict.recorded) == ("refusal", Outcome.UNSCORED)
    assert attempt.steps == ()


def test_table_with_several_attempts_per_row(tmp_path: Path) -> None:
    row = {
        "question": "2 + 2 ?",
        "gold": 4,
        "a": {"solution": "4", "is_correct": True, "seconds": 1},
        "b": {"solution": "5", "is_correct": False},
    }
    mapping = {"task": "question", "answer": "solution", "success": "is_correct"}
    first, second = read_lines(tmp_path, [row], mapping=mapping)
    assert [(a.policy, a.answer, a.outcome.value) for a in (first, second)] == [
        ("a", "4", "success"),
        ("b", "5", "failure"),
    ]
    assert first.extra == {"gold": 4, "seconds": 1}
    assert first.steps[0].text == "4"


def test_csv_with_a_line_for_each_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('q;ok;note\nx;true;"two\nlines"\ny;0;\nz\nw;;\n', encoding="utf-8-sig")
    attempts, summary = read(path, mapping={"task": "q", "success": "ok"})
    found = [(a.task, a.outcome.value, a.provenance.line) for a in attempts]
    assert found == [("x", "success", 2), ("y", "failure", 4), ("w", "unscored", 6)]
    assert [u.where for u in summary.unreadable] == [f"{path}:5"]
    assert attempts[0].extra == {"note": "two\nlines"}


def test_parquet_with_nested_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT 'q' || i AS question, {'name': 'm', 'run': i} AS meta, i / 2.0 AS score, "
            "DATE '2026-01-01' AS day, 'NaN'::DOUBLE AS odd FROM range(3) t(i)) "
            f"TO '{path}' (FORMAT parquet)"
        )
    mapping = {"task": "question", "reward": "score", "policy": "meta.name", "trial": "meta.run"}
    attempts, _ = read(path, mapping=mapping, threshold=0.5)
    found = [(a.task, a.policy, a.trial, a.outcome.value) for a in attempts]
    assert found == [
        ("q0", "m", "0", "failure"),
        ("q1", "m", "1", "success"),
        ("q2", "m", "2", "success"),
    ]
    assert attempts[0].extra == {"meta": {"name": "m", "run": 0}, "day": "2026-01-01", "odd": None}


def test_a_table_with_our_names_needs_no_mapping(tmp_path: Path) -> None:
    (attempt,) = read_lines(
        tmp_path, [{"task": "t", "reward": 1, "messages": [USER], "policy": "p"}]
    )
    assert (attempt.provenance.format, attempt.policy) == ("openai_chat", "p")
    (attempt,) = read_lines(tmp_path, [{"task": "t", "success": "no", "ending": "stop", "x": 1}])
    assert (attempt.provenance.format, attempt.outcome.value) == ("table", "failure")
    assert attempt.extra == {"x": 1}


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_attempts([], path)
    path.write_bytes(path.read_bytes()[:-20])
    attempts, summary = read(path, mapping={"task": "q"})
    assert attempts == []
    assert "Parquet" in summary.unreadable[0].expected
    assert read(path)[1].nothing_usable


def test_own_lines_that_cannot_be_used(tmp_path: Path) -> None:
    good: dict[str, Any] = {"task": "t", "verdict": {"outcome": "success"}}
    path = tmp_path / "a.jsonl"
    rows = [good, {**good, "version": 9}, {"task": "t"}, {**good, "new": 1, "trial": "x"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    attempts, summary = read(path)
    assert [a.extra for a in attempts] == [{}, {"new": 1}]
    assert [u.where for u in summary.unreadable] == [f"{path}:2", f"{path}:3"]
    assert "Upgrade twiceshy" in summary.unreadable[0].fix
    assert all(len(a.id) == 16 for a in attempts)


def test_a_stored_verdict_is_not_classified_again(tmp_path: Path) -> None:
    row = {"task": "t", "verdict": {"outcome": "failure"}, "ending": "max_steps"}
    (attempt,) = read_lines(tmp_path, [row])
    assert attempt.outcome is Outcome.FAILURE
