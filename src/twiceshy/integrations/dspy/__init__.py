"""DSPy: an optimiser that adds gated principles to a program's instructions.

    optimizer = LeapOptimizer(metric)
    better = optimizer.compile(program, trainset=train, valset=validation)

Needs the extra `dspy`.
"""

from twiceshy.integrations.dspy.optimizer import Compiled, LeapOptimizer

__all__ = ["Compiled", "LeapOptimizer"]
