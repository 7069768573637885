"""Experiments on published claims, as functions that a command or a script can call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.lazy import lazy_names

if TYPE_CHECKING:
    from twiceshy.training.studies.negative_reinforcement import (
        run_negative_reinforcement as run_negative_reinforcement,
    )
    from twiceshy.training.studies.over_hard import run_over_hard as run_over_hard

_HOME = {
    "run_negative_reinforcement": "negative_reinforcement",
    "run_over_hard": "over_hard",
}

__getattr__, __dir__ = lazy_names(__name__, _HOME)
