"""Signals of lost doubt: what each is beside its base, and when it counts as fallen."""

from __future__ import annotations

from typing import Literal, NamedTuple

from twiceshy.evidence.report import Alarm, Severity
from twiceshy.evidence.stats import Estimate

DENSITY_FALL, LENGTH_FALL, FORK_FALL = 0.7, 0.6, 0.8
"""Ratios to the base (of markers, length, forks) below which a signal is clear. Proposed with the
reference's collapse alarm; ours."""
SIGNALS_FOR_ALARM = 3
MIN_TASKS = 8
"""Tasks below which a ratio is shown but decides nothing."""

State = Literal["fell", "held", "unclear", "not measured"]


class Signal(NamedTuple):
    """One measure of the student beside the base.

    Example:
        >>> Signal("length", Estimate(0.5, 0.4, 0.55, 20), LENGTH_FALL).state
        'fell'
    """

    name: str
    value: Estimate
    threshold: float
    unit: Literal["ratio", "difference"] = "ratio"
    rises: bool = False
    """Whether it is a rise that counts as a loss."""

    @property
    def state(self) -> State:
        """By the whole interval, so that noise raises nothing."""
        value, low, high, _ = self.value
        if value is None:
            return "not measured"
        if low is None or high is None:  # no spread between tasks, so no interval is claimed
            return "unclear"
        beyond = low > self.threshold if self.rises else high < self.threshold
        within = high <= self.threshold if self.rises else low >= self.threshold
        return "fell" if beyond else "held" if within else "unclear"

    def alarm(self, severity: Severity) -> Alarm:
        """Return the signal as an alarm; it must have fallen."""
        return Alarm(
            name=self.name,
            severity=severity,
            message=f"{self.name}: {self.unit} {self.value.value:.2f} "
            f"[{self.value.low:.2f}, {self.value.high:.2f}], threshold {self.threshold:g}.",
            value=self.value.value,
            threshold=self.threshold,
            source=f"ours; {SIGNALS_FOR_ALARM} signals together make an alarm",
        )
