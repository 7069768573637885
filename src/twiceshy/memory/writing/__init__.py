"""Writing lessons: from attempts and what a bank knows to edits, never behind the caller's back."""

from twiceshy.memory.writing.proposing import propose_edits
from twiceshy.memory.writing.types import Contradiction, Proposal, Rejected

__all__ = ["Contradiction", "Proposal", "Rejected", "propose_edits"]
