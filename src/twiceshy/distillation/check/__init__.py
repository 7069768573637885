"""Checks before and after learning from a teacher; each returns a report that can refuse.

check_gap(student_attempts, teacher_attempts)     # is there anything to learn?
check_traces(teacher_attempts, student_attempts)  # do its traces sound surer than they should?
collapse_alarm(Policies(...))                     # afterwards: three signals, never one
"""

from twiceshy.distillation.check.after import Policies, collapse_alarm
from twiceshy.distillation.check.features import fork_threshold, traces_of
from twiceshy.distillation.check.gap import check_gap
from twiceshy.distillation.check.traces import check_traces, surer_than_own

__all__ = [
    "Policies",
    "check_gap",
    "check_traces",
    "collapse_alarm",
    "fork_threshold",
    "surer_than_own",
    "traces_of",
]
