"""Guards round a loss: drop what drifted, spare what is gone, hold what is right.

The two masks say what to keep; multiply advantages by them, so that the denominator, which was
fixed for the whole batch, stays as it is:

    keep = drift_mask(logp, old_logp=old, advantages=advantages, mask=mask)
    loss = ppo_clip(logp, advantages=advantages * keep, ...)
    loss = added(loss, llds(logp, ...), name="llds")
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import (
    checked_advantages,
    checked_logp,
    checked_mask,
    is_traced,
    require_between,
    require_choice,
    require_shape,
)
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.labels import verified_labels
from twiceshy.objectives.loss_types import Loss, assemble
from twiceshy.objectives.terms import Terms

Gate = Literal["action", "response", "token"]


def drift_mask(
    logp: Tensor,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    threshold: float = 0.5,
) -> Tensor:
    """Return which sequences to keep: all but failures that the policy has moved away from.

    dropped: advantage < 0 and mean over tokens of (old_logp − logp) > threshold

    Source: DeepSeek-V3.2 (2512.02556), off-policy sequence masking; 0.5 is the value TRL suggests.

    Args:
        logp: Log-probs now, (N, T), nats.
        old_logp: Log-probs under the policy that sampled, (N, T).
        advantages: One a sequence, (N,).
        mask: Response tokens, bool (N, T).
        threshold: In nats a token, at least 0.

    Returns:
        bool (N,).

    Example:
        >>> drift_mask(torch.tensor([[-3.0], [-3.0]]), old_logp=torch.tensor([[-1.0], [-1.0]]),
        ...            advantages=torch.tensor([1.0, -1.0]),
        ...            mask=torch.tensor([[True], [True]])).tolist()
        [True, False]
    """
    require_between(threshold, low=0, high=1e3, where="threshold")
    if not is_traced(advantages, mask):
        require_shape(advantages, like=checked_mask(mask)[:, 0], where="advantages")
    now = checked_logp(logp, mask=mask).detach()
    then = checked_logp(old_logp, mask=mask, where="old_logp").detach()
    drift = (then - now).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    return ~((advantages < 0) & (drift > threshold))


def floor_mask(
    logp: Tensor, *, advantages: Tensor, mask: Tensor, floor: float = math.log(1e-4)
) -> Tensor:
    """Return which tokens to keep: all but failures' tokens that are next to impossible already.

    Source: ours, against repeated penalties on vanishing tokens (TOPR, 2503.14286, on log-probs
    that run to −∞ under naive negatives).

    Args:
        logp: Log-probs now, (N, T), nats.
        advantages: (N,) or (N, T).
        mask: Response tokens, bool (N, T).
        floor: Log-probability, at most 0, below which a failure's token is left alone.

    Returns:
        bool (N, T).

    Example:
        >>> floor_mask(torch.tensor([[-1.0, -12.0]]), advantages=torch.tensor([-1.0]),
        ...            mask=torch.tensor([[True, True]])).tolist()
        [[True, False]]
    """
    require_between(floor, low=-1e3, high=0, where="floor")
    now = checked_logp(logp, mask=checked_mask(mask)).detach()
    return mask & ~((checked_advantages(advantages, mask=mask) < 0) & (now < floor))


def sampler_weights(
    old_logp: Tensor, *, sampler_logp: Tensor, mask: Tensor, cap: float = 3.0
) -> Tensor:
    """Return weights that correct for a sampler which is not quite the policy it served.

    weight = min(exp(old_logp − sampler_logp), cap)

    Source: truncated importance sampling, as TRL corrects for vLLM by token, with its cap of 3.
    Multiply advantages (N, 1) by it.

    Args:
        old_logp: Log-probs by the training code at the time of sampling, (N, T), nats.
        sampler_logp: Log-probs that the sampler reported, (N, T).
        mask: Response tokens, bool (N, T).
        cap: Largest weight, at least 1.

    Returns:
        (N, T), 0 off the mask.

    Example:
        >>> sampler_weights(torch.tensor([[-1.0, -1.0]]), sampler_logp=torch.tensor([[-1.0, -9.0]]),
        ...                 mask=torch.tensor([[True, True]])).tolist()
        [[1.0, 3.0]]
    """
    require_between(cap, low=1, high=1e3, where="cap")
    old = checked_logp(old_logp, mask=checked_mask(mask)).detach()
    sampler = checked_logp(sampler_logp, mask=mask, where="sampler_logp").detach()
    return (old - sampler).clamp(max=math.log(cap)).exp().clamp(max=cap) * mask


def llds(
    logp: Tensor,
    *,
    old_logp: Tensor,
    labels: Tensor,
    mask: Tensor,
    denominator: Denominator,
    strength: float = 0.2,
    gate: Gate = "response",
    action: Tensor | None = None,
) -> Loss:
    """Return a term that keeps successes from getting less likely.

    fall = old_logp − logp;  loss = strength · open · max(0, fall), on successes' tokens
    open = 1 where the fall summed over the token's action (response; the token) is above 0

    Source: LLDS (2512.04220), with its weight of 0.2; its gate by action works best. Differs:
    successes are rows with label +1 (the paper: advantage ≥ 0, which takes in unscored rows).

    Args:
        logp: Log-probs now, (N, T), nats.
        old_logp: Log-probs when sampled, (N, T).
        labels: +1, −1 or 0 (abstain), (N,).
        mask: Response tokens, bool (N, T).
        denominator: Of the whole batch.
        strength: Weight of the term, 0 to 10.
        gate: Over what the fall is summed.
        action: For gate "action": which action of its sequence each token belongs to, int64 (N, T)
            with values 0 … T − 1.

    Raises:
        BadInput: If shapes differ, an action is out of range or missing, or an option is.

    Example:
        >>> loss = llds(torch.tensor([[-2.0]]), old_logp=torch.tensor([[-1.0]]),
        ...             labels=torch.tensor([1]), mask=torch.tensor([[True]]),
        ...             denominator=Denominator("tokens", 1), strength=0.5)
        >>> loss.value.item(), loss.coefficients.item()
        (0.5, -0.5)
    """
    require_choice(gate, known=get_args(Gate), where="gate")
    require_between(strength, low=0, high=10, where="strength")
    sign = verified_labels(labels)
    require_shape(sign, like=checked_mask(mask)[:, 0], where="labels")
    fall = checked_logp(old_logp, mask=mask, where="old_logp").detach() - checked_logp(
        logp, mask=mask
    )
    whole = _fall_of_unit(fall.detach(), gate=gate, action=action)
    weight = strength * ((whole > 0) & (sign > 0)[:, None])
    slope = -weight * (fall.detach() > 0)
    terms = Terms(weight * fall.clamp(min=0), slope, torch.ones_like(slope), slope > 0)
    return assemble(terms, advantages=sign[:, None], mask=mask, denominator=denominator)


def added(loss: Loss, term: Loss, *, name: str) -> Loss:
    """Return the sum of a loss and a further term, whose metrics get `name` in front."""
    named = {f"{name}_{key}": value for key, value in term.metrics.items()}
    return Loss(
        loss.coefficients + term.coefficients, loss.value + term.value, loss.metrics | named
    )


def _fall_of_unit(fall: Tensor, *, gate: Gate, action: Tensor | None) -> Tensor:
    """Return for each token the fall summed over what the gate looks at, (N, T) or (N, 1)."""
    if gate == "token":
        return fall
    if gate == "response":
        return fall.sum(dim=1, keepdim=True)
    if action is None:
        raise BadInput("the action of each token, (N, T)", got="none", where="action")
    if not is_traced(fall, action):
        require_shape(action, like=fall, where="action")
        if bool(((action < 0) | (action >= fall.shape[1])).any()):
            raise BadInput("actions numbered 0 … T − 1", where="action")
    return torch.zeros_like(fall).scatter_add(1, action, fall).gather(1, action)
