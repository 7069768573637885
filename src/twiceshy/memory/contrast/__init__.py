"""Lessons from contrast: what failing attempts do that passing ones at the same task do not.

`learn` returns lessons with their evidence, `prove_lessons` tests the whole procedure on tasks it
has not seen. Neither needs a language model.
"""

from twiceshy.memory.contrast.learning import Learned, learn, prove_lessons

__all__ = ["Learned", "learn", "prove_lessons"]
