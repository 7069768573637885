"""Which tokens of an attempt get the blame or the praise.

Token credit is one function type: (logp, entropy, mask) → weights (N, T), 0 off the mask. The
sources disagree about which tokens to spare, so the choice is the caller's. Apply it with
`apply_credit`, most often to failures alone. Log-probs and entropies are those of the sampling
policy, in nats; weights carry no graph. Bind options with `functools.partial`.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol, get_args

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

CreditSign = Literal["negative", "positive", "both"]


class TokenCredit(Protocol):
    """The type of every token-credit function."""

    def __call__(self, logp: Tensor, entropy: Tensor, mask: Tensor) -> Tensor:
        """Return the weight of each token, (N, T), 0 off the mask."""
        ...


def uniform(logp: Tensor, entropy: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG001
    """Return 1 for every response token.

    Example:
        >>> uniform(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([[True, False]])).tolist()
        [[1.0, 0.0]]
    """
    return mask.to(logp.dtype)


def top_entropy(logp: Tensor, entropy: Tensor, mask: Tensor, *, share: float = 0.2) -> Tensor:
    """Return 1 for the share of each sequence's tokens with the highest entropy, else 0.

    Source: the 80/20 rule (2506.01939), which trains on the top 20 % of tokens. Differs: the share
    is taken in each sequence, not over the batch, so that cutting a batch changes nothing.

    Example:
        >>> entropy = torch.tensor([[0.1, 2.0, 0.3, 0.2, 9.0]])
        >>> top_entropy(-entropy, entropy, torch.tensor([[True, True, True, True, False]])).tolist()
        [[0.0, 1.0, 0.0, 0.0, 0.0]]
    """
    return _top_share(entropy, mask=mask, share=share).to(logp.dtype)


def rarest(logp: Tensor, entropy: Tensor, mask: Tensor, *, share: float = 0.1) -> Tensor:  # noqa: ARG001
    """Return 1 for the share of each sequence's tokens with the lowest probability, else 0.

    Source: negative token filtering (2606.17250), which punishes the least likely 10 %.

    Example:
        >>> logp = torch.tensor([[-0.1, -3.0, -0.2]])
        >>> rarest(logp, logp, torch.tensor([[True, True, True]])).tolist()
        [[0.0, 1.0, 0.0]]
    """
    return _top_share(-logp, mask=mask, share=share).to(logp.dtype)


def probability_band(
    logp: Tensor,
    entropy: Tensor,  # noqa: ARG001
    mask: Tensor,
    *,
    low: float = 1e-4,
    high: float = 1.0,
) -> Tensor:
    """Return 1 for tokens whose probability lies in [low, high], else 0.

    Source: ours. A failure's token below 1e-4 has nothing left to lose, and pushing it down feeds
    the likeliest token; with `high` below 1, tokens the policy is sure of (grammar) are spared.

    Raises:
        BadInput: If not 0 ≤ low < high ≤ 1, or a log-prob on the mask is not one.

    Example:
        >>> logp = torch.tensor([[0.5, 1e-6, 0.99]]).log()
        >>> probability_band(logp, logp, torch.tensor([[True, True, True]]), high=0.9).tolist()
        [[1.0, 0.0, 0.0]]
    """
    require_between(low, low=0, high=1, where="low")
    require_between(high, low=low, high=1, where="high")
    probability = checked_logp(logp, mask=checked_mask(mask)).detach().exp().clamp(max=1.0)
    inside = (probability >= low) & (probability <= high)
    return (inside & mask).to(logp.dtype)


def apply_credit(
    advantages: Tensor, weights: Tensor, *, mask: Tensor, sign: CreditSign = "negative"
) -> Tensor:
    """Return advantages by token: those of the chosen sign times the weights.

    Args:
        advantages: (N,) or (N, T).
        weights: From a token-credit function, (N, T).
        mask: Response tokens, bool (N, T).
        sign: Whose tokens are weighted; the others keep their advantage.

    Returns:
        (N, T), 0 off the mask.

    Raises:
        BadInput: If shapes differ, or a weight is negative or not finite.

    Example:
        >>> apply_credit(torch.tensor([1.0, -1.0]), torch.tensor([[0.0, 1.0], [0.0, 1.0]]),
        ...              mask=torch.ones(2, 2, dtype=torch.bool)).tolist()
        [[1.0, 1.0], [-0.0, -1.0]]
    """
    require_choice(sign, known=get_args(CreditSign), where="sign")
    if not is_traced(weights, mask):
        require_shape(weights, like=checked_mask(mask), where="weights")
        if not bool((torch.isfinite(weights) & (weights >= 0)).all()):
            raise BadInput("finite weights, at least 0", where="weights")
    rows = checked_advantages(advantages, mask=mask)
    weighted = rows * weights.detach()
    if sign == "negative":
        weighted = torch.where(rows < 0, weighted, rows)
    if sign == "positive":
        weighted = torch.where(rows > 0, weighted, rows)
    return weighted * mask


def _top_share(values: Tensor, *, mask: Tensor, share: float) -> Tensor:
    """Return the tokens among each row's ⌈share · length⌉ largest values, bool (N, T)."""
    require_between(share, low=0, high=1, where="share")
    if not is_traced(values, mask):
        require_shape(values, like=checked_mask(mask), where="values")
        if bool(torch.isnan(values[mask]).any()):
            raise BadInput("values to rank", got="NaN", where="credit")
    kept = torch.where(mask, values.detach(), torch.full_like(values, -math.inf))
    rank = kept.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    count = torch.ceil(mask.sum(dim=1, keepdim=True) * share - 1e-6)
    return (rank < count) & mask
