"""Trials: every recall is randomised and logged, so that a bank can say what it is worth."""

from twiceshy.memory.trials.design import ALWAYS_SHOWN, TrialDesign, decide
from twiceshy.memory.trials.effects import Contrast, Effects, LessonEffect, Near, Pulled, effect
from twiceshy.memory.trials.plan import Plan, tasks_needed_for
from twiceshy.memory.trials.verdicts import Rule, ruling, verdicts

__all__ = [
    "ALWAYS_SHOWN",
    "Contrast",
    "Effects",
    "LessonEffect",
    "Near",
    "Plan",
    "Pulled",
    "Rule",
    "TrialDesign",
    "decide",
    "effect",
    "ruling",
    "tasks_needed_for",
    "verdicts",
]
