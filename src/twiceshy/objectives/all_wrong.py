"""What to do with a group whose scored attempts all failed: one explicit choice.

Most objectives give such a group 0, signed REINFORCE gives it full strength. Both may be wrong:
the first wastes the attempts, and the second pushes down without saying where to go.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import (
    checked_logp,
    checked_mask,
    is_traced,
    require_between,
    require_choice,
    require_shape,
)
from twiceshy.objectives.groups import ratio_or_zero, view_groups

AllWrong = Literal["as_is", "constant", "drop", "ngrpo", "lens", "entropy_graded"]


def treat_all_wrong(
    advantages: Tensor,
    *,
    labels: Tensor,
    group: Tensor,
    policy: AllWrong,
    strength: float = 1.0,
    logp: Tensor | None = None,
    entropy: Tensor | None = None,
    mask: Tensor | None = None,
    difficulty: float = 1.0,
) -> Tensor:
    """Return advantages in which all-wrong groups are treated as chosen; other rows stay.

    - "as_is": what the objective gave.
    - "constant": −strength.
    - "drop": 0.
    - "ngrpo": −strength / √(n + 1), n scored attempts. Source: NGRPO (2509.18851), in closed form.
    - "lens": −strength · min(1, q / (difficulty − q)), q = exp(mean logp): confident mistakes cost
      more. Source: LENS (2510.08696), equation 10. Differs: q is the mean probability of a token,
      not of the whole answer (which is 0 for all but the shortest), the penalty is bounded by
      `strength`, and it is not centred, so that no failure is pushed up.
    - "entropy_graded": −strength · (max entropy of the sequence − entropy), token by token: where
      the policy was undecided it is punished least. Source: RL-ZVP (2509.21880). Differs: only its
      all-wrong half.

    A group with a single scored attempt is not all-wrong; it stays as it is.

    Args:
        advantages: Of any objective, (N,).
        labels: +1, −1 or 0 (abstain), (N,).
        group: Group ids, (N,).
        policy: The choice.
        strength: Scale of the penalty, 0 to 1.
        logp: Log-probs when sampled, (N, T), nats; for "lens".
        entropy: Entropies at each token, (N, T), nats; for "entropy_graded".
        mask: Response tokens, bool (N, T); for both.
        difficulty: LENS's D, above 0 to 1; at 1 a confidence of one half costs full strength.

    Returns:
        (N,); (N, T) for "entropy_graded".

    Raises:
        BadInput: If the policy is unknown, or what it needs is missing or out of range.

    Example:
        >>> treat_all_wrong(torch.zeros(3), labels=torch.tensor([-1, -1, -1]),
        ...                 group=torch.tensor([0, 0, 0]), policy="ngrpo").tolist()
        [-0.5, -0.5, -0.5]
    """
    require_choice(policy, known=get_args(AllWrong), where="all_wrong")
    require_between(strength, low=0, high=1, where="strength")
    view = view_groups(labels, group)
    rows = (view.n > 1) & (view.n_right == 0) & (view.wrong > 0)
    if policy == "as_is":
        return advantages
    if policy == "entropy_graded":
        graded = _entropy_graded(_needed(entropy, "entropy"), mask=_needed(mask, "mask"))
        return torch.where(rows[:, None], strength * graded, advantages[:, None])
    if policy == "lens":
        penalty = _lens(_needed(logp, "logp"), mask=_needed(mask, "mask"), difficulty=difficulty)
        return torch.where(rows, strength * penalty, advantages)
    if policy == "ngrpo":
        return torch.where(rows, -strength / torch.sqrt(view.n + 1), advantages)
    constant = -strength if policy == "constant" else 0.0
    return torch.where(rows, torch.full_like(advantages, constant), advantages)


def _needed(tensor: Tensor | None, name: str) -> Tensor:
    if tensor is None:
        raise BadInput(f"{name} (N, T) for this choice", got="none", where="all_wrong")
    return tensor


def _entropy_graded(entropy: Tensor, *, mask: Tensor) -> Tensor:
    """Return entropy − the sequence's largest entropy on the mask, 0 elsewhere, (N, T)."""
    if not is_traced(entropy, mask):
        require_shape(entropy, like=checked_mask(mask), where="entropy")
        if not bool(torch.isfinite(entropy[mask]).all()):
            raise BadInput("finite entropies", got="NaN or infinity", where="entropy")
    kept = torch.where(mask, entropy.detach(), torch.zeros_like(entropy))
    return (kept - kept.amax(dim=1, keepdim=True)) * mask


def _lens(logp: Tensor, *, mask: Tensor, difficulty: float) -> Tensor:
    """Return the confidence-weighted penalty, −1 to 0, (N,)."""
    require_between(difficulty, low=1e-6, high=1, where="difficulty")
    kept = checked_logp(logp, mask=checked_mask(mask)).detach()
    q = (kept.sum(dim=1) / mask.sum(dim=1).clamp(min=1)).exp()
    bounded = torch.where(q < difficulty, ratio_or_zero(q, difficulty - q), torch.ones_like(q))
    return -bounded.clamp(max=1.0) * mask.any(dim=1)
