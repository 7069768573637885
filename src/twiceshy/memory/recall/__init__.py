"""Recall: which lessons a task calls for, how they are told, and how they are checked."""

from twiceshy.memory.recall.after_error import recall_after_error
from twiceshy.memory.recall.checking import (
    Check,
    Penalties,
    allowed,
    check,
    check_end,
    penalties,
)
from twiceshy.memory.recall.embedders import MiniLMEmbedder, StaticEmbedder, default_embedder
from twiceshy.memory.recall.errors_seen import Signature, signature_of
from twiceshy.memory.recall.index import embed_missing
from twiceshy.memory.recall.placebo import placebo_of
from twiceshy.memory.recall.recalling import Candidate, Recalled, Wish, recall
from twiceshy.memory.recall.rendering import Rendered, estimate_tokens, line_of, render
from twiceshy.memory.recall.texts import situation_of

__all__ = [
    "Candidate",
    "Check",
    "MiniLMEmbedder",
    "Penalties",
    "Recalled",
    "Rendered",
    "Signature",
    "StaticEmbedder",
    "Wish",
    "allowed",
    "check",
    "check_end",
    "default_embedder",
    "embed_missing",
    "estimate_tokens",
    "line_of",
    "penalties",
    "placebo_of",
    "recall",
    "recall_after_error",
    "render",
    "signature_of",
    "situation_of",
]
