"""TRL's GRPOTrainer with the plug in it."""

from __future__ import annotations

from trl import GRPOTrainer

from twiceshy.integrations.trl.mixin import OutcomeMixin


class OutcomeGRPOTrainer(OutcomeMixin, GRPOTrainer):
    """`trl.GRPOTrainer` that learns from verified outcomes.

    Everything is TRL's but the advantages, and what `OutcomeConfig` asks for beside them. To plug
    into a subclass of GRPOTrainer of your own, put `OutcomeMixin` in front of it in the same way.
    """
