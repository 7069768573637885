"""Lessons kept outside the weights: mined from contrast, banked, recalled, and put on trial."""

from twiceshy.memory.contrast import Learned, learn, prove_lessons
from twiceshy.memory.runs import Memory

__all__ = ["Learned", "Memory", "learn", "prove_lessons"]
