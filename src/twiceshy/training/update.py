"""From verified rollouts to new weights: minibatches, one denominator each, clipped gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.denominator import Denominator, denominator_of
from twiceshy.objectives.loss_types import Loss
from twiceshy.objectives.metrics import merged, sign_sums, summarised
from twiceshy.training.guarding import GuardConfig
from twiceshy.training.policy import Policy, as_tensor
from twiceshy.training.rollouts import Rollouts
from twiceshy.training.streams import generator

MAX_CHECKED = 256
"""Right rows whose likelihood is looked at again after an update."""

AdvantageFunction = Callable[..., Tensor]
"""(labels (N,), group (N,), *, what it takes) → advantages (N,), or (N, T) by token."""
LossFunction = Callable[..., Loss]
"""(logp (N, T), *, old_logp, advantages (N,) or (N, T), mask, denominator) → loss of some rows."""
CreditFunction = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logp (N, T), entropy (N, T), mask (N, T)) → weights (N, T)."""


_REFERENCE_ROWS = 1024
"""Rows that go through the reference policy at a time."""


class Reference(NamedTuple):
    """What a loss against a reference policy reads."""

    ref_logp: Tensor
    """Log-probabilities of the step's responses under the reference, (N, T), nats."""
    kl: float
    """KL of the sampling policy from the reference, estimated from those, nats a response."""


def per_drawn_token(mask: Tensor) -> Denominator:
    """Return the number of rollouts times the budget: constant, whatever was drawn or is right.

    Example:
        >>> per_drawn_token(torch.ones(4, 7, dtype=torch.bool)).value
        28.0
    """
    return denominator_of(mask, kind="constant", constant=float(mask.numel()))


@dataclass(frozen=True, slots=True, kw_only=True)
class StepObjective:
    """What a step maximises, as functions.

    Attributes:
        name: Part of a run's identity: two objectives of one name are taken for the same.
        advantages: From the labels of *all* rollouts of the step.
        loss: From log-probabilities; `old_logp` are those the rollouts were drawn with.
        denominator: From the mask of a whole minibatch, rows without advantage included.
        takes: What `advantages` is called with beside labels and group: any of "logp", "entropy"
            and "mask" (N, T) of the rollouts, and "step".
        credit: Weights that spread a row's advantage over its tokens; None: all tokens alike.
        guards: What is kept out of the loss, and added to it; None: nothing.
        needs_reference: Whether `loss` also takes `ref_logp` (N, T), log-probabilities under the
            policy the run began with, and `kl`.
        reads_every_row: Whether a row of advantage 0 can have a gradient (a KL term, say). If not,
            such rows are left out of the computation; nothing else changes.
        needs_luck: Whether `advantages` takes `p_lucky`, which the curriculum must then know.
    """

    name: str
    advantages: AdvantageFunction
    loss: LossFunction
    denominator: Callable[[Tensor], Denominator] = per_drawn_token
    takes: frozenset[str] = frozenset()
    credit: CreditFunction | None = None
    guards: GuardConfig | None = None
    needs_reference: bool = False
    reads_every_row: bool = False
    needs_luck: bool = False


class UpdateConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a step's rollouts become updates.

    Attributes:
        n_minibatches: Updates an epoch; 1 with one epoch is strictly on-policy. Groups stay whole.
        n_epochs: Passes over the step's rollouts.
        micro_rows: Rows in memory at once; None: a whole minibatch. It changes no result beyond
            rounding.
        max_norm: Gradient norm above which gradients are scaled down.
    """

    n_minibatches: int = 1
    n_epochs: int = 1
    micro_rows: int | None = None
    max_norm: float = 1.0

    def __post_init__(self) -> None:
        if min(self.n_minibatches, self.n_epochs, self.micro_rows or 1) < 1 or self.max_norm <= 0:
            raise BadInput("n_minibatches, n_epochs, micro_rows and max_norm above 0")


class Updated(NamedTuple):
    """What the updates of one step did."""

    n_updates: int
    """Optimiser steps; a minibatch without any advantage makes none."""
    n_rows: int
    """Rows that went through the network, epochs counted."""
    loss: float | None
    """Mean over the updates; None without one."""
    gradient_norm: float | None
    """Mean over the updates, before scaling down; None without one."""
    loss_metrics: dict[str, float | None]
    """The loss's own metrics over all updates, by the sign of the advantage."""


