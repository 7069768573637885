"""Did a student take over what its teacher can do, or only how it sounds?

`audit_imitation` compares attempts of base, student, teacher and a second draw of the teacher, with
verdicts and, where there is one, a judge. `closures` does the sums for figures somebody published.
"""

from __future__ import annotations

from twiceshy.evidence.imitation.audit import Audited, measure
from twiceshy.evidence.imitation.closure import Closures, closure, closures
from twiceshy.evidence.imitation.judging import (
    Preference,
    Question,
    ask_judge,
    battles,
    read_preferences,
)
from twiceshy.evidence.imitation.report import audit_imitation

__all__ = [
    "Audited",
    "Closures",
    "Preference",
    "Question",
    "ask_judge",
    "audit_imitation",
    "battles",
    "closure",
    "closures",
    "measure",
    "read_preferences",
]
