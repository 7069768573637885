"""All readers of this kind together: who takes which file, and what damage does to them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_fixtures import FIXTURES, read, reader, write_files

from twiceshy.attempts import codec
from twiceshy.attempts.readers import READERS
from twiceshy.attempts.sources import FileSource
from twiceshy.attempts.types import Attempt, Unreadable

NAMES = sorted({name for name, _ in FIXTURES.values()} | {"trl", "inspect_log"})


@pytest.mark.parametrize("fixture", FIXTURES)
def test_each_file_is_taken_by_its_own_reader_only(fixture: str, tmp_path: Path) -> None:
    owner, files = FIXTURES[fixture]
    source = FileSource(write_files(tmp_path, files))
    assert [name for name in NAMES if reader(name).matches(source)] == [owner]
    assert next(one.name for one in READERS if one.matches(source)) == owner


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02" * 100,
        b"PAR1",
        b"question,answer\n1,2\n",
        b'{"messages": [{"role": "user", "content": "hi"}]}\n',
        b'{"task": "a", "verdict": {"outcome": "success"}}\n',
        b'{"text": "{\\"schema_version\\": \\"ATIF-v1.6\\"}"}\n',
        b"[" * 70000,
        b'{"a": "' + b"x" * 70000,
    ],
)
def test_other_files_are_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    assert [name for name in NAMES if reader(name).matches(FileSource(path))] == []


@pytest.mark.parametrize("fixture", FIXTURES)
def test_every_attempt_says_where_it_came_from_and_survives_storage(
    fixture: str, tmp_path: Path
) -> None:
    name, files = FIXTURES[fixture]
    for one in read(write_files(tmp_path, files), name):
        assert isinstance(one, Attempt)
        assert (one.provenance.format, one.id) == (name, "")
        assert one.provenance.line is not None
        assert codec.decode_attempt(codec.encode(one)) == one


@pytest.mark.parametrize("fixture", FIXTURES)
def test_a_caller_can_name_the_policy(fixture: str, tmp_path: Path) -> None:
    name, files = FIXTURES[fixture]
    log = next(iter(files))
    data = files[log].replace(b"model", b"modes").replace(b"agent", b"agens")
    found = read(write_files(tmp_path, {log: data}), name, policy="named by hand")
    policies = {one.policy for one in found if isinstance(one, Attempt)}
    if name not in ("claude_code", "codex", "atif"):
        assert any(policy.startswith("named by hand") for policy in policies)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, dict[str, bytes]]:
    """Return a fixture with some of its bytes removed, doubled or replaced."""
    name, files = FIXTURES[draw(st.sampled_from(sorted(FIXTURES)))]
    target = draw(st.sampled_from(sorted(files)))
    data = bytearray(files[target])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(0, 40))
        data[at : at + length] = draw(
            st.binary(max_size=6) | st.just(bytes(data[at : at + 2 * length]))
        )
    return name, {**files, target: bytes(data)}


CONTAINERS = (dict, list)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def mistyped(draw: st.DrawFn) -> tuple[str, dict[str, bytes]]:
    """Return a fixture in which values were replaced by others of any type, or left out."""
    name, files = FIXTURES[draw(st.sampled_from(sorted(FIXTURES)))]
    target = draw(st.sampled_from(sorted(files)))
    whole = files[target].strip()
    is_lines = target.endswith(".jsonl")
    records = [json.loads(line) for line in (whole.splitlines() if is_lines else [whole])]
    for _ in range(draw(st.integers(1, 4))):
        _change(draw, records[draw(st.integers(0, len(records) - 1))])
    return name, {**files, target: b"\n".join(json.dumps(one).encode() for one in records)}


def _change(draw: st.DrawFn, value: Any) -> None:
    """Go down to some place in a JSON value and put something else there."""
    while isinstance(value, CONTAINERS) and value:
        keys = sorted(value) if isinstance(value, dict) else list(range(len(value)))
        key = draw(st.sampled_from(keys))
        inner = value[key]
        if not isinstance(inner, CONTAINERS) or not inner or draw(st.integers(0, 3)) == 0:
            if isinstance(value, dict) and draw(st.booleans()):
                del value[key]
            else:
                value[key] = draw(VALUES)
            return
        value = inner


def _read_all(name: str, files: dict[str, bytes], *, first: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files)
        path = Path(folder) / first
        for other in NAMES:
            assert reader(other).matches(FileSource(path)) in (True, False)
        for one in read(path, name):
            if isinstance(one, Unreadable):
                assert one.where.startswith(f"{path.name}:")
            else:
                assert one.task
                assert (one.verdict.broken is not None) == (one.verdict.outcome == "broken")
                codec.encode(one)


QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


@QUICK
@given(damaged())
def test_damaged_bytes_never_raise(case: tuple[str, dict[str, bytes]]) -> None:
    name, files = case
    _read_all(name, files, first=_log_of(name, files))


@QUICK
@given(mistyped())
def test_values_of_any_type_never_raise(case: tuple[str, dict[str, bytes]]) -> None:
    name, files = case
    _read_all(name, files, first=_log_of(name, files))


def _log_of(name: str, files: dict[str, bytes]) -> str:
    return next(
        next(iter(known))
        for owner, known in FIXTURES.values()
        if owner == name and set(known) == set(files)
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("trl", "inspect_log")])
@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"{", b"[]", b"{}", b"null", b"[" * 5000, b'{"a":' * 5000, b"1" * 6000],
)
def test_rubbish_is_reported_with_its_place(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    for one in read(path, name):
        assert isinstance(one, Unreadable)
        assert one.where == "x.json:1"


def test_a_lone_surrogate_cannot_reach_an_attempt(tmp_path: Path) -> None:
    path = tmp_path / "3.jsonl"
    path.write_bytes(b'{"input": "\\ud800", "output": "x", "score": NaN, "step": 1}\n')
    (fault,) = read(path, "verl")
    assert isinstance(fault, Unreadable)
    msgspec.json.encode(fault.got)
