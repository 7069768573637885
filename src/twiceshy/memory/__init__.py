"""Lessons kept outside the weights: mined from contrast, with their evidence."""

from twiceshy.memory.contrast import Learned, learn, prove_lessons

__all__ = ["Learned", "learn", "prove_lessons"]
