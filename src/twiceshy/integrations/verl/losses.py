"""Losses that verl lacks and that no advantage can express: TOPR's taper.

Everything that is a coefficient times a clipped ratio is verl's own `vanilla`, `cispo` or `gspo`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from twiceshy.objectives.losses import topr_terms

LOSSES = ("twiceshy_topr",)
"""Names to give as `actor_rollout_ref.actor.policy_loss.loss_mode`."""


def topr_loss(
    old_log_prob: Tensor,
    log_prob: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, Any]]:
    """Return TOPR's loss, aggregated by verl, and its metrics; shapes (N, T).

    See `objectives.losses.topr`; the ratio is the sequence's. verl's own registry has no such loss
    in the tested versions.
    """
    from verl.trainer.ppo.core_algos import agg_loss

    mask = response_mask.bool()
    terms = topr_terms(log_prob, old_logp=old_log_prob, advantages=advantages, mask=mask)
    per_token = terms.loss if rollout_is_weights is None else terms.loss * rollout_is_weights
    loss = agg_loss(
        loss_mat=per_token,
        loss_mask=response_mask,
        loss_agg_mode=loss_agg_mode,
        **(config.global_batch_info if config is not None else {}),
    )
    wrong = mask & (advantages < 0)
    tapered = (terms.clipped & wrong).sum() / wrong.sum().clamp(min=1)
    return loss, {"actor/topr_tapered": float(tapered)}
