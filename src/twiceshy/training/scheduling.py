"""Options of an objective that change during a run, as a section of the config.

[objective.schedules.lambda_pos]
kind = "linear"
start = 0.0
end = 0.1
steps = 50
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import require_between
from twiceshy.objectives.schedules import by_accuracy, cosine, linear, switch


class _Ramp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From `start` at step 0 to `end` from `steps` on."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise BadInput("at least 1 step", got=str(self.steps), where="schedules: steps")

    @property
    def extremes(self) -> tuple[float, ...]:
        """The values between which it stays."""
        return (self.start, self.end)


class Linear(_Ramp, frozen=True, kw_only=True, tag_field="kind", tag="linear"):
    """A line from `start` at step 0 to `end` from `steps` on."""

    def at(self, step: int, accuracy: float) -> float:
        """Return the value at a step."""
        del accuracy
        return linear(step, start=self.start, end=self.end, steps=self.steps)


class Cosine(_Ramp, frozen=True, kw_only=True, tag_field="kind", tag="cosine"):
    """Half a cosine from `start` at step 0 to `end` from `steps` on."""

    def at(self, step: int, accuracy: float) -> float:
        """Return the value at a step."""
        del accuracy
        return cosine(step, start=self.start, end=self.end, steps=self.steps)


class Switch(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="kind",
    tag="switch",
    forbid_unknown_fields=True,
):
    """One value before a step, another from it on."""

    before: float
    after: float
    step: int

    def __post_init__(self) -> None:
        if self.step < 1:
            raise BadInput("a step of at least 1", got=str(self.step), where="schedules: step")

    def at(self, step: int, accuracy: float) -> float:
        """Return the value at a step."""
        del accuracy
        return switch(step, before=self.before, after=self.after, at=self.step)

    @property
    def extremes(self) -> tuple[float, ...]:
        """Both values."""
        return (self.before, self.after)


class ByAccuracy(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="kind",
    tag="by_accuracy",
    forbid_unknown_fields=True,
):
    """A weight that grows with the accuracy of the step's rollouts, and is 1 from `full_at` on."""

    full_at: float

    def __post_init__(self) -> None:
        require_between(self.full_at, low=1e-6, high=1, where="full_at")

    def at(self, step: int, accuracy: float) -> float:
        """Return the value at an accuracy."""
        del step
        return by_accuracy(accuracy, full_at=self.full_at)

    @property
    def extremes(self) -> tuple[float, ...]:
        """0 and 1."""
        return (0.0, 1.0)


Schedule = Linear | Cosine | Switch | ByAccuracy


class Scheduled(msgspec.Struct, frozen=True):
    """Advantages some of whose options follow a schedule; called with `step`."""

    advantages: Any
    """(labels, group, *, option=value, …) → advantages."""
    schedules: Mapping[str, Schedule]
    """By the name of the option."""

    def __call__(self, labels: Tensor, group: Tensor, *, step: int, **more: Tensor) -> Tensor:
        """Return the advantages of a step."""
        n_scored = int((labels != 0).sum())
        if n_scored == 0:  # the share of successes is undefined, and nothing has an advantage
            return labels.float()
        accuracy = int((labels > 0).sum()) / n_scored
        values = {name: each.at(step, accuracy) for name, each in self.schedules.items()}
        return self.advantages(labels, group, **values, **more)
