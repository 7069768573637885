"""What may enter a bank: `vet` is the one gate, whoever wrote the lessons."""

from twiceshy.memory.safety.policy import Policy, Tier
from twiceshy.memory.safety.vetting import Held, Vetted, vet

__all__ = ["Held", "Policy", "Tier", "Vetted", "vet"]
