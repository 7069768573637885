"""Small logs in the shape of each real format, written by hand, and how to read them in a test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twiceshy.attempts.readers import READERS
from twiceshy.attempts.readers.protocol import Reader, ReadOptions
from twiceshy.attempts.sources import FileSource
from twiceshy.attempts.types import Attempt, Unreadable

JsonObject = dict[str, Any]


def reader(name: str) -> Reader:
    return next(one for one in READERS if one.name == name)


def read(path: Path, name: str, **options: Any) -> list[Attempt | Unreadable]:
    return list(reader(name).read(FileSource(path, label=path.name), ReadOptions(**options)))


def attempts(path: Path, name: str, **options: Any) -> list[Attempt]:
    found = read(path, name, **options)
    assert [one for one in found if isinstance(one, Unreadable)] == []
    return [one for one in found if isinstance(one, Attempt)]


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write a fixture's files and return the path of its first, which is the log."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / next(iter(files))


def lines(*records: JsonObject) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def document(record: JsonObject) -> bytes:
    return json.dumps(record, indent=2).encode()


def _rollout(example: int, *, reward: float | None, **more: Any) -> JsonObject:
    return {
        "example_id": example,
        "prompt": [{"role": "user", "content": f"question {example}"}],
        "completion": [
            {
                "role": "assistant",
                "content": "let me look",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "search", "arguments": '{"query": "x"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "nothing found"},
            {"role": "assistant", "content": "42"},
        ],
        "answer": "42",
        "reward": reward,
        "timing": {"total_ms": 1.0},
        "is_completed": True,
        "is_truncated": False,
        "stop_condition": "max_turns_reached",
        "metrics": {"format": 1.0},
        **more,
    }


VERIFIERS_RESULTS = {
    "gsm8k/results.jsonl": lines(
        _rollout(0, reward=1.0),
        _rollout(0, reward=0.0, is_truncated=True),
        _rollout(1, reward=0.5),
        _rollout(1, reward=0.0, error={"error": "SandboxError", "message": "pod died"}),
        _rollout(2, reward=0.0, stop_condition="prompt_too_long"),
        _rollout(2, reward=None),
    ),
    "gsm8k/metadata.json": document({"env_id": "gsm8k", "model": "org/model-a"}),
}


def _trace(**more: Any) -> JsonObject:
    user = {"role": "user", "content": "reverse abc"}
    reply = {"role": "assistant", "content": "cba", "reasoning_content": "backwards"}
    nodes = [
        {"message": user, "sampled": False, "timestamp": 0.0, "token_ids": [1, 2], "mask": [0, 0]},
        {
            "parent": 0,
            "message": {"role": "assistant", "content": "an abandoned branch"},
            "sampled": True,
            "timestamp": 1.0,
        },
        {
            "parent": 0,
            "message": reply,
            "sampled": True,
            "timestamp": 2.0,
            "token_ids": [3, 4, 5],
            "mask": [False, True, True],
            "logprobs": [-0.5, -0.25],
        },
    ]
    task = {"type": "Reverse", "key": "k1", "data": {"idx": 7, "prompt": "reverse abc"}}
    return {
        "version": 1,
        "id": "t1",
        "verifiers": {"version": "0.4.0"},
        "task": task,
        "agent": {"config": {"model": "org/model-b"}, "name": "agent", "trainable": True},
        "nodes": nodes,
        "calls": [{"node": 2, "model": "org/model-b", "finish_reason": "stop"}],
        "rewards": {"exact": {"score": 1.0, "weight": 1.0}, "style": {"score": 0.3, "weight": 0.0}},
        "is_completed": True,
        "ok": True,
        "stop_condition": "agent_completed",
        "errors": [],
        **more,
    }


def _episode(*traces: JsonObject, **more: Any) -> JsonObject:
    return {
        "id": "e1",
        "env": {"id": "reverse"},
        "task": {"type": "Reverse", "key": "k1", "data": {"idx": 7}},
        "group": {"id": "g1"},
        "run": {"type": "train", "id": "r", "work": {"type": "train", "step": 12}},
        "ok": True,
        "errors": [],
        "traces": list(traces),
        **more,
    }


_ERROR = {"type": "ProviderError", "message": "502 bad gateway"}

VERIFIERS_TRACES = {
    "traces.jsonl": lines(
        _episode(_trace()),
        _episode(_trace(ok=False, rewards={}, errors=[_ERROR], stop_condition="error")),
        _episode(_trace(stop_condition="max_turns", rewards={"exact": {"score": 0.0}})),
        _episode(_trace(rewards={"exact": None, "style": {"score": 1.0}})),
        _episode(ok=False, errors=[{"type": "EnvError", "message": "ran no agent"}]),
        _trace(rewards={"exact": {"score": 0.0}}),
    )
}


def _dump(output: str, score: object, **more: Any) -> JsonObject:
    prompt = "user\nWhat is 6 x 7?\nassistant\n"
    return {"input": prompt, "output": output, "gts": "42", "score": score, "step": 3, **more}


VERL = {
    "run7/3.jsonl": lines(
        _dump("42", 1.0, uid="u1_0_0"),
        _dump("41", 0.0),
        _dump("40", -1.0, acc=False),
        _dump("39", 0.3),
        _dump("38", float("nan")),
        _dump("37", True),
    )
}


def _entry(uuid: str, parent: str | None, message: JsonObject, **more: Any) -> JsonObject:
    return {
        "parentUuid": parent,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/someone/secret-project",
        "sessionId": "s1",
        "version": "2.0.74",
        "gitBranch": "main",
        "type": message["role"],
        "message": message,
        "uuid": uuid,
        "timestamp": f"2026-01-02T03:04:{uuid[1:]}Z",
        **more,
    }


def _said(*blocks: JsonObject, id: str, stop: str | None = None) -> JsonObject:
    return {
        "role": "assistant",
        "id": id,
        "model": "claude-x",
        "content": list(blocks),
        "stop_reason": stop,
    }


def _use(call: str, command: str) -> JsonObject:
    return {"type": "tool_use", "id": call, "name": "Bash", "input": {"command": command}}


def _result(call: str, text: str, *, is_error: bool = False) -> JsonObject:
    block = {"type": "tool_result", "tool_use_id": call, "content": text, "is_error": is_error}
    return {"role": "user", "content": [block]}


CLAUDE_LINES: list[JsonObject] = [
    {"type": "summary", "summary": "A title", "leafUuid": "u10"},
    _entry("u01", None, {"role": "user", "content": "Fix the failing test"}),
    _entry("u02", "u01", {"role": "user", "content": "a reminder"}, isMeta=True),
    _entry("u03", "u02", _said({"type": "text", "text": "abandoned"}, id="m0")),
    _entry("u04", "u02", _said({"type": "thinking", "thinking": "hm"}, id="m1")),
    _entry("u05", "u04", _said(_use("c1", "ls"), id="m1")),
    _entry("u06", "u05", _said(_use("c2", "pytest"), id="m1")),
    _entry("u07", "u05", _result("c1", "a.py")),
    _entry("u08", "u06", _result("c2", "Exit code 1\n1 failed", is_error=True)),
    _entry("u09", "u08", {"role": "user", "content": "look deeper"}, isSidechain=True),
    _entry("u10", "u08", _said({"type": "text", "text": "Done."}, id="m2", stop="end_turn")),
]
CLAUDE_CODE = {"projects/p/s1.jsonl": lines(*CLAUDE_LINES)}


def _codex(kind: str, second: int, **payload: Any) -> JsonObject:
    time = f"2026-01-02T03:04:{second:02d}.000Z"
    return {"timestamp": time, "type": kind, "payload": payload}


def _codex_message(second: int, role: str, text: str) -> JsonObject:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return _codex("response_item", second, type="message", role=role, content=content)


CODEX_LINES: list[JsonObject] = [
    _codex("session_meta", 0, id="sid", cwd="/home/someone/x", cli_version="0.50.0"),
    _codex("turn_context", 0, cwd="/home/someone/x", model="gpt-x-codex"),
    _codex_message(1, "user", "<environment_context>...</environment_context>"),
    _codex_message(2, "user", "Make the build pass"),
    _codex("event_msg", 2, type="user_message", message="Make the build pass"),
    _codex(
        "response_item",
        3,
        type="reasoning",
        summary=[{"type": "summary_text", "text": "plan"}],
        encrypted_content="xyz",
    ),
    _codex(
        "response_item",
        4,
        type="function_call",
        name="shell",
        arguments='{"command": ["make"]}',
        call_id="c1",
    ),
    _codex("event_msg", 5, type="exec_command_end", call_id="c1", exit_code=2, stdout="boom"),
    _codex("response_item", 5, type="function_call_output", call_id="c1", output="boom"),
    _codex("response_item", 6, type="function_call", name="shell", arguments="{", call_id="c2"),
    _codex(
        "response_item",
        7,
        type="function_call_output",
        call_id="c2",
        output=json.dumps({"output": "no", "metadata": {"exit_code": 1, "duration_seconds": 0.1}}),
    ),
    _codex(
        "response_item",
        8,
        type="custom_tool_call",
        name="apply_patch",
        input="*** Begin",
        call_id="c3",
    ),
    _codex(
        "response_item",
        9,
        type="custom_tool_call_output",
        call_id="c3",
        output="Exit code: 0\nWall time: 0.1 seconds\nOutput:\nok",
    ),
    _codex("event_msg", 9, type="agent_message", message="It passes."),
    _codex_message(9, "assistant", "It passes."),
    _codex("event_msg", 10, type="task_complete", last_agent_message="It passes."),
]
CODEX = {"sessions/rollout-2026-01-02.jsonl": lines(*CODEX_LINES)}

ATIF_TRAJECTORY: JsonObject = {
    "schema_version": "ATIF-v1.6",
    "session_id": "sess",
    "agent": {"name": "terminus-2", "version": "2.0", "model_name": "org/model-c"},
    "steps": [
        {
            "step_id": 1,
            "source": "user",
            "message": "Sort the file",
            "timestamp": "2026-01-02T00:00:00Z",
        },
        {
            "step_id": 2,
            "source": "agent",
            "message": "I sort it",
            "reasoning_content": "easy",
            "tool_calls": [
                {"tool_call_id": "c1", "function_name": "bash", "arguments": {"command": "sort f"}}
            ],
            "observation": {"results": [{"source_call_id": "c1", "content": "a\nb"}]},
            "metrics": {"completion_token_ids": [5, 6], "logprobs": [-0.1, -0.2]},
        },
        {
            "step_id": 3,
            "source": "agent",
            "message": [{"type": "text", "text": "done"}],
            "observation": {"results": [{"content": "terminal idle"}]},
            "metrics": {"completion_token_ids": [7], "logprobs": [-0.3]},
        },
    ],
    "final_metrics": {"total_steps": 3},
}
HARBOR_RESULT: JsonObject = {
    "task_name": "sort-file",
    "trial_name": "sort-file__ab12",
    "verifier_result": {"rewards": {"reward": 1.0}},
    "exception_info": None,
    "config": {"environment": {"env": {"API_KEY": "secret"}}},
}
ATIF = {
    "sort-file__ab12/agent/trajectory.json": document(ATIF_TRAJECTORY),
    "sort-file__ab12/result.json": document(HARBOR_RESULT),
}

INSTANCE = "pydicom__pydicom-1458"
SWE_TRAJECTORY: JsonObject = {
    "environment": "swe_main",
    "trajectory": [
        {
            "action": "open a.py\n",
            "observation": "[File: a.py]",
            "response": "I open it",
            "thought": "I open it",
            "state": {"working_dir": "/repo"},
            "query": [],
        },
        {
            "action": "submit",
            "observation": "diff --git",
            "response": "",
            "thought": "ok",
            "state": {},
        },
    ],
    "history": [
        {"role": "system", "content": "You are an engineer", "agent": "main"},
        {"role": "user", "content": "a demonstration", "is_demo": True, "agent": "main"},
        {"role": "user", "content": "Fix the bug", "agent": "main"},
        {"role": "assistant", "content": "I open it", "action": "open a.py\n", "agent": "main"},
    ],
    "info": {
        "exit_status": "submitted",
        "submission": "diff --git",
        "model_stats": {"api_calls": 2},
    },
    "replay_config": json.dumps({"agent": {"model": {"name": "org/model-d"}}}),
}
SWE_REPORT: JsonObject = {
    "total_instances": 3,
    "resolved_ids": [INSTANCE],
    "unresolved_ids": ["other__other-1"],
    "error_ids": ["other__other-2"],
}
SWE_AGENT = {
    f"run/{INSTANCE}/{INSTANCE}.traj": document(SWE_TRAJECTORY),
    "run/results.json": document(SWE_REPORT),
}

MINI_TRAJECTORY: JsonObject = {
    "info": {
        "model_stats": {"instance_cost": 0.1, "api_calls": 2},
        "config": {
            "model": {"model_name": "org/model-e"},
            "environment": {"env": {"TOKEN": "secret"}},
        },
        "mini_version": "2.4.6",
        "exit_status": "Submitted",
        "submission": "diff --git",
    },
    "messages": [
        {"role": "system", "content": "You can run bash"},
        {"role": "user", "content": "Fix the bug"},
        {
            "role": "assistant",
            "content": "look",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "bash", "arguments": '{"command": "ls"}'},
                }
            ],
            "extra": {"actions": [{"command": "ls", "tool_call_id": "c1"}], "timestamp": 1.0},
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": "<returncode>2</returncode>",
            "extra": {"returncode": 2, "timestamp": 2.0, "exception_info": ""},
        },
        {"role": "exit", "content": "diff --git", "extra": {"exit_status": "Submitted"}},
    ],
    "trajectory_format": "mini-swe-agent-1.1",
    "instance_id": INSTANCE,
}
MINI_SWE_AGENT = {
    f"trajs/{INSTANCE}/{INSTANCE}.traj.json": document(MINI_TRAJECTORY),
    f"trajs/logs/run_evaluation/r1/m/{INSTANCE}/report.json": document(
        {INSTANCE: {"patch_successfully_applied": True, "resolved": False}}
    ),
}

FIXTURES: dict[str, tuple[str, Mapping[str, bytes]]] = {
    "verifiers results": ("verifiers", VERIFIERS_RESULTS),
    "verifiers traces": ("verifiers", VERIFIERS_TRACES),
    "verl": ("verl", VERL),
    "claude_code": ("claude_code", CLAUDE_CODE),
    "codex": ("codex", CODEX),
    "atif": ("atif", ATIF),
    "swe_agent": ("swe_agent", SWE_AGENT),
    "mini_swe_agent": ("mini_swe_agent", MINI_SWE_AGENT),
}
"""Fixture to the reader it is for and its files; the binary formats are made by their own tests."""
