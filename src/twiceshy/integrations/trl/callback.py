"""A callback that keeps our metrics as a file of their own, one JSON object a log line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from transformers import TrainerCallback

from twiceshy.evidence.report import Alarm
from twiceshy.integrations.trl.measuring import PREFIX
from twiceshy.objectives.abort import likelihood_alarm, rare_token_alarm
from twiceshy.training.loop import StepRecord


class StepMetrics(TrainerCallback):
    """Writes what `OutcomeMixin` measures to a file, in the form of `twiceshy train`'s.

    A line has `step`, `metrics` (an undefined one is null) and `alarms`: failures that make the
    successes beside them less likely, and tokens that are driven out.

    Args:
        path: The file; lines are added to it. Its folder is made.
        stop: Whether an alarm of severity "alarm" ends the training.

    Example:
        trainer = OutcomeGRPOTrainer(..., callbacks=[StepMetrics("run/metrics.jsonl")])
    """

    def __init__(self, path: str | Path, *, stop: bool = False) -> None:
        self.path, self.stop = Path(path), stop

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Write a line, where there is something to write."""
        del args
        found = {
            name.removeprefix(PREFIX): value
            for name, value in (logs or {}).items()
            if name.startswith(PREFIX)
        }
        if not found:
            return
        alarms = _alarms(found)
        if self.stop and any(alarm.severity == "alarm" for alarm in alarms):
            control.should_training_stop = True
        if state.is_world_process_zero:
            record = StepRecord(step=state.global_step, metrics=found, alarms=tuple(alarms))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(record) + b"\n")


def _alarms(metrics: dict[str, float | None]) -> list[Alarm]:
    strata = ("right", "wrong", "abstained")
    n_tokens = sum(metrics.get(f"{name}/n_tokens") or 0.0 for name in strata)
    n_rare = sum(
        (metrics.get(f"{name}/rare") or 0.0) * (metrics.get(f"{name}/n_tokens") or 0.0)
        for name in strata
    )
    found = [
        likelihood_alarm(metrics.get("right/logp_change")),
        rare_token_alarm(round(n_rare), round(n_tokens)),
    ]
    return [alarm for alarm in found if alarm is not None]
