"""Banks of SkillRL (2602.08234): one JSON object with general skills, task skills and mistakes.

`general_skills` become strategies that hold everywhere, `task_specific_skills` (or, in the bank for
search, `query_type_skills`) strategies of their category, `common_mistakes` lessons to avoid. The
loader of the original drops `query_type_skills`; here they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from twiceshy.attempts.types import Unreadable
from twiceshy.lessons import Lesson
from twiceshy.memory.bank.portable.records import Imported, foreign

GENERAL, MISTAKES = "general_skills", "common_mistakes"
BY_CATEGORY = ("task_specific_skills", "query_type_skills")
_SKILL = ("skill_id", "title", "principle", "when_to_apply")
_MISTAKE = ("mistake_id", "description", "why_it_happens", "how_to_avoid")


class _Entry(NamedTuple):
    section: str
    category: str
    where: str
    value: Any


def is_skillrl(data: object) -> bool:
    """Whether a JSON value is such a bank."""
    return isinstance(data, dict) and not {GENERAL, MISTAKES, *BY_CATEGORY}.isdisjoint(data)


def read_skillrl(data: Mapping[str, Any], path: Path) -> Imported:
    """Return the lessons of a bank that was read from `path`."""
    lessons: list[Lesson] = []
    unreadable: list[Unreadable] = []
    for entry in _entries(data, path):
        fields = _MISTAKE if entry.section == MISTAKES else _SKILL
        if isinstance(entry, _Entry) and _is_whole(entry.value, fields):
            lessons.append(_lesson(entry, path))
        else:
            wanted = f"an object with {fields[1]} and {fields[2]} or {fields[3]} as text"
            unreadable.append(Unreadable(entry.where, wanted, str(entry.value)[:80]))
    return Imported("skillrl", tuple(lessons), tuple(unreadable))


def _entries(data: Mapping[str, Any], path: Path) -> Iterator[_Entry]:
    for section in (GENERAL, MISTAKES):
        yield from _listed(data.get(section), section, "", f"{path}: {section}")
    for section in BY_CATEGORY:
        held = data.get(section, {})
        if not isinstance(held, dict):
            yield _Entry(section, "", f"{path}: {section}", held)
            continue
        for category, skills in held.items():
            yield from _listed(skills, section, category, f"{path}: {section}.{category}")


def _listed(held: Any, section: str, category: str, where: str) -> Iterator[_Entry]:
    if held is None:
        return
    if not isinstance(held, list):
        yield _Entry(section, category, where, held)
        return
    for place, value in enumerate(held):
        yield _Entry(section, category, f"{where}[{place}]", value)


def _is_whole(value: Any, fields: tuple[str, ...]) -> bool:
    if not isinstance(value, dict):
        return False
    if any(not isinstance(value.get(name, ""), str) for name in fields[1:]):
        return False
    said = (value.get(fields[2]) or value.get(fields[3])) if fields is _MISTAKE else None
    return bool(value.get(fields[1]) and said if fields is _MISTAKE else value.get("principle"))


def _lesson(entry: _Entry, path: Path) -> Lesson:
    value: dict[str, Any] = entry.value
    is_mistake = entry.section == MISTAKES
    fields = _MISTAKE if is_mistake else _SKILL
    identity = str(value.get(fields[0]) or entry.where)
    origin = {
        "format": "skillrl",
        "id": f"{entry.category}/{identity}" if entry.category else identity,
        "file": path.name,
        "section": entry.section,
    }
    scope = {"family": entry.category} if entry.category else {}
    unknown = {name: held for name, held in value.items() if name not in fields}
    if is_mistake:
        action, instead = value["description"], value.get("how_to_avoid", "")
        return foreign(
            "avoid",
            f"{_ended(instead)} Do this instead of: {action}" if instead else f"Avoid: {action}",
            origin=origin,
            scope=scope,
            action=action,
            instead=instead,
            why=value.get("why_it_happens", ""),
            extra=unknown,
        )
    return foreign(
        "strategy",
        value["principle"],
        origin=origin,
        scope=scope,
        action=value.get("title", ""),
        trigger=value.get("when_to_apply", ""),
        extra=unknown,
    )


def _ended(sentence: str) -> str:
    text = sentence.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
