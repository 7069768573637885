"""How a context is shown to a teacher."""

from __future__ import annotations

from twiceshy.distillation.contexts.types import TeacherContext

TEMPLATE = """{task}

{context}

Work it out in your own words, from the beginning."""
"""Ours. The last line asks for reasoning of its own, not for a copy of what was shown."""


def teacher_prompt(task: str, context: TeacherContext) -> str:
    """Return what the teacher is asked: the task, and beside it what it may see.

    On rung "none" it is the task as the student gets it. What was shown is data about earlier
    attempts; keep it in the user's turn, never in the system's.

    Example:
        >>> from twiceshy.distillation.contexts.types import Rung
        >>> none = TeacherContext(rung=Rung.NONE, task="t", attempt="a", text="")
        >>> teacher_prompt("2 + 3?", none)
        '2 + 3?'
    """
    return TEMPLATE.format(task=task, context=context.text) if context.text else task
