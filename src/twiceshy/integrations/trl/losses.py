"""Our losses in TRL's place, with its denominators: the parts that are not coefficient × ratio."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from twiceshy.objectives.denominator import Denominator, DenominatorKind
from twiceshy.objectives.loss_types import Loss
from twiceshy.training.update import StepObjective, per_drawn_token


def own_loss(
    trainer: Any, inputs: dict[str, Any], *, logp: Tensor, labels: Tensor, objective: StepObjective
) -> Loss:
    """Return the objective's loss of a micro-batch, guards included.

    Args:
        trainer: The GRPOTrainer.
        inputs: TRL's micro-batch, with our advantages.
        logp: Log-probs now, (n, T).
        labels: +1, −1 or 0, (n,).
        objective: Its loss, denominator and guards are used.
    """
    mask = inputs["completion_mask"]
    mask = (mask * inputs["tool_mask"] if "tool_mask" in inputs else mask).bool()
    old = inputs.get("old_per_token_logps")
    old = logp.detach() if old is None else old
    advantages = inputs["advantages"]
    if "importance_sampling_ratio" in inputs:  # the engine that sampled is not quite the policy
        advantages = advantages.reshape(len(mask), -1) * inputs["importance_sampling_ratio"]
    denominator = _denominator(trainer, inputs, mask=mask, objective=objective)
    guards = objective.guards
    if guards is not None:
        advantages = guards.kept(advantages, logp=logp, old_logp=old, mask=mask)
    loss = objective.loss(
        logp, old_logp=old, advantages=advantages, mask=mask, denominator=denominator
    )
    if guards is None:
        return loss
    return guards.held(
        loss, logp=logp, old_logp=old, labels=labels, mask=mask, denominator=denominator
    )


def _denominator(
    trainer: Any, inputs: dict[str, Any], *, mask: Tensor, objective: StepObjective
) -> Denominator:
    """Return the share of one process in the denominator of an update.

    Over the micro-batches of an update losses add up, over processes they are averaged. "budget" is
    rows times `max_completion_length` (TRL's dr_grpo), "sequences" counts rows (its grpo), "tokens"
    takes `num_items_in_batch` (its dapo), which spans the generation batch.
    """
    is_train = trainer.model.training
    steps = trainer.current_gradient_accumulation_steps if is_train else 1
    if objective.denominator is per_drawn_token:
        return Denominator("constant", float(len(mask) * trainer.max_completion_length * steps))
    kind: DenominatorKind = objective.denominator(mask[:, :1] | True).kind
    if kind == "sequences":
        return Denominator(kind, float(len(mask) * steps))
    n = float(inputs["num_items_in_batch"]) / trainer.accelerator.num_processes
    if is_train:
        n *= steps / trainer.args.steps_per_generation
    return Denominator(kind, max(n, 1.0))
