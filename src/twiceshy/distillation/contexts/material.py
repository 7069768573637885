"""Material from a file: one JSON object a line, with what is known about one task.

    {"task": "sum", "hint": "Mind the carry.", "answer": "22", "solution": "…",
     "lessons": [{"id": "l1", "kind": "avoid", "text": "…", "action": "…", "instead": "…"}],
     "critiques": {"<attempt id>": "The carry is lost."}, "failing_steps": {"<attempt id>": 2}}

All but the task may be missing. A task may stand on several lines as long as none says again what
another said. Lessons are as `twiceshy learn` writes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from twiceshy.attempts import Attempt, Unreadable, decode_lesson
from twiceshy.distillation.contexts.types import Material
from twiceshy.errors import BadInput

EXAMPLE = '{"task": "…", "hint": "…"}'


class _Line(msgspec.Struct, kw_only=True):
    task: str | int
    hint: str | None = None
    answer: str | int | float | None = None
    solution: str | None = None
    lessons: list[msgspec.Raw] = []
    critiques: dict[str, str] = {}
    failing_steps: dict[str, int] = {}


_line = msgspec.json.Decoder(_Line)
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])


class MaterialRead(NamedTuple):
    """What a file says, and what of it could not be used."""

    material: Material
    tasks: tuple[str, ...]
    """Tasks that it names."""
    unreadable: tuple[Unreadable, ...]
    unknown_fields: Mapping[str, int]
    """Lines by field that has no meaning here."""


class Unmatched(NamedTuple):
    """Names in the material that no attempt has."""

    tasks: tuple[str, ...]
    attempts: tuple[str, ...]
    """Ids under critiques and failing steps."""


def read_material(path: Path) -> MaterialRead:
    """Read a JSONL file of material; a line that cannot be used is told with its place.

    Raises:
        BadInput: If the file cannot be opened, or has no usable line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "material.jsonl")
        ...     _ = path.write_text('{"task": "sum", "hint": "Mind the carry.", "hints": 1}')
        ...     read = read_material(path)
        >>> read.material.hints, read.unknown_fields
        ({'sum': 'Mind the carry.'}, {'hints': 1})
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        got = error.strerror or str(error)
        raise BadInput("a file of material", got=got, where=str(path)) from error
    held = _Held()
    unreadable: list[Unreadable] = []
    unknown: Counter[str] = Counter()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fault = held.add(line, where=f"{path}:{number}")
        if fault is not None:
            unreadable.append(fault)
        else:
            unknown.update(set(_names.decode(line)) - set(_Line.__struct_fields__))
    if not held.tasks:
        raise BadInput(
            f"lines like {EXAMPLE}",
            got=f"{unreadable[0].got} at {unreadable[0].where}" if unreadable else "no line",
            where=str(path),
        )
    return MaterialRead(
        Material(**held.fields), tuple(held.tasks), tuple(unreadable), dict(unknown)
    )


def unmatched(read: MaterialRead, attempts: Iterable[Attempt]) -> Unmatched:
    """Return the tasks and the attempt ids of a file that none of the attempts has.

    Example:
        >>> read = MaterialRead(Material(critiques={"a": "No."}), ("sum",), (), {})
        >>> unmatched(read, [])
        Unmatched(tasks=('sum',), attempts=('a',))
    """
    known = [(each.task, each.id) for each in attempts]
    tasks, ids = {task for task, _ in known}, {attempt for _, attempt in known}
    named = dict.fromkeys([*read.material.critiques, *read.material.failing_steps])
    return Unmatched(
        tuple(task for task in read.tasks if task not in tasks),
        tuple(attempt for attempt in named if attempt not in ids),
    )


class _Held:
    """Lines so far, by the field of `Material` that they fill."""

    def __init__(self) -> None:
        self.tasks: dict[str, None] = {}
        self.fields: dict[str, dict[str, Any]] = {name: {} for name in Material.__struct_fields__}

    def add(self, line: bytes, *, where: str) -> Unreadable | None:
        """Take a line whole, or not at all and say why."""
        try:
            told = _line.decode(line)
            said = _said(told)
        except BadInput as error:
            return Unreadable(where, error.expected, error.got)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            return Unreadable(where, f"a line like {EXAMPLE}", f"an error: {error}")
        for field, entries in said.items():
            again = next((name for name in entries if name in self.fields[field]), None)
            if again is not None:
                what = field.removesuffix("s").replace("_", " ")
                return Unreadable(where, "each said once", f"a second {what} for {again!r}")
        for field, entries in said.items():
            self.fields[field].update(entries)
        self.tasks[str(told.task)] = None
        return None


def _said(line: _Line) -> dict[str, dict[str, Any]]:
    task = str(line.task)
    single = {
        "hints": line.hint,
        "answers": None if line.answer is None else str(line.answer),
        "solutions": line.solution,
        "lessons": tuple(decode_lesson(bytes(each)) for each in line.lessons) or None,
    }
    said = {name: {} if value is None else {task: value} for name, value in single.items()}
    return {**said, "critiques": line.critiques, "failing_steps": line.failing_steps}
