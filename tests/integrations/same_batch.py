"""One batch that every trainer must treat alike, and what our own loop makes of it.

    batch, model = same_batch(), tiny_model()
    ours = our_loop(model, batch, objective="w_reinforce", options={"lambda_pos": 0.1})
    ours.advantages, ours.gradient      # (N,), and d loss / d weights as one vector

Four groups of four: mixed, all wrong, all right, and one with an attempt that abstains. Responses
are ragged, and `old_logp` lies off the model's own log-probabilities, so that ratios are clipped.
The loss is PPO's with bounds of 0.2 and a dual clip of 3, a mean over the batch's tokens.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from twiceshy.objectives import denominator_of, ppo_clip
from twiceshy.objectives.registry import bind_objective
from twiceshy.training.hf import HfPolicy
from twiceshy.training.rollouts import Rollouts
from twiceshy.training.tasks import Verdicts
from twiceshy.training.update import StepObjective, UpdateConfig, step_advantages, update

N_TOKENS, PROMPT_LENGTH, RESPONSE_LENGTH, GROUP_SIZE = 23, 5, 7, 4
CLIP, DUAL_CLIP = 0.2, 3.0
LABELS = (1, -1, -1, 1, -1, -1, -1, -1, 1, 1, 1, 1, 0, 1, -1, -1)
LENGTHS = (7, 3, 5, 1, 2, 7, 4, 6, 5, 7, 2, 3, 4, 6, 7, 1)


class SameBatch(NamedTuple):
    """N = 16 attempts at P = 4 tasks, groups contiguous."""

    prompts: Tensor
    """Token ids, one row an attempt, no padding, (N, 5)."""
    responses: Tensor
    """Token ids, (N, 7); 0 after the end."""
    mask: Tensor
    """Response tokens, bool (N, 7)."""
    labels: Tensor
    """+1, −1, 0 = abstain, int8 (N,)."""
    group: Tensor
    """int64 (N,)."""
    old_logp: Tensor
    """(N, 7), nats; 0 off the mask."""

    def of_labels(self, label: int) -> SameBatch:
        """Return the same attempts, all with one outcome."""
        return self._replace(labels=torch.full_like(self.labels, label))


class Ours(NamedTuple):
    """What our loop makes of a batch."""

    advantages: Tensor
    """(N,)."""
    gradient: Tensor
    """d loss / d weights, all of them as one vector."""


def tiny_model() -> Any:
    """Return a Llama of 6,000 weights, the same each time, without a file or a network."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    config = LlamaConfig(
        vocab_size=N_TOKENS, max_position_embeddings=32, initializer_range=0.3, **sizes, **heads
    )
    config.pad_token_id = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


def same_batch() -> SameBatch:
    """Return the batch."""
    generator = torch.Generator().manual_seed(1)

    def tokens(*shape: int) -> Tensor:
        return torch.randint(1, N_TOKENS, shape, generator=generator)

    group = torch.arange(len(LABELS)) // GROUP_SIZE
    prompts = tokens(len(LABELS) // GROUP_SIZE, PROMPT_LENGTH)[group]
    mask = torch.arange(RESPONSE_LENGTH) < torch.tensor(LENGTHS)[:, None]
    responses = tokens(len(LABELS), RESPONSE_LENGTH) * mask
    noise = 0.4 * torch.randn(mask.shape, generator=generator)
    with torch.no_grad():
        logp = response_logp(tiny_model(), prompts, responses)
    old = (logp + noise).clamp(max=-1e-3) * mask
    labels = torch.tensor(LABELS, dtype=torch.int8)
    return SameBatch(prompts, responses, mask, labels, group, old)


def response_logp(model: Any, prompts: Tensor, responses: Tensor) -> Tensor:
    """Return the log-probability of each response token, plainly computed, (N, T)."""
    tokens = torch.cat([prompts, responses], dim=1)
    logits = model(input_ids=tokens).logits[:, prompts.shape[1] - 1 : -1]
    return logits.log_softmax(2).gather(2, responses[..., None])[..., 0]


def gradient_of(model: Any) -> Tensor:
    """Return the gradients of all weights as one vector."""
    return torch.cat([weight.grad.flatten() for weight in model.parameters()]).clone()


def our_loop(
    model: Any, batch: SameBatch, *, objective: str, options: dict[str, Any] | None = None
) -> Ours:
    """Return what `training.update` makes of the batch; the weights stay as they are."""
    advantages = bind_objective(objective, group_size=GROUP_SIZE, options=options)
    step = StepObjective(
        name=objective,
        advantages=advantages,
        loss=partial(ppo_clip, clip_low=CLIP, clip_high=CLIP, dual_clip=DUAL_CLIP),
        denominator=denominator_of,
    )
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    rollouts, still = _rollouts(batch), torch.optim.SGD(model.parameters(), lr=0.0)
    config = UpdateConfig(max_norm=1e9)
    update(HfPolicy(model), still, rollouts, objective=step, config=config, seed=0, step=0)
    return Ours(step_advantages(step, rollouts, step=0), gradient_of(model))


def _rollouts(batch: SameBatch) -> Rollouts:
    zeros = np.zeros(len(batch.labels))
    verdicts = Verdicts(
        labels=batch.labels.numpy(),
        faults=zeros.astype(np.int8),
        answers=zeros.astype(np.int64),
        skipped=zeros.astype(np.bool_),
    )
    return Rollouts(
        prompts=batch.prompts[::GROUP_SIZE].numpy(),
        group=batch.group,
        responses=batch.responses,
        mask=batch.mask,
        logp=batch.old_logp,
        entropy=torch.zeros_like(batch.old_logp),
        labels=batch.labels,
        verdicts=verdicts,
    )
