"""Whatever the file, `triage` and `learn` answer or say what is wrong; they never fall over."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twiceshy.demo_data import demo_path

Run = Callable[..., subprocess.CompletedProcess[str]]

N_DEMO = 12
NASTY = (
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"null",
    b"NaN",
    b"1e999",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\n",
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["success", "failure", "user", "assistant", "tool", "x = 2 * 3 = 6"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
names = st.sampled_from(
    ["task", "task_id", "id", "policy", "trial", "success", "reward", "score", "outcome", "answer",
     "messages", "traj", "steps", "verdict", "prompt", "info", "version", "split"]
)  # fmt: skip
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "odd"])},
        optional={"content": values, "tool_calls": values, "name": values},
    ),
    max_size=4,
)
records = st.dictionaries(names, values, max_size=6) | st.fixed_dictionaries(
    {"task": scalars, "messages": messages}, optional={"success": scalars, "reward": scalars}
)


def answers(run: Run, name: str, content: bytes, *options: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        for verb in (("triage",), ("learn", "--nulls", "2", "--out", str(Path(folder, "found")))):
            done = run(*verb, path, *options, "--json")
            assert done.returncode in (0, 2), (done.returncode, done.stderr)
            assert "Traceback" not in done.stderr
            if done.returncode == 0:
                assert isinstance(json.loads(done.stdout), dict)
            else:
                assert done.stdout == ""
                assert "expected" in done.stderr


quick = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
thorough = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def mutated(data: bytes, cuts: list[tuple[int, bytes, int]]) -> bytes:
    """Put bytes at places (in thousandths of the file) over so many others."""
    for place, new, n_over in cuts:
        at = len(data) * place // 1000
        data = data[:at] + new + data[at + n_over :]
    return data


edits = st.lists(
    st.tuples(
        st.integers(0, 999),
        st.sampled_from(NASTY) | st.binary(max_size=6),
        st.sampled_from([0, 1, 5, 200]),
    ),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module")
def demo_lines() -> bytes:
    return b"\n".join(gzip.decompress(demo_path("train").read_bytes()).split(b"\n")[:N_DEMO])


@pytest.fixture(scope="module")
def gsm8k_lines(gsm8k_file: Path) -> bytes:
    return b"\n".join(gsm8k_file.read_bytes().split(b"\n")[:8])


@pytest.fixture(scope="module")
def tau_attempts(tau_file: Path) -> bytes:
    found = json.loads(tau_file.read_bytes())
    return json.dumps([each for each in found if each["task_id"] in (2, 33)]).encode()


@quick
@given(rows=st.lists(records, max_size=8), odd_line=st.binary(max_size=30))
def test_random_json(run_anywhere: Run, rows: list[dict[str, Any]], odd_line: bytes) -> None:
    lines = [json.dumps(row).encode() for row in rows]
    answers(run_anywhere, "runs.jsonl", b"\n".join([*lines[:2], odd_line, *lines[2:]]))
    answers(run_anywhere, "runs.json", json.dumps(rows).encode(), "--threshold", "0.5")


@quick
@given(cuts=edits)
def test_mutated_attempts_of_ours(
    run_anywhere: Run, demo_lines: bytes, cuts: list[tuple[int, bytes, int]]
) -> None:
    answers(run_anywhere, "runs.jsonl", mutated(demo_lines, cuts))


@quick
@given(cuts=edits)
def test_mutated_solutions(
    run_anywhere: Run, gsm8k_lines: bytes, cuts: list[tuple[int, bytes, int]]
) -> None:
    columns = "task=question,answer=solution,success=is_correct"
    answers(run_anywhere, "runs.jsonl", mutated(gsm8k_lines, cuts), "--map", columns)


@quick
@given(cuts=edits)
def test_mutated_tau_bench(
    run_anywhere: Run, tau_attempts: bytes, cuts: list[tuple[int, bytes, int]]
) -> None:
    answers(run_anywhere, "runs.json", mutated(tau_attempts, cuts))


def replaced(value: Any, picks: Iterator[int], new: Any) -> Any:
    """Replace about one value in many by a new one, somewhere in nested data."""
    if next(picks) == 0:
        return new
    if isinstance(value, dict):
        return {key: replaced(inner, picks, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, picks, new) for inner in value]
    return value


@settings(quick, max_examples=4)
@given(seed=st.integers(0, 10**6), new=values)
def test_values_of_another_type(
    run_anywhere: Run, tau_attempts: bytes, demo_lines: bytes, seed: int, new: Any
) -> None:
    with_another_type(run_anywhere, tau_attempts, demo_lines, random.Random(seed), new)


def with_another_type(
    run_anywhere: Run, tau_attempts: bytes, demo_lines: bytes, chance: random.Random, new: Any
) -> None:
    picks = iter(lambda: chance.randrange(300), -1)
    tau = [replaced(each, picks, new) for each in json.loads(tau_attempts)]
    answers(run_anywhere, "runs.json", json.dumps(tau).encode())
    own = [replaced(json.loads(line), picks, new) for line in demo_lines.split(b"\n")]
    answers(run_anywhere, "runs.jsonl", b"\n".join(json.dumps(each).encode() for each in own))


@pytest.mark.slow  # forty examples of each kind: a minute or two
@thorough
@given(rows=st.lists(records, max_size=8), cuts=edits, seed=st.integers(0, 10**6), new=values)
def test_more_of_it(
    run_anywhere: Run,
    tau_attempts: bytes,
    demo_lines: bytes,
    rows: list[dict[str, Any]],
    cuts: list[tuple[int, bytes, int]],
    seed: int,
    new: Any,
) -> None:
    with_another_type(run_anywhere, tau_attempts, demo_lines, random.Random(seed), new)
    lines = b"\n".join(json.dumps(row).encode() for row in rows)
    answers(run_anywhere, "runs.jsonl", mutated(lines, cuts))
    answers(run_anywhere, "runs.jsonl", mutated(demo_lines, cuts))
    answers(run_anywhere, "runs.json", mutated(tau_attempts, cuts))
