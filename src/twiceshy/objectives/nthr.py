"""NTHR: find the tokens of failures whose punishment would hurt the successes beside them."""

from __future__ import annotations

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import checked_mask, is_traced, require_between
from twiceshy.objectives.groups import group_sum, ratio_or_zero, view_groups


def token_residual(logits: Tensor, *, targets: Tensor, vocabulary: Tensor) -> Tensor:
    """Return one-hot(target) − softmax(logits), on part of the vocabulary.

    Args:
        logits: (N, T, V).
        targets: Token ids, (N, T).
        vocabulary: Ids to keep, (W,): those that occur in the batch are enough in practice.

    Returns:
        (N, T, W), float32.

    Example:
        >>> token_residual(torch.zeros(1, 1, 4), targets=torch.tensor([[2]]),
        ...                vocabulary=torch.tensor([1, 2])).tolist()
        [[[-0.25, 0.75]]]
    """
    probability = torch.softmax(logits.detach().float(), dim=-1)[..., vocabulary]
    return (targets[..., None] == vocabulary).to(probability.dtype) - probability


def nthr_weights(
    residual: Tensor,
    hidden: Tensor,
    *,
    labels: Tensor,
    group: Tensor,
    mask: Tensor,
    beta: float = 1.0,
) -> Tensor:
    """Return weights that spare failures' tokens which move like the group's successes.

    influence = Σ over the group's right tokens of residual ⊗ hidden          (W, D), by group
    score     = residualᵀ · influence · hidden                                of every token
    threshold = beta · min over right attempts of the mean score of their own tokens
    weight    = 2 · |0.5 − n_right / n| for a failure's token with score > threshold, else 1

    Source: Deng et al. (2505.18830), negative token hidden reward. Differs: a residual on part of
    the vocabulary; one einsum for all groups. Only groups with both signs are weighted.

    Args:
        residual: From `token_residual`, under the sampling policy, (N, T, W).
        hidden: Last hidden states, (N, T, D).
        labels: +1, −1 or 0 (abstain), (N,).
        group: Group ids, (N,).
        mask: Response tokens, bool (N, T).
        beta: Factor of the threshold, 0 to 10; 1 is the paper's.

    Returns:
        Weights for `credit.apply_credit` with sign "negative", (N, T), 0 off the mask.
    """
    require_between(beta, low=0, high=10, where="beta")
    if not is_traced(residual, hidden, mask):
        _check_tokens(residual, hidden, mask=checked_mask(mask))
    view = view_groups(labels, group)
    kept = _masked(residual, mask=mask)
    states = _masked(hidden, mask=mask)
    right = view.right.to(states.dtype)
    mine = torch.einsum("ntw,ntd->nwd", kept, states) * right[:, None, None]
    influence = group_sum(mine, view.slot)
    score = torch.einsum("ntw,nwd,ntd->nt", kept, influence, states)
    own = ratio_or_zero(score.sum(dim=1), mask.sum(dim=1).to(score.dtype))
    lowest = _group_min(own, chosen=(view.right > 0) & mask.any(dim=1), slot=view.slot)
    spare = (view.wrong > 0) & (view.n_right > 0)
    hit = spare[:, None] & (score > beta * lowest[:, None])
    eta = 2 * (0.5 - ratio_or_zero(view.n_right, view.n)).abs().to(states.dtype)
    return torch.where(hit, eta[:, None], torch.ones_like(score)) * mask


def _masked(values: Tensor, *, mask: Tensor) -> Tensor:
    """Return (N, T, …) with 0 off the mask, whatever stood there."""
    return torch.where(mask[..., None], values.detach(), torch.zeros_like(values))


def _group_min(values: Tensor, *, chosen: Tensor, slot: Tensor) -> Tensor:
    """Return for each row the smallest value among its group's chosen rows; +∞ without any."""
    start = torch.full_like(values, torch.inf)
    return start.scatter_reduce(0, slot, torch.where(chosen, values, start), reduce="amin")[slot]


def _check_tokens(residual: Tensor, hidden: Tensor, *, mask: Tensor) -> None:
    shapes = (residual.shape[:2], hidden.shape[:2])
    if residual.ndim != 3 or hidden.ndim != 3 or any(shape != mask.shape for shape in shapes):
        raise BadInput(
            f"residual and hidden states of shape {(*mask.shape, '…')}",
            got=f"{tuple(residual.shape)} and {tuple(hidden.shape)}",
            where="nthr",
        )
    if not bool(torch.isfinite(residual[mask]).all() & torch.isfinite(hidden[mask]).all()):
        raise BadInput("finite residuals and hidden states", got="NaN or infinity", where="nthr")
