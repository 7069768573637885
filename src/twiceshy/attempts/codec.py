"""JSON for attempts and lessons, their content hash, and their schema.

A field this version does not know is kept in `extra` at its own level and written back at that
level, so that a file which passes through loses nothing. Most records have no such field: a scan
that builds no objects tells, and only the others take the slower way.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from twiceshy.attempts.types import (
    SCHEMA_VERSION,
    Attempt,
    Outcome,
    Provenance,
    Step,
    ToolCall,
    Verdict,
)
from twiceshy.errors import BadInput
from twiceshy.lessons import LESSON_VERSION, ContrastPair, Effect, Evidence, Lesson

Record = TypeVar("Record", Attempt, Lesson)

_CHILDREN: dict[type[msgspec.Struct], dict[str, type[msgspec.Struct]]] = {
    Attempt: {"verdict": Verdict, "steps": Step, "provenance": Provenance},
    Step: {"calls": ToolCall},
    Lesson: {"evidence": Evidence, "contrast": ContrastPair},
    Evidence: dict.fromkeys(("pooled", "within_task", "held_out", "trial", "over_placebo"), Effect),
}
"""Which fields hold records of ours, singly or in a list."""

_VERSIONS: dict[type, int] = {Attempt: SCHEMA_VERSION, Lesson: LESSON_VERSION}
_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="deterministic")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Version(msgspec.Struct):
    version: int = 0


def encode(record: Attempt | Lesson) -> bytes:
    """Return a record as one line of JSON, with its version first and `extra` at its own level.

    JSON has no infinity: a log-probability of minus infinity is written as null and read back.

    Raises:
        BadInput: When text in the record is not valid Unicode.

    Example:
        >>> from twiceshy.attempts.types import Outcome
        >>> verdict = Verdict(outcome=Outcome.SUCCESS)
        >>> encode(Attempt(task="t", verdict=verdict, extra={"note": 1}))
        b'{"version":1,"task":"t","verdict":{"outcome":"success"},"note":1}'
    """
    data = _encode_at_level(record)
    if data.startswith(b'{"version":'):
        return data
    return b'{"version":%d,' % record.version + data[1:]


def decode_attempt(data: bytes | str) -> Attempt:
    """Return the attempt that one JSON object stands for; unknown fields go to `extra`.

    Raises:
        BadInput: When it is not such an object, or a newer version wrote it.

    Example:
        >>> decode_attempt('{"task": "t", "verdict": {"outcome": "failure"}, "note": 1}').extra
        {'note': 1}
    """
    return _decode(data, Attempt)


def decode_lesson(data: bytes | str) -> Lesson:
    """Return the lesson that one JSON object stands for; unknown fields go to `extra`.

    Raises:
        BadInput: When it is not such an object, or a newer version wrote it.
    """
    return _decode(data, Lesson)


def attempt_id(attempt: Attempt, *, occurrence: int = 0) -> str:
    """Return the content hash of an attempt: BLAKE2b of its canonical JSON, 16 hex digits.

    It covers what happened and the logged reward. It leaves out where the attempt was read from and
    how the reward was judged, so that a threshold, a joined outcome or a classification as broken
    does not change the id.

    Args:
        attempt: The attempt; its own `id` is not looked at.
        occurrence: How many identical attempts without a declared trial came before it in its file,
            so that equal samples of one policy stay distinct.

    Raises:
        BadInput: When text in the attempt is not valid Unicode.
    """
    verdict = attempt.verdict
    bare = msgspec.structs.replace(
        attempt,
        verdict=Verdict(outcome=Outcome.UNSCORED, reward=verdict.reward),
        provenance=_NOWHERE,
        id="",
        version=SCHEMA_VERSION,
    )
    data = _encode(_canonical, bare)
    if occurrence:
        data += b"#%d" % occurrence
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def json_schema() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of an attempt and of a lesson, by name."""
    schemas = {"attempt": msgspec.json.schema(Attempt), "lesson": msgspec.json.schema(Lesson)}
    return msgspec.json.decode(_canonical.encode(schemas))


_NOWHERE = Provenance()


def _encode_at_level(record: Attempt | Lesson) -> bytes:
    bare = msgspec.structs.replace(record, extra={}) if record.extra else record
    data = _encode(_encoder, bare)
    if b'"extra":' in data or not _known(type(record)).isdisjoint(record.extra):
        return _encode(_encoder, _lowered(msgspec.to_builtins(record), type(record)))
    if record.extra:
        return data[:-1] + b"," + _encode(_encoder, record.extra)[1:]
    return data


def _encode(encoder: msgspec.json.Encoder, value: object) -> bytes:
    try:
        return encoder.encode(value)
    except (UnicodeEncodeError, OverflowError, TypeError) as error:
        raise BadInput(
            "values that JSON can hold", got=str(error), fix="Clean the text with errors='replace'."
        ) from error


