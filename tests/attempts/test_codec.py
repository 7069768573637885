from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twiceshy.attempts import codec, read_attempts, write_attempts
from twiceshy.attempts.codec import attempt_id, decode_attempt, decode_lesson, encode
from twiceshy.attempts.types import Attempt, Outcome, Provenance, Step, ToolCall, Verdict
from twiceshy.errors import BadInput
from twiceshy.lessons import ContrastPair, Effect, Evidence, Lesson

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schema"

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
words = st.text(max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
extras = st.dictionaries(st.text(max_size=6), json_values, max_size=3) | st.dictionaries(
    st.sampled_from(["extra", "task", "steps", "outcome", "name", "estimate"]), json_values
)
calls = st.builds(
    ToolCall,
    name=words,
    arguments=words | st.dictionaries(words, json_values, max_size=3),
    id=st.none() | words,
    extra=extras,
)
steps = st.builds(
    Step,
    role=st.sampled_from(["system", "user", "assistant", "tool", "environment"]),
    text=words,
    calls=st.lists(calls, max_size=2).map(tuple),
    error=st.none() | words,
    facts=st.lists(words, max_size=2).map(tuple),
    extra=extras,
)
verdicts = st.builds(
    Verdict, outcome=st.sampled_from(Outcome), reward=st.none() | finite, extra=extras
)
attempts = st.builds(
    Attempt,
    task=words,
    verdict=verdicts,
    policy=words,
    trial=st.none() | words,
    steps=st.lists(steps, max_size=3).map(tuple),
    truncated=st.none() | st.booleans(),
    token_ids=st.none() | st.lists(st.integers(0, 9)).map(tuple),
    logprobs=st.none() | st.lists(st.floats(max_value=0, allow_nan=False)).map(tuple),
    provenance=st.builds(Provenance, file=words, line=st.none() | st.integers(1), extra=extras),
    extra=extras,
)
effects = st.builds(Effect, estimate=st.none() | finite, extra=extras)
lessons = st.builds(
    Lesson,
    id=words,
    kind=st.sampled_from(["avoid", "recover", "principle"]),
    text=words,
    evidence=st.builds(Evidence, pooled=st.none() | effects, held_out=effects, extra=extras),
    contrast=st.lists(
        st.builds(ContrastPair, task=words, failure_id=words, success_id=words, extra=extras),
        max_size=2,
    ).map(tuple),
    extra=extras,
)


@given(attempts)
def test_attempts_survive_a_round_trip(attempt: Attempt) -> None:
    line = encode(attempt)
    assert b"\n" not in line
    assert decode_attempt(line) == attempt
    assert encode(decode_attempt(line)) == line


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_attempts=st.lists(attempts, max_size=4))
def test_stored_attempts_survive(
    given_attempts: list[Attempt], suffix: str, tmp_path: Path
) -> None:
    source, path = tmp_path / "a.jsonl", tmp_path / f"b{suffix}"
    write_attempts(given_attempts, source)
    sealed = list(read_attempts(source, format="own"))
    write_attempts(sealed, path)
    assert list(read_attempts(path, format="own")) == sealed


@given(lessons)
def test_lessons_survive_a_round_trip(lesson: Lesson) -> None:
    assert decode_lesson(encode(lesson)) == lesson


FROM_THE_FUTURE: dict[str, Any] = {
    "version": 1,
    "task": "t",
    "verdict": {"outcome": "success", "new": [1]},
    "steps": [
        {"role": "user", "new": {"deep": None}},
        {"role": "assistant", "calls": [{"name": "f", "arguments": {"extra": 1}, "new": 2.5}]},
    ],
    "provenance": {"file": "a", "new": "x"},
    "new": {"extra": {"a": 1}},
}


