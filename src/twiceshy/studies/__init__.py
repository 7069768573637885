"""Experiments on published claims that need two learners, which may not import each other.

Studies of the training loop alone are in `training.studies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.lazy import lazy_names

if TYPE_CHECKING:
    from twiceshy.studies.teacher_context import run_teacher_context as run_teacher_context

_HOME = {"run_teacher_context": "teacher_context"}

__getattr__, __dir__ = lazy_names(__name__, _HOME, needs_torch=True)
