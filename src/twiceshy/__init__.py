"""Learn from failed attempts, and prove that the lesson transfers.

The names below load on first use, so that `import twiceshy` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    "Attempt": "twiceshy.attempts",
    "Group": "twiceshy.attempts",
    "Lesson": "twiceshy.lessons",
    "Memory": "twiceshy.memory",
    "Outcome": "twiceshy.attempts",
    "Report": "twiceshy.evidence.report",
    "Step": "twiceshy.attempts",
    "ToolCall": "twiceshy.attempts",
    "Verdict": "twiceshy.attempts",
    "audit_collapse": "twiceshy.evidence.audits",
    "audit_passk": "twiceshy.evidence.audits",
    "audit_shortcuts": "twiceshy.evidence.audits",
    "learn": "twiceshy.memory",
    "prove_lessons": "twiceshy.memory",
    "read_attempts": "twiceshy.attempts",
    "triage": "twiceshy.frontier",
    "write_attempts": "twiceshy.attempts",
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


def __getattr__(name: str) -> object:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'twiceshy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
