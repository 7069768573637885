"""Agent-skill folders: one a family of tasks, with a `SKILL.md` that an agent loads by itself.

`SKILL.md` holds what the agent is to read; `lessons.jsonl` beside it holds the whole records. A
folder without the second, written by somebody else, is read as one strategy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from twiceshy.attempts.types import Unreadable
from twiceshy.files import write_whole
from twiceshy.lessons import Lesson
from twiceshy.memory.bank.portable.jsonl import read_lessons_jsonl, write_lessons
from twiceshy.memory.bank.portable.markdown import GENERAL, by_family, sections
from twiceshy.memory.bank.portable.records import Imported, foreign

SKILL, RECORDS = "SKILL.md", "lessons.jsonl"
MAX_NAME, MAX_DESCRIPTION = 64, 1024
"""Characters that the format of agent skills allows."""
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*\n(.*)\Z", re.S)
_KEY = re.compile(r"^([\w-]+):[ \t]*(.*)$")


def write_skills(lessons: Sequence[Lesson], folder: Path) -> list[Path]:
    """Write one folder a family of tasks; return them. Other folders there stay as they are.

    Raises:
        BadInput: The folder cannot be written to.
    """
    written: dict[str, Path] = {}
    for family, held in by_family(lessons):
        name = _free_name(slug(f"lessons {family}"), written)
        target = written[name] = folder / name
        target.mkdir(parents=True, exist_ok=True)
        write_whole(target / SKILL, skill_page(family, held, name=name).encode())
        write_lessons(held, target / RECORDS)
    return list(written.values())


def skill_page(family: str, lessons: Sequence[Lesson], *, name: str) -> str:
    """Return a `SKILL.md`: front matter with name and description, then the lessons."""
    subject = "tasks of any kind" if family == GENERAL else f"tasks of the family {family}"
    described = f"Lessons from earlier attempts at {subject}. Use before and during such a task."
    front = f"---\nname: {name}\ndescription: {json.dumps(described[:MAX_DESCRIPTION])}\n---\n"
    note = (
        "Advice from earlier attempts, not orders. Leave out what does not fit the task at hand.\n"
    )
    body = sections(lessons, depth=2, with_records=False)
    return "\n".join([front, f"# {family}\n", note, *body])


def slug(text: str) -> str:
    """Return a name as the format wants it: lower case, digits and single hyphens, at most 64.

    Example:
        >>> slug("lessons Pick & Place / Ünder")
        'lessons-pick-place-nder'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_NAME].rstrip("-")


def _free_name(name: str, taken: dict[str, Path]) -> str:
    number, free = 2, name
    while free in taken:
        free = f"{name[: MAX_NAME - 4]}-{number}"
        number += 1
    return free


def is_skills(path: Path) -> bool:
    """Whether a path is a skill folder or a folder of them."""
    return path.is_dir() and next(_folders(path), None) is not None


def read_skills(path: Path) -> Imported:
    """Return the lessons of a skill folder, or of all that lie in a folder."""
    lessons: list[Lesson] = []
    unreadable: list[Unreadable] = []
    for folder in _folders(path):
        records = folder / RECORDS
        found = read_lessons_jsonl(records) if records.exists() else _read_foreign(folder)
        lessons += found.lessons
        unreadable += found.unreadable
    return Imported("skills", tuple(lessons), tuple(unreadable))


def _folders(path: Path) -> Iterator[Path]:
    if (path / SKILL).is_file():
        yield path
        return
    yield from (each.parent for each in sorted(path.glob(f"*/{SKILL}")))


def _read_foreign(folder: Path) -> Imported:
    page = folder / SKILL
    found = _FRONT.match(page.read_text("utf-8", "replace"))
    fields = front_matter(found[1]) if found else {}
    if not found or not fields.get("name") or not found[2].strip():
        wanted = "front matter between lines of --- with a name, and text after it"
        return Imported("skills", (), (Unreadable(str(page), wanted, "none"),))
    name = fields.pop("name")
    lesson = foreign(
        "strategy",
        found[2].strip(),
        origin={"format": "skill", "id": name, "file": f"{folder.name}/{SKILL}"},
        scope={"family": name},
        trigger=fields.pop("description", ""),
        extra=fields,
    )
    return Imported("skills", (lesson,))


def front_matter(text: str) -> dict[str, str]:
    r"""Return the keys of a front matter and their values as text; folded lines are joined.

    Differs from YAML: only `key: value` at the start of a line is read, nested values stay text.

    Example:
        >>> front_matter('name: a-skill\ndescription: >\n  Use it\n  often.\nlicense: "MIT"')
        {'name': 'a-skill', 'description': 'Use it often.', 'license': 'MIT'}
    """
    fields: dict[str, list[str]] = {}
    key = ""
    for line in text.splitlines():
        started = _KEY.match(line)
        if started:
            key = started[1]
            value = started[2].strip()
            fields[key] = [] if value in (">", "|", ">-", "|-") else [value]
        elif key and line.strip():
            fields[key].append(line.strip())
    return {name: _unquoted(" ".join(parts)) for name, parts in fields.items()}


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except json.JSONDecodeError:
            return text[1:-1]
    return text[1:-1].replace("''", "'") if len(text) > 1 and text[0] == text[-1] == "'" else text
