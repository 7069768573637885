"""A memory round an agent's runs: what it is told, what it does, how it ends."""

from twiceshy.memory.runs.asynchronous import AsyncRun
from twiceshy.memory.runs.memory import Memory
from twiceshy.memory.runs.run import Advice, Run

__all__ = ["Advice", "AsyncRun", "Memory", "Run"]
