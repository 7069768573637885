"""TRL's GRPOTrainer, learning from verified outcomes with any advantage of this package.

    from twiceshy.integrations.trl import LabelRule, OutcomeConfig, OutcomeGRPOTrainer

    trainer = OutcomeGRPOTrainer(
        model=model, reward_funcs=[correct], args=GRPOConfig(...), train_dataset=dataset,
        outcomes=OutcomeConfig(
            labels=LabelRule(reward="correct", success=1, failure=0),
            objective=ObjectiveConfig(name="nsr"),
        ),
    )

`CollapseWatch`, a callback for TRL's self-distillation trainers, sees a student lose its doubt.

Importing this checks TRL's version and loads nothing heavy; names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.integrations.trl.versions import NEWEST as NEWEST
from twiceshy.integrations.trl.versions import OLDEST as OLDEST
from twiceshy.integrations.trl.versions import check_version
from twiceshy.lazy import lazy_names

if TYPE_CHECKING:
    from twiceshy.integrations.trl.callback import StepMetrics as StepMetrics
    from twiceshy.integrations.trl.config import LabelRule as LabelRule
    from twiceshy.integrations.trl.config import ObjectiveConfig as ObjectiveConfig
    from twiceshy.integrations.trl.config import OutcomeConfig as OutcomeConfig
    from twiceshy.integrations.trl.mixin import OutcomeMixin as OutcomeMixin
    from twiceshy.integrations.trl.startup import Finding as Finding
    from twiceshy.integrations.trl.startup import check_arguments as check_arguments
    from twiceshy.integrations.trl.trainer import OutcomeGRPOTrainer as OutcomeGRPOTrainer
    from twiceshy.integrations.trl.watching import CollapseWatch as CollapseWatch

_HOME = {
    "CollapseWatch": "watching",
    "StepMetrics": "callback",
    "LabelRule": "config",
    "ObjectiveConfig": "config",
    "OutcomeConfig": "config",
    "OutcomeMixin": "mixin",
    "Finding": "startup",
    "check_arguments": "startup",
    "OutcomeGRPOTrainer": "trainer",
}

__all__ = sorted(["NEWEST", "OLDEST", "check_version", *_HOME])  # pyrefly: ignore

__getattr__, __dir__ = lazy_names(__name__, _HOME, needs_torch=True)

check_version()
