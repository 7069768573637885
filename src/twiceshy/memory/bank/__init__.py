"""The bank: the store of lessons with their evidence, trials, lineage and states."""

from twiceshy.memory.bank.lineage import Kin
from twiceshy.memory.bank.outcomes import Conflict
from twiceshy.memory.bank.protocol import BankReader, BankWriter, Event, LexicalHit
from twiceshy.memory.bank.reading import Revision
from twiceshy.memory.bank.sqlite import Bank
from twiceshy.memory.bank.types import (
    Add,
    Decision,
    Edit,
    Merge,
    OutcomeRecorded,
    Refine,
    RunStarted,
    SetEvidence,
    SetStatus,
    Split,
    StepCheck,
    Use,
    VectorsStored,
)
from twiceshy.memory.bank.upkeep import Check

__all__ = [
    "Add",
    "Bank",
    "BankReader",
    "BankWriter",
    "Check",
    "Conflict",
    "Decision",
    "Edit",
    "Event",
    "Kin",
    "LexicalHit",
    "Merge",
    "OutcomeRecorded",
    "Refine",
    "Revision",
    "RunStarted",
    "SetEvidence",
    "SetStatus",
    "Split",
    "StepCheck",
    "Use",
    "VectorsStored",
]
