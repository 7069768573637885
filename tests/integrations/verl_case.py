"""The shared batch through verl's own functions: its registry, its driver's code, its actor's loss.

    found = verl_loop(tiny_model(), same_batch(), estimator="twiceshy_nsr")
    found.advantages, found.gradient

`compute_advantage_for_multi_trajectories` is what verl's trainer calls between a rollout and an
update, `ppo_loss` what its actor calls on each micro-batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from same_batch import Ours, SameBatch, gradient_of
from torch import Tensor

from twiceshy.integrations.verl.scoring import SCORES
from twiceshy.integrations.verl.scoring import Outcome as Outcome

REWARD = {
    1: SCORES[Outcome.SUCCESS],
    -1: SCORES[Outcome.FAILURE],
    0: SCORES[Outcome.BROKEN],
}


@cache
def core_algos() -> Any:
    """Return verl's core algorithms with this package's names registered."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from verl.trainer.ppo import core_algos as found

        from twiceshy.integrations.verl.plugin import register
    register()
    return found


def rewards_of(batch: SameBatch) -> Tensor:
    """Return the reward on each response's last token, (N, T)."""
    rewards = torch.zeros(batch.mask.shape)
    last = batch.mask.sum(dim=1) - 1
    by_row = torch.tensor([REWARD[int(label)] for label in batch.labels])
    rewards[torch.arange(len(last)), last] = by_row
    return rewards


def keys_of(batch: SameBatch) -> list[str]:
    """Return verl's key of each row, one output a session."""
    return [f"task{int(group)}_{row % 4}_0" for row, group in enumerate(batch.group)]


def verl_advantages(
    batch: SameBatch, *, estimator: str, options: dict[str, Any], keys: Sequence[str] | None = None
) -> Tensor:
    """Return the advantages that verl's driver computes, (N, T)."""
    core_algos()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from omegaconf import OmegaConf
        from tensordict import TensorDict
        from verl.protocol import DataProto
        from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

        rewards = rewards_of(batch)
        fields: Any = {
            "token_level_rewards": rewards,
            "token_level_scores": rewards,
            "response_mask": batch.mask.long(),
        }
        uid = [f"task{int(group)}" for group in batch.group]
        data = DataProto(
            batch=TensorDict(fields, batch_size=len(rewards)),
            non_tensor_batch={"uid": np.array(keys or uid, dtype=object)},
        )
        done = compute_advantage_for_multi_trajectories(
            data,
            batch_keys=list(keys or keys_of(batch)),
            adv_estimator=estimator,
            config=OmegaConf.create({"twiceshy": options}),
        )
    advantages: Any = done.batch["advantages"]
    return advantages


def actor_config(*, loss_mode: str = "vanilla") -> Any:
    """Return an actor's configuration with verl's defaults."""
    core_algos()
    from verl.workers.config import ActorConfig
    from verl.workers.config.actor import PolicyLossConfig

    return ActorConfig(
        strategy="fsdp",
        rollout_n=4,
        ppo_micro_batch_size_per_gpu=1,
        policy_loss=PolicyLossConfig(loss_mode=loss_mode),
    )


def verl_loop(
    model: Any,
    batch: SameBatch,
    *,
    estimator: str,
    options: dict[str, Any] | None = None,
    loss_mode: str = "vanilla",
    micro_rows: int = 16,
) -> Ours:
    """Return advantages, and the gradient that verl's actor accumulates over micro-batches."""
    advantages = verl_advantages(batch, estimator=estimator, options=options or {})
    config = actor_config(loss_mode=loss_mode)
    model.zero_grad()
    for rows in torch.arange(len(batch.labels)).split(micro_rows):
        loss = _actor_loss(model, batch, rows, advantages=advantages, config=config)
        loss.backward()
    return Ours(advantages[:, 0].clone(), gradient_of(model))


def _actor_loss(
    model: Any, batch: SameBatch, rows: Tensor, *, advantages: Tensor, config: Any
) -> Tensor:
    from tensordict import NonTensorData, TensorDict
    from verl.workers.utils.losses import ppo_loss

    tokens = torch.cat([batch.prompts, batch.responses], dim=1)[rows]
    logits = model(input_ids=tokens).logits[:, :-1]
    logp = logits.log_softmax(2).gather(2, tokens[:, 1:, None])[..., 0]
    n_prompt = batch.prompts.shape[1]
    lengths = (batch.mask[rows].sum(dim=1) + n_prompt).tolist()
    # verl's engines hand over the log-prob of each token's successor, all sequences end to end
    ends = [
        torch.cat([row[: n - 1], row.new_zeros(1)]) for row, n in zip(logp, lengths, strict=True)
    ]
    data = TensorDict(
        {
            "prompts": batch.prompts[rows],
            "responses": batch.responses[rows],
            "attention_mask": torch.cat(
                [torch.ones_like(batch.prompts[rows]), batch.mask[rows].long()], dim=1
            ),
            "response_mask": batch.mask[rows].long(),
            "old_log_probs": batch.old_logp[rows],
            "advantages": advantages[rows],
        },
        batch_size=len(rows),
    )
    shared = {"dp_size": 1, "batch_num_tokens": int(batch.mask.sum()), "global_batch_size": 16}
    for name, value in shared.items():
        data[name] = NonTensorData(value)
    loss, _ = ppo_loss(config, {"log_probs": torch.cat(ends)}, data)
    return loss
