"""Learn from failed attempts, and prove that the lesson transfers.

The names below load on first use, so that `import twiceshy` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.lazy import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from twiceshy.attempts import (
        Attempt,
        Group,
        Outcome,
        Step,
        ToolCall,
        Verdict,
        read_attempts,
        write_attempts,
    )
    from twiceshy.evidence.audits import audit_collapse, audit_passk, audit_shortcuts
    from twiceshy.evidence.report import Report
    from twiceshy.frontier import triage
    from twiceshy.lessons import Lesson
    from twiceshy.memory import Memory, learn, prove_lessons

_HOME = {
    "Attempt": "attempts",
    "Group": "attempts",
    "Lesson": "lessons",
    "Memory": "memory",
    "Outcome": "attempts",
    "Report": "evidence.report",
    "Step": "attempts",
    "ToolCall": "attempts",
    "Verdict": "attempts",
    "audit_collapse": "evidence.audits",
    "audit_passk": "evidence.audits",
    "audit_shortcuts": "evidence.audits",
    "learn": "memory",
    "prove_lessons": "memory",
    "read_attempts": "attempts",
    "triage": "frontier",
    "write_attempts": "attempts",
}

__all__ = [
    "Attempt",
    "Group",
    "Lesson",
    "Memory",
    "Outcome",
    "Report",
    "Step",
    "ToolCall",
    "Verdict",
    "audit_collapse",
    "audit_passk",
    "audit_shortcuts",
    "learn",
    "prove_lessons",
    "read_attempts",
    "triage",
    "write_attempts",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
