"""The base policy: supervised training on fresh demonstrations with a share of slips."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import torch

from twiceshy.errors import BadInput
from twiceshy.training.policy import Policy, PolicyConfig, TinyPolicy, as_tensor
from twiceshy.training.streams import generator
from twiceshy.training.tasks import (
    Chain,
    Change,
    Countdown,
    Demonstrations,
    Task,
    response_mask,
)


class SftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The recipe: AdamW, warm-up, cosine, gradient clipping, fresh data at every step.

    Attributes:
        n_steps: Optimiser updates.
        batch: Demonstrations a step.
        peak_rate: Learning rate after the warm-up.
        n_warmup: Steps of linear warm-up.
        final_share: Learning rate at the end as a share of the peak.
        weight_decay: AdamW's.
        max_norm: Gradient norm above which gradients are scaled down.
    """

    n_steps: int = 1500
    batch: int = 512
    peak_rate: float = 2e-3
    n_warmup: int = 50
    final_share: float = 0.05
    weight_decay: float = 0.01
    max_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.n_steps < 1 or self.batch < 1 or not self.peak_rate > 0 or self.n_warmup < 0:
            raise BadInput("positive n_steps, batch and peak_rate, n_warmup of 0 or more")


def sft_recipe(task: Task) -> SftConfig:
    """Return the recipe that gives a task's base policy its usual strength.

    Example:
        >>> sft_recipe(Countdown()).n_warmup
        100
    """
    if isinstance(task, Countdown):
        return SftConfig(n_warmup=100)
    if isinstance(task, Change):
        return SftConfig(n_steps=900 if task.n_coins > 4 else 700)
    if isinstance(task, Chain):
        return SftConfig(n_steps=500, batch=256)
    return SftConfig()


class Source(Protocol):
    """Where demonstrations come from; every `Task` is one."""

    @property
    def end_token(self) -> int | None:
        """The token that ends a response; None when all responses have the full length."""
        ...

    def demonstrations(self, n: int, *, rng: np.random.Generator) -> Demonstrations:
        """Return n prompts with responses to imitate."""
        ...


class SftStep(NamedTuple):
    """One update."""

    step: int
    loss: float
    """Mean −log-probability of the demonstrated tokens; nats."""
    rate: float
    """Learning rate."""


def untrained(task: Task, *, config: PolicyConfig, seed: int) -> TinyPolicy:
    """Return a policy that fits a task, with initial weights."""
    return TinyPolicy(
        config,
        n_tokens=len(task.symbols),
        max_length=task.prompt_length + task.response_length,
        seed=seed,
    )


def learning_rate(step: int, config: SftConfig) -> float:
    """Return the learning rate of a step: linear warm-up, then cosine to its final share.

    Example:
        >>> config = SftConfig(n_steps=100, n_warmup=10, peak_rate=1.0)
        >>> [round(learning_rate(step, config), 3) for step in (4, 10, 100)]
        [0.5, 1.0, 0.05]
    """
    if step < config.n_warmup:
        return config.peak_rate * (step + 1) / config.n_warmup
    done = (step - config.n_warmup) / max(1, config.n_steps - config.n_warmup)
    share = config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * done))
    return config.peak_rate * share


def fine_tune(
    policy: Policy,
    task: Source,
    *,
    config: SftConfig,
    seed: int,
    progress: Callable[[SftStep], None] | None = None,
) -> list[SftStep]:
    """Train a policy in place to imitate demonstrations; return every step's loss.

    The loss is the mean over response tokens; prompts are not predicted.
    """
    optimiser = torch.optim.AdamW(
        policy.parameters(),
        lr=config.peak_rate,
        betas=(0.9, 0.98),
        weight_decay=config.weight_decay,
    )
    history: list[SftStep] = []
    for step in range(config.n_steps):
        rate = learning_rate(step, config)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = _loss(policy, task, n=config.batch, rng=generator(seed, "sft", step))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_norm)
        optimiser.step()
        history.append(SftStep(step, float(loss.detach()), rate))
        if progress is not None:
            progress(history[-1])
    return history


def _loss(policy: Policy, task: Source, *, n: int, rng: np.random.Generator) -> torch.Tensor:
    shown = task.demonstrations(n, rng=rng)
    mask = as_tensor(response_mask(shown.responses, task.end_token))
    logp = policy.logp(
        as_tensor(shown.prompts), as_tensor(shown.responses), prompt_of=torch.arange(n)
    )
    return -(logp * mask).sum() / mask.sum()
