"""Verifiable tasks small enough to train on in minutes; numpy only."""

from twiceshy.training.tasks.chain import Chain, ChainKind, chain_kinds, chain_values
from twiceshy.training.tasks.change import Change
from twiceshy.training.tasks.countdown import Countdown
from twiceshy.training.tasks.reasoning_gym import ReasoningGym
from twiceshy.training.tasks.text import PADDING, TextTask
from twiceshy.training.tasks.types import (
    FAULTS,
    NO_ANSWER,
    Demonstrations,
    Fault,
    Split,
    Task,
    Tokens,
    Verdicts,
    decode,
    encode,
    response_mask,
)

__all__ = [
    "FAULTS",
    "NO_ANSWER",
    "PADDING",
    "Chain",
    "ChainKind",
    "Change",
    "Countdown",
    "Demonstrations",
    "Fault",
    "ReasoningGym",
    "Split",
    "Task",
    "TextTask",
    "Tokens",
    "Verdicts",
    "chain_kinds",
    "chain_values",
    "decode",
    "encode",
    "response_mask",
]
