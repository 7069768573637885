"""Does a policy know what it knows? Confidence of every kind, against outcomes.

Whatever can be had from attempts alone: stated numbers, agreement among repeated attempts, token
probabilities, and the words an answer is told in.
"""

from __future__ import annotations

from twiceshy.evidence.confidence.audit import audit_confidence, faithfulness, measured
from twiceshy.evidence.confidence.sources import (
    Equivalence,
    Judged,
    Meanings,
    Voiced,
    decisiveness,
    meanings_of,
    same_answer,
    self_consistency,
    stated,
    token_probability,
    voiced,
)

__all__ = [
    "Equivalence",
    "Judged",
    "Meanings",
    "Voiced",
    "audit_confidence",
    "decisiveness",
    "faithfulness",
    "meanings_of",
    "measured",
    "same_answer",
    "self_consistency",
    "stated",
    "token_probability",
    "voiced",
]
