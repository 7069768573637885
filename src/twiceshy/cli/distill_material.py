"""`--material`: what people and critics say about tasks, and how much of it found its attempt."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from twiceshy.attempts import Attempt
from twiceshy.cli.output import note
from twiceshy.distillation.contexts import (
    Material,
    MaterialRead,
    Rung,
    Unmatched,
    read_material,
    unmatched,
)

MAX_TOLD = 5
"""Unreadable lines, and names without an attempt, that are named; all are counted."""
_FIELDS = ("task", "hint", "answer", "solution", "lessons", "critiques", "failing_steps")
_SHOWN_ON: Mapping[Rung, tuple[str, ...]] = {
    Rung.HINT: ("hints",),
    Rung.CRITIQUE: ("critiques", "failing_steps"),
    Rung.SKILL_MISTAKE: ("lessons",),
    Rung.ANSWER: ("answers",),
    Rung.SOLUTION_WITHOUT_THINKING: ("solutions",),
    Rung.SOLUTION: ("solutions",),
}


class Told(NamedTuple):
    """Material and the account of its file."""

    material: Material | None
    lines: tuple[str, ...] = ()
    """For the summary."""
    numbers: Mapping[str, Any] = {}


def material_of(path: Path | None, *, attempts: Sequence[Attempt], rung: Rung) -> Told:
    """Read the file, say on stderr which lines could not be read, and count what fits nothing.

    Raises:
        BadInput: If the file cannot be opened, or has no usable line.
    """
    if path is None:
        return Told(None)
    read = read_material(path)
    for each in read.unreadable[:MAX_TOLD]:
        note(f"{each.where}: expected {each.expected}, got {each.got}.")
    apart = unmatched(read, attempts)
    counts = {name: len(entries) for name, entries in _entries(read.material).items() if entries}
    numbers = {
        "n_tasks": len(read.tasks),
        **{f"n_{name}": n for name, n in counts.items()},
        "n_unreadable": len(read.unreadable),
        "unknown_fields": dict(read.unknown_fields),
        "n_tasks_unmatched": len(apart.tasks),
        "n_attempts_unmatched": len(apart.attempts),
    }
    first = f"{path}: {_counted(len(read.tasks), 'task')} ({_list(counts)})."
    lines = (first, *_faults(read, apart), *_beside(counts, rung))
    return Told(read.material, lines, {"material": numbers})


def _entries(material: Material) -> dict[str, Mapping[str, Any]]:
    return {name: getattr(material, name) for name in Material.__struct_fields__}


def _faults(read: MaterialRead, apart: Unmatched) -> list[str]:
    lines = []
    if read.unreadable:
        lines.append(f"Not used: {_counted(len(read.unreadable), 'line')} that cannot be read.")
    if apart.tasks:
        what = _counted(len(apart.tasks), "task")
        lines.append(f"Not used: {what} that no attempt has: {_some(apart.tasks)}.")
    if apart.attempts:
        what = _counted(len(apart.attempts), "attempt id")
        lines.append(f"Not used: {what} that no attempt has: {_some(apart.attempts)}.")
    for name, n in sorted(read.unknown_fields.items()):
        near = difflib.get_close_matches(name, _FIELDS, n=1)
        meant = f", perhaps {near[0]}" if near else ""
        lines.append(f"Not used: field {name!r} in {_counted(n, 'line')}{meant}.")
    return lines


def _beside(counts: Mapping[str, int], rung: Rung) -> list[str]:
    """A line when the file holds nothing that the rung shows: perhaps it is for another one."""
    if any(name in counts for name in _SHOWN_ON.get(rung, ())):
        return []
    others = [each.value for each, names in _SHOWN_ON.items() if set(names) & set(counts)]
    other = f"; it is for --rung {', '.join(others)}" if others else ""
    return [f"It holds nothing that rung {rung.value} shows{other}."]


def _list(counts: Mapping[str, int]) -> str:
    said = [f"{name.replace('_', ' ')} {n}" for name, n in counts.items()]
    return ", ".join(said) or "nothing about them"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
    return ", ".join(names[:MAX_TOLD]) + more


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
