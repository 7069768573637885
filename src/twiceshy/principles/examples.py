"""Reading examples: one JSON object a line, with a question and its right answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from twiceshy.attempts.types import Unreadable
from twiceshy.errors import BadInput
from twiceshy.principles.types import Example, hash_of

FIELDS: dict[str, tuple[str, ...]] = {
    "question": ("question", "prompt", "input", "problem"),
    "answer": ("answer", "target", "gold", "output"),
    "reasoning": ("reasoning", "rationale", "explanation"),
    "task": ("task", "subject", "category"),
    "id": ("id",),
    "split": ("split",),
}
"""Our fields, and the names they are looked for under, in order."""


class ExamplesRead(NamedTuple):
    """Examples of a file, and the lines that could not be used."""

    examples: tuple[Example, ...]
    unreadable: tuple[Unreadable, ...]
    n_repeated: int
    """Lines that say the same as an earlier one; left out."""


def read_examples(path: Path, *, mapping: Mapping[str, str] | None = None) -> ExamplesRead:
    """Read a JSONL file of examples; what cannot be used is told with its line.

    Args:
        path: The file.
        mapping: Our field → the file's, where it has other names than `FIELDS`.

    Raises:
        BadInput: The file cannot be opened, or holds no usable example.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise BadInput("a file of examples", got=str(error), where=str(path)) from error
    held: dict[str, Example] = {}
    unreadable: list[Unreadable] = []
    n_repeated = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        read = _example(line, where=f"{path}:{number}", mapping=mapping or {})
        if isinstance(read, Unreadable):
            unreadable.append(read)
        elif read.id in held:
            n_repeated += 1
        else:
            held[read.id] = read
    if not held:
        first = unreadable[0] if unreadable else None
        raise BadInput(
            'lines like {"question": "…", "answer": "…"}',
            got=f"{first.expected} missing at {first.where}" if first else "no line",
            where=str(path),
            fix="Name other fields with --map, as question=problem,answer=solution.",
        )
    return ExamplesRead(tuple(held.values()), tuple(unreadable), n_repeated)


def _example(line: str, *, where: str, mapping: Mapping[str, str]) -> Example | Unreadable:
    try:
        record = json.loads(line)
    except ValueError as error:
        return Unreadable(where, "a JSON object", str(error))
    if not isinstance(record, dict):
        return Unreadable(where, "a JSON object", type(record).__name__)
    told = {field: _field(record, field, mapping) for field in FIELDS}
    for field in ("question", "answer"):
        if not told[field]:
            return Unreadable(where, f"a {field}", f"fields {', '.join(map(str, record))}"[:200])
    return Example(
        id=told["id"] or hash_of(told["task"], told["question"], told["answer"]),
        question=told["question"],
        answer=told["answer"],
        reasoning=told["reasoning"],
        task=told["task"],
        extra={"split": told["split"].lower()} if told["split"] else {},
    )


def _field(record: Mapping[str, Any], field: str, mapping: Mapping[str, str]) -> str:
    names = (mapping[field],) if field in mapping else FIELDS[field]
    value = next((record[name] for name in names if record.get(name) is not None), "")
    return (value if isinstance(value, str) else json.dumps(value)).strip()
