"""What a teacher's context does to its students: Kim et al. (2603.24472) in miniature.

    from twiceshy.studies.teacher_context import run_teacher_context

Names load on first use; the runs need torch. The design, with what was fixed before the runs, is in
`experiments/teacher-context/README.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.lazy import lazy_names

if TYPE_CHECKING:
    from twiceshy.studies.teacher_context.plan import QUICK as QUICK
    from twiceshy.studies.teacher_context.plan import Size as Size
    from twiceshy.studies.teacher_context.plot import draw_teacher_context as draw_teacher_context
    from twiceshy.studies.teacher_context.results import Done as Done
    from twiceshy.studies.teacher_context.study import (
        finished_teacher_context as finished_teacher_context,
    )
    from twiceshy.studies.teacher_context.study import (
        report_teacher_context as report_teacher_context,
    )
    from twiceshy.studies.teacher_context.study import run_teacher_context as run_teacher_context

_HOME = {
    "QUICK": "plan",
    "Size": "plan",
    "Done": "results",
    "draw_teacher_context": "plot",
    "finished_teacher_context": "study",
    "report_teacher_context": "study",
    "run_teacher_context": "study",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME, needs_torch=True)
