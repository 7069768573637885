"""Test-time scaling that writes memory (MaTTS): attempts side by side, or one after another."""

from twiceshy.memory.scaling.parallel import parallel, parallel_async
from twiceshy.memory.scaling.sequential import sequential, sequential_async
from twiceshy.memory.scaling.types import Agent, Budget, Request, Scaled

__all__ = [
    "Agent",
    "Budget",
    "Request",
    "Scaled",
    "parallel",
    "parallel_async",
    "sequential",
    "sequential_async",
]
