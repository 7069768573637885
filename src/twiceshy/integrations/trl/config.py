"""What the plug is told: how rewards become labels, what is maximised, and what is gated."""

from __future__ import annotations

from typing import Literal

import msgspec

from twiceshy.errors import BadInput
from twiceshy.objectives.labels import TruncatedAs
from twiceshy.training.config import ObjectiveConfig
from twiceshy.training.gates import Gate, NoGate


class LabelRule(msgspec.Struct, frozen=True, kw_only=True):
    """How the value of one reward function becomes a verified label.

    TRL hands on numbers, and a number does not say whether 0 is a failure, "no opinion" or a
    middling score. So this is said, and nothing is guessed from the rewards themselves.

    Attributes:
        reward: Name of the reward function that is the verdict. Others keep being logged, and
            move nothing.
        success: Values of at least this are verified successes, +1.
        failure: Values of at most this are verified failures, −1. Below `success`.
        between: What a value between the two is: an error, or an attempt that abstains.
        truncated_as: What a completion that never ended counts as: nothing, or what its reward
            says.

    A reward of None (TRL's way to say "not judged") always abstains.
    """

    reward: str
    success: float
    failure: float
    between: Literal["refuse", "abstain"] = "refuse"
    truncated_as: TruncatedAs = "abstain"

    def __post_init__(self) -> None:
        if not self.failure < self.success:
            raise BadInput(
                "failure below success",
                got=f"failure {self.failure:g}, success {self.success:g}",
                where="labels",
                fix="Give the reward of a verified failure, and that of a verified success.",
            )


class OutcomeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How an `OutcomeGRPOTrainer` learns.

    Attributes:
        labels: From rewards to labels. There is no default.
        objective: Advantages, all-wrong groups and token credit, as in `twiceshy train`. Its loss,
            its guards and its denominator are used with loss "ours", and refused with "trl".
        loss: "trl": `args.loss_type`, on our advantages. "ours": the objective's own loss in its
            place; the trainer's KL term, entropy bonus and router loss stay.
        rows_counted: Whose tokens the "dapo", "cispo" and "vespo" losses (and ours with the
            denominator "tokens") are divided by: all rows', as TRL does, or those of the rows with
            an advantage, so that the other sign dilutes nothing.
        gate: Which prompts are visited and which groups are learned from.
        ledger: File of a `SolveRateLedger` that the gate starts from and adds to at every save and
            at the end.
        on_trap: What the check at the start does with settings under which failures silently teach
            nothing: refuse to start, or log them.
    """

    labels: LabelRule
    objective: ObjectiveConfig = ObjectiveConfig()
    loss: Literal["trl", "ours"] = "trl"
    rows_counted: Literal["all", "with_advantage"] = "all"
    gate: Gate = NoGate()
    ledger: str | None = None
    on_trap: Literal["refuse", "warn"] = "refuse"

    def __post_init__(self) -> None:
        if self.ledger is not None and isinstance(self.gate, NoGate):
            raise BadInput("a gate that uses the ledger", got="none", where="outcomes.ledger")
        plain, own = ObjectiveConfig(), self.objective
        if self.loss == "ours" and own.loss in ("npo", "kto"):
            raise BadInput(
                "a loss without a reference policy of its own",
                got=own.loss,
                where="outcomes.objective.loss",
                fix="Take unlikelihood here, or run npo and kto in `twiceshy train`.",
            )
        names = ("loss", "loss_options", "guards", "denominator")
        changed = [name for name in names if getattr(own, name) != getattr(plain, name)]
        if self.loss == "trl" and changed:
            raise BadInput(
                'loss = "ours" with these, which the loss of the trainer does not look at',
                got=", ".join(changed),
                where="outcomes.objective",
                fix='Set loss="ours", or leave them out.',
            )
