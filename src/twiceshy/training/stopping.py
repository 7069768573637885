"""When the loop stops by itself: the rules of `objectives.abort`, fed from a step's record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from twiceshy.evidence.report import Alarm
from twiceshy.objectives.abort import (
    accuracy_alarm,
    length_alarm,
    likelihood_alarm,
    malformed_alarm,
    rare_token_alarm,
)
from twiceshy.objectives.checks import require_between


class StopConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Limits at which a run stops. A share of 1, or an `accuracy_drop` of 1, is never reached.

    Attributes:
        malformed: Share of responses that are not of the form asked for.
        rare_tokens: Share of drawn tokens with a probability below 1e-4.
        length_low: Median length as a share of that at the first step, below which it stops.
        length_high: The same, above which it stops.
        accuracy_patience: Evaluations in a row that all have to lie below the best pass@1.
        accuracy_drop: By how much they have to.
    """

    malformed: float = 0.3
    rare_tokens: float = 0.05
    length_low: float = 0.5
    length_high: float = 2.0
    accuracy_patience: int = 3
    accuracy_drop: float = 0.02

    def __post_init__(self) -> None:
        require_between(self.malformed, low=0, high=1, where="stop.malformed")
        require_between(self.rare_tokens, low=0, high=1, where="stop.rare_tokens")
        require_between(self.length_low, low=0, high=1, where="stop.length_low")
        require_between(self.length_high, low=1, high=1e6, where="stop.length_high")
        accuracy_alarm([], patience=self.accuracy_patience, drop=self.accuracy_drop)


WARN_SHARE = 1 / 3
"""Share of a limit from which a warning is given. Ours; 0.1 of 0.3 as in `malformed_alarm`."""


def step_alarms(
    metrics: Mapping[str, float | None], *, first: Mapping[str, float | None], limits: StopConfig
) -> list[Alarm]:
    """Return what the rules on one step's rollouts say; severity "alarm" means stop.

    Args:
        metrics: The step's.
        first: Those of the run's first step; empty at that step.
        limits: Where the rules fire.

    Example:
        >>> metrics = {"n_malformed": 4.0, "n_responses": 10.0, "n_rare": 0.0, "n_tokens": 70.0}
        >>> [each.name for each in step_alarms(metrics, first={}, limits=StopConfig())]
        ['malformed attempts']
    """
    found = [
        malformed_alarm(
            int(metrics["n_malformed"] or 0),
            int(metrics["n_responses"] or 0),
            warn_at=limits.malformed * WARN_SHARE,
            stop_at=limits.malformed,
        ),
        rare_token_alarm(
            int(metrics["n_rare"] or 0),
            int(metrics["n_tokens"] or 0),
            warn_at=limits.rare_tokens * WARN_SHARE,
            stop_at=limits.rare_tokens,
        ),
        length_alarm(
            metrics.get("median_length"),
            at_start=first.get("median_length"),
            low=limits.length_low,
            high=limits.length_high,
        ),
        likelihood_alarm(metrics.get("right/logp_change")),
    ]
    return [alarm for alarm in found if alarm is not None]


def early_stop(accuracies: Sequence[float | None], *, limits: StopConfig) -> Alarm | None:
    """Return the alarm of a held-out pass@1 that keeps falling; None when it does not.

    Args:
        accuracies: pass@1 of the evaluations so far, oldest first; undefined ones are left out.
        limits: Where the rule fires.
    """
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    return accuracy_alarm(known, patience=limits.accuracy_patience, drop=limits.accuracy_drop)
