"""What happened: attempts, read from any log format, with their outcomes and nothing dropped."""

from __future__ import annotations

from twiceshy.attempts.classify import Rule, classify
from twiceshy.attempts.codec import (
    attempt_id,
    decode_attempt,
    decode_lesson,
    encode,
    json_schema,
)
from twiceshy.attempts.groups import group_attempts
from twiceshy.attempts.outcomes import JoinSummary
from twiceshy.attempts.reading import Reading, read_attempts
from twiceshy.attempts.store import write_attempts
from twiceshy.attempts.summary import FileSummary, ImportSummary, Skipped
from twiceshy.attempts.types import (
    Attempt,
    BrokenKind,
    Group,
    Outcome,
    Provenance,
    Role,
    Step,
    ToolCall,
    Unreadable,
    Verdict,
    VerdictSource,
)

__all__ = [
    "Attempt",
    "BrokenKind",
    "FileSummary",
    "Group",
    "ImportSummary",
    "JoinSummary",
    "Outcome",
    "Provenance",
    "Reading",
    "Role",
    "Rule",
    "Skipped",
    "Step",
    "ToolCall",
    "Unreadable",
    "Verdict",
    "VerdictSource",
    "attempt_id",
    "classify",
    "decode_attempt",
    "decode_lesson",
    "encode",
    "group_attempts",
    "json_schema",
    "read_attempts",
    "write_attempts",
]