def update(
    policy: Policy,
    optimiser: torch.optim.Optimizer,
    rollouts: Rollouts,
    *,
    objective: StepObjective,
    config: UpdateConfig,
    seed: int,
    step: int,
    reference: Policy | None = None,
    p_lucky: Tensor | None = None,
) -> Updated:
    """Update the policy in place from one step's rollouts.

    Args:
        policy: To be updated.
        optimiser: Of its parameters.
        rollouts: What the step drew.
        objective: What is maximised.
        config: Minibatches and clipping.
        seed: Seed of the run.
        step: Step of the run.
        reference: The policy the run began with, for objectives that need it.
        p_lucky: Chance that a success of each row is undeserved, (N,), for objectives that need it.

    Raises:
        BadInput: When there are fewer groups than minibatches, luck is needed and not given, or a
            loss is not finite.
    """
    advantages = step_advantages(objective, rollouts, step=step, p_lucky=p_lucky)
    referred = _referred(objective, rollouts, reference)
    losses: list[float] = []
    norms: list[float] = []
    metrics: list[dict[str, Tensor]] = []
    n_rows = 0
    for rows in _minibatches(rollouts, config=config, seed=seed, step=step):
        live = rows if objective.reads_every_row else rows[_is_live(advantages[rows])]
        if len(live) == 0:
            continue
        denominator = objective.denominator(rollouts.mask[rows])
        optimiser.zero_grad()
        value = 0.0
        for part in live.split(config.micro_rows or len(live)):
            loss = _backward(policy, rollouts, part, advantages, objective, denominator, referred)
            value += float(loss.value.detach())
            metrics.append({name: sums.detach() for name, sums in loss.metrics.items()})
        norms.append(_clipped_step(policy, optimiser, max_norm=config.max_norm, value=value))
        losses.append(value)
        n_rows += len(live)
    n = len(losses)
    return Updated(
        n,
        n_rows,
        sum(losses) / n if n else None,
        sum(norms) / n if n else None,
        summarised(merged(metrics)),
    )


def step_advantages(
    objective: StepObjective, rollouts: Rollouts, *, step: int, p_lucky: Tensor | None = None
) -> Tensor:
    """Return the advantages of all rows of a step, (N,), or (N, T) by token."""
    offered: dict[str, Tensor | int] = {
        "logp": rollouts.logp,
        "entropy": rollouts.entropy,
        "mask": rollouts.mask,
        "step": step,
    }
    taken = {name: value for name, value in offered.items() if name in objective.takes}
    if objective.needs_luck:
        if p_lucky is None:
            raise BadInput("p_lucky for every row", where="update")
        taken["p_lucky"] = p_lucky
    return objective.advantages(rollouts.labels, rollouts.group, **taken)


def _is_live(advantages: Tensor) -> Tensor:
    """Return which rows have an advantage somewhere, bool (N,)."""
    return (advantages != 0).reshape(len(advantages), -1).any(dim=1)


def _referred(
    objective: StepObjective, rollouts: Rollouts, reference: Policy | None
) -> Reference | None:
    if not objective.needs_reference:
        return None
    if reference is None:
        raise BadInput("a reference policy for this loss", got="none", where="update")
    prompts = as_tensor(rollouts.prompts)
    with torch.no_grad():
        parts = [
            reference.logp(prompts, rollouts.responses[rows], prompt_of=rollouts.group[rows])
            for rows in torch.arange(len(rollouts.group)).split(_REFERENCE_ROWS)
        ]
    ref_logp = torch.cat(parts)
    gap = ((rollouts.logp - ref_logp) * rollouts.mask).sum(dim=1).mean()
    return Reference(ref_logp, max(0.0, float(gap)))


