"""Token-level losses as coefficient functions for the fused head.

task = head_task("ppo_clip", old_logp=old, advantages=advantages, mask=mask, denominator=d)
done = fused_head(hidden, weight, targets=tokens.flatten(),
                  coefficients_of=task.coefficients_of, keep=task.keep)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from twiceshy.objectives.checks import (
    checked_advantages,
    checked_logp,
    checked_mask,
    require_choice,
)
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.terms import Terms, cispo_terms, ppo_clip_terms, reinforce_terms

if TYPE_CHECKING:
    from twiceshy.objectives.fused_head import HeadRows

TokenLoss = Literal["reinforce", "ppo_clip", "cispo"]

TERMS: dict[str, Callable[..., Terms]] = {
    "reinforce": reinforce_terms,
    "ppo_clip": ppo_clip_terms,
    "cispo": cispo_terms,
}


class HeadTask(NamedTuple):
    """What the fused head needs to know of an objective."""

    coefficients_of: Callable[[HeadRows], Tensor]
    """From rows of the flattened batch to d loss / d logp."""
    keep: Tensor
    """Rows that can have a gradient, bool (N · T,); the others cost nothing."""


def head_task(
    loss: TokenLoss,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    denominator: Denominator,
    options: dict[str, float | None] | None = None,
) -> HeadTask:
    """Return a token-level loss for a head that is called with N · T rows, in row order.

    It gives the same coefficients as the function of the same name in `losses`, without log-probs
    of the current policy in advance.

    Args:
        loss: Name of the loss.
        old_logp: Log-probs when sampled, (N, T), nats. Unused, but checked, for "reinforce".
        advantages: (N,) or (N, T).
        mask: Response tokens, bool (N, T).
        denominator: Of the whole batch.
        options: Keyword options of the loss, as `{"clip_low": 0.2}`.

    Raises:
        BadInput: If the loss is unknown or works on sequences, an option is out of range, shapes
            differ, or an old log-prob on the mask is not one.
    """
    require_choice(loss, known=get_args(TokenLoss), where="loss")
    checked_mask(mask)
    old = checked_logp(old_logp, mask=mask, where="old_logp").flatten()
    rows = checked_advantages(advantages, mask=mask).expand(mask.shape).flatten()
    weights = denominator.token_weights(mask, dtype=old.dtype).flatten()
    chosen = options or {}
    TERMS[loss](old[:1], old_logp=old[:1], advantages=rows[:1], **chosen)  # refuse options now

    def coefficients_of(head: HeadRows) -> Tensor:
        at = head.rows
        with torch.no_grad():
            terms = TERMS[loss](head.logp, old_logp=old[at], advantages=rows[at], **chosen)
        return weights[at] * terms.slope

    return HeadTask(coefficients_of, (weights * rows) != 0)