def test_unknown_fields_come_back_at_their_level() -> None:
    attempt = decode_attempt(json.dumps(FROM_THE_FUTURE))
    assert attempt.extra == {"new": {"extra": {"a": 1}}}
    assert attempt.steps[0].extra == {"new": {"deep": None}}
    assert attempt.steps[1].calls[0].extra == {"new": 2.5}
    assert attempt.verdict.extra == {"new": [1]}
    assert attempt.provenance.extra == {"new": "x"}
    assert json.loads(encode(attempt)) == FROM_THE_FUTURE


def test_unknown_fields_of_a_lesson_come_back_at_their_level() -> None:
    record = {
        "version": 1,
        "id": "1",
        "kind": "avoid",
        "text": "t",
        "evidence": {"n_for": 2, "pooled": {"estimate": 0.5, "new": 1}, "new": 2},
        "contrast": [{"task": "t", "failure_id": "a", "success_id": "b", "new": 3}],
        "new": 4,
    }
    assert json.loads(encode(decode_lesson(json.dumps(record)))) == record


@pytest.mark.parametrize("kind", [Attempt, Lesson])
def test_every_nested_record_is_listed(kind: type[msgspec.Struct]) -> None:
    pending, seen = [kind], set[type]()
    while pending:
        one = pending.pop()
        seen.add(one)
        named = codec._CHILDREN.get(one, {})
        assert "extra" in one.__struct_fields__
        for field in msgspec.structs.fields(one):
            assert ("Struct" in _bases(field.type)) == (field.name in named), field.name
        pending += [child for child in named.values() if child not in seen]


def _bases(annotation: object) -> set[str]:
    inner = getattr(annotation, "__args__", (annotation,))
    return {base.__name__ for one in inner for base in getattr(one, "__mro__", ())}


def test_a_newer_version_is_a_clear_error() -> None:
    newer = {**FROM_THE_FUTURE, "version": 2}
    with pytest.raises(BadInput, match=r"got version 2\. Upgrade twiceshy"):
        decode_attempt(json.dumps(newer))
    with pytest.raises(BadInput, match=r"got version 2\. Upgrade twiceshy"):
        decode_attempt(json.dumps({**newer, "task": {"of": "another shape"}}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"task": "t"}',
        b'{"task": "t", "verdict": {"outcome": "maybe"}}',
        b'{"task": "t", "verdict": {"outcome": "success"}, "extra": 3, "x": 1}',
        b'{"task": "\\ud800", "verdict": {"outcome": "success"}}',
        b"[" * 100_000,
    ],
)
def test_bad_records_are_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput):
        decode_attempt(data)


def test_text_that_is_not_unicode_is_bad_input() -> None:
    attempt = Attempt(task="\ud800", verdict=Verdict(outcome=Outcome.UNSCORED))
    with pytest.raises(BadInput):
        encode(attempt)
    with pytest.raises(BadInput):
        attempt_id(attempt)


def test_the_id_covers_what_happened_only() -> None:
    attempt = Attempt(
        task="t", verdict=Verdict(outcome=Outcome.FAILURE, reward=0.4), extra={"b": 1, "a": 2}
    )
    replace = msgspec.structs.replace
    same = [
        replace(attempt, provenance=Provenance(file="elsewhere", line=3)),
        replace(attempt, extra={"a": 2, "b": 1}),
        replace(attempt, verdict=Verdict(outcome=Outcome.SUCCESS, reward=0.4, reason="joined")),
        replace(attempt, id="whatever"),
    ]
    different = [
        replace(attempt, trial="1"),
        replace(attempt, policy="p"),
        replace(attempt, steps=(Step(role="user", text="hello"),)),
        replace(attempt, answer=""),
        replace(attempt, verdict=Verdict(outcome=Outcome.FAILURE, reward=0.5)),
    ]
    first = attempt_id(attempt)
    assert len(first) == 16
    assert {attempt_id(one) for one in same} == {first}
    others = {attempt_id(one) for one in different} | {attempt_id(attempt, occurrence=1)}
    assert len(others) == 6
    assert first not in others


def test_the_committed_schemas_are_current() -> None:
    for name, schema in codec.json_schema().items():
        assert json.loads((SCHEMAS / f"{name}.json").read_text()) == schema
