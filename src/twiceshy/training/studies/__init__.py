"""Experiments on published claims, as functions that a command or a script can call."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twiceshy.training.studies.negative_reinforcement import (
        run_negative_reinforcement as run_negative_reinforcement,
    )
    from twiceshy.training.studies.over_hard import run_over_hard as run_over_hard

_HOME = {
    "run_negative_reinforcement": "negative_reinforcement",
    "run_over_hard": "over_hard",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