@torch.no_grad()
def right_change(policy: Policy, rollouts: Rollouts) -> dict[str, float | None]:
    """Return how the likelihood of a step's right responses changed since they were drawn.

    "right/logp_change" is the mean over their tokens, nats; negative: successes got less likely,
    the alarm of lazy likelihood displacement (see `metrics.sign_sums`). It is computed anew from
    the labels, not from the rows that were learned from, so it is there under every objective, also
    where right rows have no advantage. At most `MAX_CHECKED` right rows are read, evenly spread
    over the step's; "right/n_rows" says how many were.

    Args:
        policy: The policy after the update.
        rollouts: The step's rollouts, with their labels as verified.
    """
    rows = (rollouts.labels > 0).nonzero().flatten()
    if len(rows) == 0:
        return {"right/logp_change": None, "right/n_rows": 0.0}
    if len(rows) > MAX_CHECKED:
        rows = rows[torch.linspace(0, len(rows) - 1, MAX_CHECKED).round().long()]
    sums = sign_sums(
        _logp(policy, rollouts, rows),
        old_logp=rollouts.logp[rows],
        labels=rollouts.labels[rows],
        mask=rollouts.mask[rows],
    )
    found = summarised(sums)
    return {name: found[name] for name in ("right/logp_change", "right/n_rows")}


def _logp(policy: Policy, rollouts: Rollouts, rows: Tensor) -> Tensor:
    used, prompt_of = rollouts.group[rows].unique(return_inverse=True)
    prompts = as_tensor(rollouts.prompts[used.numpy()])
    return policy.logp(prompts, rollouts.responses[rows], prompt_of=prompt_of)


def _minibatches(
    rollouts: Rollouts, *, config: UpdateConfig, seed: int, step: int
) -> Iterator[Tensor]:
    """Yield the rows of each minibatch; groups are dealt out whole, anew in each epoch."""
    n_groups = len(rollouts.prompts)
    if config.n_minibatches > n_groups:
        raise BadInput(
            f"at most {n_groups} minibatches, one a group", got=str(config.n_minibatches)
        )
    rows = torch.arange(len(rollouts.labels)).view(n_groups, -1)
    for epoch in range(config.n_epochs):
        if config.n_minibatches == 1:
            yield rows.flatten()
            continue
        order = as_tensor(generator(seed, "minibatches", step, epoch).permutation(n_groups))
        for part in order.tensor_split(config.n_minibatches):
            yield rows[part].flatten()


def _backward(
    policy: Policy,
    rollouts: Rollouts,
    rows: Tensor,
    advantages: Tensor,
    objective: StepObjective,
    denominator: Denominator,
    referred: Reference | None,
) -> Loss:
    """Add the gradient of some rows of a minibatch; return their loss."""
    logp = _logp(policy, rollouts, rows)
    mask, drawn = rollouts.mask[rows], rollouts.logp[rows]
    weighted = advantages[rows]
    if objective.credit is not None:
        by_row = weighted.reshape(len(rows), -1)
        weighted = by_row * objective.credit(drawn, rollouts.entropy[rows], mask)
    guards = objective.guards
    if guards is not None:
        weighted = guards.kept(weighted, logp=logp, old_logp=drawn, mask=mask)
    against: dict[str, Tensor | float] = {}
    if referred is not None:
        against = {"ref_logp": referred.ref_logp[rows], "kl": referred.kl}
    loss = objective.loss(
        logp, old_logp=drawn, advantages=weighted, mask=mask, denominator=denominator, **against
    )
    if guards is not None:
        labels = rollouts.labels[rows]
        loss = guards.held(
            loss, logp=logp, old_logp=drawn, labels=labels, mask=mask, denominator=denominator
        )
    loss.value.backward()
    return loss


def _clipped_step(
    policy: Policy, optimiser: torch.optim.Optimizer, *, max_norm: float, value: float
) -> float:
    norm = float(torch.nn.utils.clip_grad_norm_(policy.parameters(), max_norm))
    if not (torch.isfinite(torch.tensor([norm, value]))).all():
        raise BadInput(
            "a finite loss and gradient",
            got=f"loss {value:g}, gradient norm {norm:g}",
            where="update",
            fix="Lower the learning rate, or use a loss with a bounded ratio.",
        )
    optimiser.step()
    return norm
