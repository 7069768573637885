"""Damaged input of every kind: it is counted, and nothing is raised."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twiceshy.attempts import read_attempts, write_attempts
from twiceshy.attempts.readers import READERS

GSM8K = {"task": "question", "answer": "solution", "success": "is_correct"}
SHARED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
FIELDS = [
    *("task", "task_id", "trial", "reward", "metadata", "info", "traj", "messages", "verdict"),
    *("steps", "id", "model", "success", "outcome", "simulations", "tasks", "termination_reason"),
    *("reward_info", "role", "content", "tool_calls"),
]
records = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "x"])},
        optional={"content": json_values, "tool_calls": json_values, "timestamp": json_values},
    ),
    max_size=3,
)
chats = st.fixed_dictionaries(
    {"messages": messages}, optional=dict.fromkeys(FIELDS[:5], json_values)
)


def reads_without_raising(path: Path, **options: Any) -> int:
    """Read a file by every way that takes it; return how many attempts came."""
    reading = read_attempts(path, **options)
    n_attempts = sum(1 for _ in reading)
    assert reading.summary.n_attempts == n_attempts
    assert all(isinstance(line, str) for line in reading.summary.notes())
    faults = [u for u in reading.summary.unreadable if u.fix == "Check --format."]
    assert not faults, "a reader raised, and the boundary caught it"
    return n_attempts


@SHARED
@given(data=st.binary(max_size=300))
def test_any_bytes(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    reads_without_raising(path)
    reads_without_raising(path, mapping={"task": "a"})


@SHARED
@given(rows=st.lists(records | chats, min_size=1, max_size=3), as_list=st.booleans())
def test_any_json_with_names_that_readers_know(
    rows: list[Any], as_list: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    text = json.dumps(rows) if as_list else "\n".join(json.dumps(row) for row in rows)
    path.write_text(text)
    reads_without_raising(path)
    for format in ("own", "openai_chat", "tau_bench", "tau2_bench", "table"):
        reads_without_raising(path, format=format)
        stored = write_attempts(read_attempts(path, format=format), tmp_path / "y.jsonl")
        if stored:
            assert reads_without_raising(tmp_path / "y.jsonl") == stored


def flipped(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 20)):
        data[rng.randrange(len(data))] = rng.randrange(256)


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(1, len(data)) :]


def holed(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randint(1, 2000)]


def zeroed(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start : start + 100] = bytes(100)


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (flipped, cut, holed, zeroed)


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_damaged_tau_bench(
    mutate: Callable[[bytearray, random.Random], None], tau_file: Path, tmp_path: Path
) -> None:
    whole = json.dumps(json.loads(tau_file.read_bytes())[:12]).encode()
    path = tmp_path / "tau.json"
    for seed in range(25):
        data = bytearray(whole)
        mutate(data, random.Random(seed))
        path.write_bytes(data)
        assert 0 <= reads_without_raising(path) <= 12
        reads_without_raising(path, format="tau_bench")


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_damaged_gsm8k(
    mutate: Callable[[bytearray, random.Random], None], gsm8k_file: Path, tmp_path: Path
) -> None:
    with gsm8k_file.open("rb") as file:
        whole = b"".join(next(file) for _ in range(40))
    path = tmp_path / "gsm8k.jsonl"
    for seed in range(25):
        data = bytearray(whole)
        mutate(data, random.Random(seed))
        path.write_bytes(data)
        reads_without_raising(path, mapping=GSM8K)
        reads_without_raising(path)


def test_a_flipped_byte_costs_few_records(tau_file: Path, tmp_path: Path) -> None:
    rows = json.loads(tau_file.read_bytes())[:12]
    data = bytearray(json.dumps(rows).encode())
    data[len(data) // 2] = 0xFF
    path = tmp_path / "tau.json"
    path.write_bytes(data)
    reading = read_attempts(path)
    assert len(list(reading)) == 11
    assert reading.summary.n_unreadable == 1


def test_every_reader_survives_every_other_ones_files(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"messages": [{"role": "user", "content": "x"}]},
        {"task": "t", "verdict": {"outcome": "success"}},
        {"task_id": 1, "reward": 1, "info": {}, "traj": [None, 3, {"role": "tool"}]},
        {"task_id": 1, "termination_reason": "x", "messages": [3, {"role": "tool"}]},
        {"simulations": [3, {}], "info": 4, "tasks": {}},
        [[]],
        None,
    ]
    for n, row in enumerate(rows):
        path = tmp_path / f"{n}.json"
        path.write_text(json.dumps(row))
        for reader in READERS:
            reads_without_raising(path, format=reader.name)
