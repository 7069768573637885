"""Losses for rollouts: log-probs and advantages in, coefficients and a scalar out.

    loss = ppo_clip(logp, old_logp=old, advantages=advantages, mask=mask, denominator=denominator)
    loss.value.backward()             # or feed loss.coefficients to the fused head

Each is a pure function and can be traced by `torch.fx` once its options are bound. Shapes: `logp`
and `old_logp` (N, T), in nats; `advantages` (N,), or (N, T) after token credit; `mask` bool (N, T),
on for response tokens. `old_logp` belongs to the policy that the batch was sampled from. What lies
off the mask may be anything. A log-prob on the mask that is NaN, infinite or above 0 is an error.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import (
    checked_advantages,
    checked_logp,
    checked_mask,
    is_traced,
    require_choice,
)
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.loss_types import Loss, assemble
from twiceshy.objectives.terms import (
    MAX_LOG_RATIO,
    Terms,
    cispo_terms,
    ppo_clip_terms,
    reinforce_terms,
)

TaperLevel = Literal["sequence", "token"]


class _Batch(NamedTuple):
    logp: Tensor
    old_logp: Tensor
    advantages: Tensor
    mask: Tensor


def reinforce(
    logp: Tensor,
    *,
    advantages: Tensor,
    mask: Tensor,
    denominator: Denominator,
    old_logp: Tensor | None = None,
) -> Loss:
    """Return the loss −Σ weight · advantage · logp.

    See `terms.reinforce_terms`. `old_logp` serves the metrics only. This is the on-policy gradient;
    once a batch is used for several updates, take `ppo_clip`, or `topr` for replayed failures.

    Raises:
        BadInput: If shapes differ or a log-prob on the mask is not one.

    Example:
        >>> loss = reinforce(torch.tensor([[-1.0, -2.0]]), advantages=torch.tensor([-1.0]),
        ...                  mask=torch.tensor([[True, True]]),
        ...                  denominator=Denominator("tokens", 2))
        >>> loss.value.item(), loss.coefficients.tolist()
        (-1.5, [[0.5, 0.5]])
    """
    old = logp.detach() if old_logp is None else old_logp
    batch = _checked(logp, old, advantages, mask)
    terms = reinforce_terms(batch.logp, old_logp=batch.old_logp, advantages=batch.advantages)
    return assemble(terms, advantages=batch.advantages, mask=mask, denominator=denominator)


def ppo_clip(
    logp: Tensor,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    denominator: Denominator,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = 3.0,
) -> Loss:
    """Return PPO's clipped loss, with a bound for each direction and one for failures.

    See `terms.ppo_clip_terms`. With one update a batch the ratio is 1 and nothing is ever clipped.

    Args:
        logp: Log-probs now, (N, T).
        old_logp: Log-probs when sampled, (N, T).
        advantages: (N,) or (N, T).
        mask: Response tokens, bool (N, T).
        denominator: Of the whole batch.
        clip_low: How far the ratio may fall before a failure's token loses its gradient. 0.2 is
            PPO's and the source's of NSR.
        clip_high: How far it may rise before a success's token does. DAPO takes 0.28.
        dual_clip: Ratio from which a failure's token loses its gradient as well; None: no bound.
            3 is verl's.

    Raises:
        BadInput: If shapes differ, a log-prob on the mask is not one, or a bound is out of range.

    Example:
        >>> logp = torch.tensor([[-1.0, -1.0]], requires_grad=True)
        >>> loss = ppo_clip(logp, old_logp=torch.tensor([[-1.0, -0.5]]),
        ...                 advantages=torch.tensor([-1.0]), mask=torch.tensor([[True, True]]),
        ...                 denominator=Denominator("tokens", 2))
        >>> loss.coefficients.tolist()  # the second fell by more than a fifth: clipped
        [[0.5, 0.0]]
    """
    batch = _checked(logp, old_logp, advantages, mask)
    terms = ppo_clip_terms(
        batch.logp,
        old_logp=batch.old_logp,
        advantages=batch.advantages,
        clip_low=clip_low,
        clip_high=clip_high,
        dual_clip=dual_clip,
    )
    return assemble(terms, advantages=batch.advantages, mask=mask, denominator=denominator)


def cispo(
    logp: Tensor,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    denominator: Denominator,
    ratio_min: float = 0.0,
    ratio_max: float = 5.0,
) -> Loss:
    """Return REINFORCE weighted by the clipped, detached ratio.

    See `terms.cispo_terms`; arguments and errors as in `ppo_clip`.
    """
    batch = _checked(logp, old_logp, advantages, mask)
    terms = cispo_terms(
        batch.logp,
        old_logp=batch.old_logp,
        advantages=batch.advantages,
        ratio_min=ratio_min,
        ratio_max=ratio_max,
    )
    return assemble(terms, advantages=batch.advantages, mask=mask, denominator=denominator)


def gspo(
    logp: Tensor,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    denominator: Denominator,
    clip_low: float = 3e-4,
    clip_high: float = 4e-4,
    dual_clip: float | None = None,
) -> Loss:
    """Return PPO's clipped loss on one ratio a sequence.

    ratio = exp(mean over tokens of (logp − old_logp)); a sequence is clipped as a whole

    Source: GSPO (2507.18071), with its bounds. Differs: the denominator is free
    (the paper's is "sequences"); a dual clip may be added.

    Args and errors as in `ppo_clip`, but advantages are (N,): token credit has no meaning here.
    """
    if not is_traced(advantages) and advantages.ndim != 1:
        raise BadInput(
            "advantages of shape (N,), one a sequence",
            got=str(tuple(advantages.shape)),
            where="advantages",
            fix="Leave token credit out with gspo, or take ppo_clip.",
        )
    batch = _checked(logp, old_logp, advantages, mask)
    length = mask.sum(dim=1, keepdim=True).clamp(min=1)
    log_ratio = (batch.logp - batch.old_logp).sum(dim=1, keepdim=True) / length
    terms = ppo_clip_terms(
        log_ratio,
        old_logp=torch.zeros_like(log_ratio),
        advantages=batch.advantages,
        clip_low=clip_low,
        clip_high=clip_high,
        dual_clip=dual_clip,
    )
    return assemble(terms, advantages=batch.advantages, mask=mask, denominator=denominator)


def topr(
    logp: Tensor,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    denominator: Denominator,
    level: TaperLevel = "sequence",
) -> Loss:
    """Return REINFORCE in which a replayed failure's push fades as the policy leaves it.

    loss = −weight · A · logp;  weight = 1 for A ≥ 0, else stop_gradient(clip(now / then, 0, 1))

    Source: TOPR (2503.14286), its canonical choice of bounds: 1 for positives, [0, 1] for
    negatives. Differs: any advantage instead of the reward's sign; the ratio may be taken by token,
    as ROLL does.

    Args:
        logp: Log-probs now, (N, T).
        old_logp: Log-probs under whatever policy sampled the attempts, however old, (N, T).
        advantages: (N,) or (N, T).
        mask: Response tokens, bool (N, T).
        denominator: Of the whole batch.
        level: One ratio a sequence (the product over its tokens) or a ratio a token.
    """
    terms = topr_terms(logp, old_logp=old_logp, advantages=advantages, mask=mask, level=level)
    weighted = checked_advantages(advantages, mask=mask)
    return assemble(terms, advantages=weighted, mask=mask, denominator=denominator)


def topr_terms(
    logp: Tensor,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    level: TaperLevel = "sequence",
) -> Terms:
    """Return what `topr` sums up, token by token, (N, T); arguments and errors as there."""
    require_choice(level, known=get_args(TaperLevel), where="level")
    batch = _checked(logp, old_logp, advantages, mask)
    log_ratio = (batch.logp - batch.old_logp).detach()
    if level == "sequence":
        log_ratio = log_ratio.sum(dim=1, keepdim=True) * mask
    ratio = log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    weight = torch.where(batch.advantages < 0, ratio.clamp(max=1.0), torch.ones_like(ratio))
    slope = -weight * batch.advantages
    tapered = (weight != ratio) & (batch.advantages < 0)
    return Terms(slope * batch.logp, slope, ratio, tapered)


def _checked(logp: Tensor, old_logp: Tensor, advantages: Tensor, mask: Tensor) -> _Batch:
    checked_mask(mask)
    return _Batch(
        logp=checked_logp(logp, mask=mask),
        old_logp=checked_logp(old_logp, mask=mask, where="old_logp").detach(),
        advantages=checked_advantages(advantages, mask=mask),
        mask=mask,
    )
