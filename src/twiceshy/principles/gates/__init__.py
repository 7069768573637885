"""Gates: what a principle must show before it is told to an executor."""

from twiceshy.principles.gates.accepting import (
    Gated,
    Ruling,
    accept,
    merge_equal,
    principle_gates,
    prompt_gates,
    rule,
)
from twiceshy.principles.gates.held import BeatsControls, GainsInSequence, IsSpecific, KeepsRight
from twiceshy.principles.gates.own import FlipsItsMistake, NotCopied, StrictlyImproves
from twiceshy.principles.gates.protocol import Bench, Candidate, Gate, Paired, Verdict, compare

__all__ = [
    "BeatsControls",
    "Bench",
    "Candidate",
    "FlipsItsMistake",
    "GainsInSequence",
    "Gate",
    "Gated",
    "IsSpecific",
    "KeepsRight",
    "NotCopied",
    "Paired",
    "Ruling",
    "StrictlyImproves",
    "Verdict",
    "accept",
    "compare",
    "merge_equal",
    "principle_gates",
    "prompt_gates",
    "rule",
]