def _decode(data: bytes | str, kind: type[Record]) -> Record:
    try:
        record = _loader(kind).decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        _check_version(data, kind)
        return _decode_slowly(data, kind, first_error=error)
    if record.version > _VERSIONS[kind]:
        _check_version(data, kind)
    fields = _fields.decode(data)
    try:
        for name, scanner in _scanners(kind):
            if name in fields:
                scanner.decode(fields[name])
    except msgspec.ValidationError:
        return _decode_slowly(data, kind)
    unknown = fields.keys() - _known(kind)
    if not unknown:
        return record
    added = {name: msgspec.json.decode(raw) for name, raw in fields.items() if name in unknown}
    return msgspec.structs.replace(record, extra={**record.extra, **added})


def _decode_slowly(
    data: bytes | str, kind: type[Record], *, first_error: Exception | None = None
) -> Record:
    try:
        value = msgspec.json.decode(data)
        if first_error is not None and not _restore_infinities(value):
            raise first_error
        return msgspec.convert(_lifted(value, kind), kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadInput(
            f"one JSON object that is {_WITH_ARTICLE[kind]}",
            got=_told(error),
            fix="See the schema in docs/schema.",
        ) from error


_WITH_ARTICLE: dict[type, str] = {Attempt: "an attempt", Lesson: "a lesson"}


def _told(error: Exception) -> str:
    return f"an error: {error}"[:200]


def _restore_infinities(value: object) -> bool:
    """Read null among the log-probabilities as minus infinity; return whether there was one."""
    logprobs = cast("dict[str, Any]", value).get("logprobs") if isinstance(value, dict) else None
    if not isinstance(logprobs, list) or None not in logprobs:
        return False
    logprobs[:] = [float("-inf") if p is None else p for p in logprobs]
    return True


def _check_version(data: bytes | str, kind: type) -> None:
    try:
        version = msgspec.json.decode(data, type=_Version).version
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return
    if version > _VERSIONS[kind]:
        raise BadInput(
            f"version {_VERSIONS[kind]} or older of {_WITH_ARTICLE[kind]}",
            got=f"version {version}",
            fix="Upgrade twiceshy to read it.",
        )


@cache
def _loader(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


@cache
def _scanners(kind: type[msgspec.Struct]) -> tuple[tuple[str, msgspec.json.Decoder[Any]], ...]:
    """Return, for each field that holds records of ours, a decoder that fails on an unknown field.

    They build next to nothing: what is not a record of ours stays raw.
    """
    return tuple(
        (name, msgspec.json.Decoder(_held(kind, name))) for name in _CHILDREN.get(kind, {})
    )


def _held(kind: type[msgspec.Struct], name: str) -> Any:
    one = _mirror(_CHILDREN[kind][name])
    return list[one] if _holds_many(kind, name) else one | None


@cache
def _mirror(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    children = _CHILDREN.get(kind, {})
    fields: list[tuple[str, Any, Any]] = [
        (name, _held(kind, name) if name in children else msgspec.Raw, None)
        for name in kind.__struct_encode_fields__
    ]
    return msgspec.defstruct(f"_{kind.__name__}", fields, forbid_unknown_fields=True)


@cache
def _holds_many(kind: type[msgspec.Struct], name: str) -> bool:
    field = next(f for f in msgspec.structs.fields(kind) if f.name == name)
    return getattr(field.type, "__origin__", None) is tuple


@cache
def _known(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(kind.__struct_encode_fields__)


def _lifted(value: Any, kind: type[msgspec.Struct]) -> Any:
    """Return decoded JSON with unknown fields moved into `extra`, at every level of ours."""
    if not isinstance(value, dict):
        return value
    known = _known(kind)
    record = {name: held for name, held in value.items() if name in known}
    unknown = {name: held for name, held in value.items() if name not in known}
    if unknown:
        record["extra"] = {**(record.get("extra") or {}), **unknown}
    return _with_children(record, kind, _lifted)


def _lowered(value: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the inverse of `_lifted`; a name that is also a field of ours stays in `extra`."""
    record = dict(value)
    extra = record.pop("extra", None) or {}
    known = _known(kind)
    record.update({name: held for name, held in extra.items() if name not in known})
    clashing = {name: held for name, held in extra.items() if name in known}
    if clashing:
        record["extra"] = clashing
    return _with_children(record, kind, _lowered)


def _with_children(record: dict[str, Any], kind: type[msgspec.Struct], change: Any) -> Any:
    for name, child in _CHILDREN.get(kind, {}).items():
        held = record.get(name)
        if isinstance(held, dict):
            record[name] = change(held, child)
        elif isinstance(held, (list, tuple)):
            record[name] = [change(one, child) for one in held]
    return record
