"""Reading lessons of any known form; the form is found by looking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from twiceshy.errors import BadInput
from twiceshy.memory.bank.portable.jsonl import read_lessons_jsonl
from twiceshy.memory.bank.portable.markdown import read_markdown
from twiceshy.memory.bank.portable.reasoningbank import is_reasoningbank, read_reasoningbank
from twiceshy.memory.bank.portable.records import Imported
from twiceshy.memory.bank.portable.skillrl import is_skillrl, read_skillrl
from twiceshy.memory.bank.portable.skills import is_skills, read_skills

Format = Literal["lessons", "markdown", "skills", "skillrl", "reasoningbank"]
FORMATS: tuple[str, ...] = get_args(Format)


def read_lessons(path: str | Path, *, format: Format | None = None) -> Imported:
    """Return the lessons of a file or folder; nothing is stored.

    Args:
        path: JSONL of lessons, Markdown that a bank was exported to, agent-skill folders, a JSON
            bank of SkillRL, or JSONL of ReasoningBank.
        format: Which of them; None looks.

    Raises:
        BadInput: There is no such file, or it is none of these.
    """
    source = Path(path)
    if not source.exists():
        raise BadInput("a file or folder of lessons", got="nothing there", where=str(source))
    chosen = format if format is not None else _found(source)
    if chosen is None:
        raise BadInput(
            f"lessons as one of: {', '.join(FORMATS)}",
            got="something else",
            where=str(source),
            fix="Name its format, or see docs/memory.md for what each looks like.",
        )
    return _READERS[chosen](source)


def _found(path: Path) -> Format | None:
    if path.is_dir():
        return "skills" if is_skills(path) else None
    if path.suffix.lower() in (".md", ".markdown"):
        return "skills" if path.name == "SKILL.md" else "markdown"
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    record = _json(first)
    if is_reasoningbank(record):
        return "reasoningbank"
    if isinstance(record, dict) and "kind" in record and "text" in record:
        return "lessons"
    return "skillrl" if is_skillrl(_json(path.read_bytes())) else None


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _skillrl(path: Path) -> Imported:
    data = _json(path.read_bytes())
    if not is_skillrl(data):
        raise BadInput("a JSON bank of SkillRL", got="something else", where=str(path))
    return read_skillrl(data, path)


def _skills(path: Path) -> Imported:
    return read_skills(path if path.is_dir() else path.parent)


_READERS: dict[Format, Callable[[Path], Imported]] = {
    "lessons": read_lessons_jsonl,
    "markdown": read_markdown,
    "skills": _skills,
    "skillrl": _skillrl,
    "reasoningbank": read_reasoningbank,
}
