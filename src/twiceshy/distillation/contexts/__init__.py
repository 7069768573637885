"""A ladder of teacher contexts, each built from a group of attempts.

    group = group_attempts(attempts)[0]
    for context in ladder([group], rungs=[Rung.CRITIQUE, Rung.SOLUTION_WITHOUT_THINKING]):
        ...                           # a TeacherContext, or a NoContext that says why

Thin contexts come from failures: a critique of the student's own failing step, lessons, what the
checker printed. Rich ones come from successes, and make teachers that sound surer than they are.
"""

from twiceshy.distillation.contexts.building import ladder, teacher_context
from twiceshy.distillation.contexts.failing_step import FailingStep, failing_step
from twiceshy.distillation.contexts.material import (
    MaterialRead,
    Unmatched,
    read_material,
    unmatched,
)
from twiceshy.distillation.contexts.prompting import teacher_prompt
from twiceshy.distillation.contexts.thinking import without_thinking
from twiceshy.distillation.contexts.types import Material, NoContext, Rung, TeacherContext

__all__ = [
    "FailingStep",
    "Material",
    "MaterialRead",
    "NoContext",
    "Rung",
    "TeacherContext",
    "Unmatched",
    "failing_step",
    "ladder",
    "read_material",
    "teacher_context",
    "teacher_prompt",
    "unmatched",
    "without_thinking",
]
