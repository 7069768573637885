"""Advantages that trust a success only as far as it is likely to be deserved."""

from __future__ import annotations

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import is_traced, require_between
from twiceshy.objectives.group_advantages import grpo


def luck_capped(labels: Tensor, group: Tensor, *, p_lucky: Tensor, cap: float = 1.0) -> Tensor:
    """Return GRPO's advantage, capped and discounted for successes that may be luck.

    See `discount_luck`.

    Example:
        >>> luck_capped(torch.tensor([1, -1, -1, -1]), torch.tensor([0] * 4),
        ...             p_lucky=torch.tensor([0.5, 0, 0, 0])).tolist()
        [0.5, -0.5, -0.5, -0.5]
    """
    return discount_luck(grpo(labels, group), labels, p_lucky=p_lucky, cap=cap)


def discount_luck(
    advantages: Tensor, labels: Tensor, *, p_lucky: Tensor, cap: float = 1.0
) -> Tensor:
    """Return advantages in which a success counts as far as it is likely to be deserved.

    right: min(advantage, cap) · (1 − p_lucky);  wrong: unchanged

    Source: ours, after Cheng et al. (2605.28388) on lucky successes and FAPO (2510.22543), which
    warns not to zero them.

    Args:
        advantages: Any advantages, shape (N,).
        labels: Their labels, shape (N,).
        p_lucky: Probability that each success was undeserved, shape (N,); see
            `twiceshy.frontier.p_lucky`. Ignored on other rows.
        cap: Largest advantage of a success, above 0.

    Raises:
        BadInput: If a probability lies outside [0, 1], shapes differ, or cap ≤ 0.

    Example:
        >>> discount_luck(torch.tensor([2.5, -0.5]), torch.tensor([1, -1]),
        ...               p_lucky=torch.tensor([0.75, 0.0]), cap=2.0).tolist()
        [0.5, -0.5]
    """
    require_between(cap, low=1e-6, high=1e6, where="cap")
    if not is_traced(advantages, labels, p_lucky):
        _check_probabilities(p_lucky, labels=labels)
    discounted = advantages.clamp(max=cap) * (1 - p_lucky)
    return torch.where(labels > 0, discounted, advantages)


def _check_probabilities(p_lucky: Tensor, *, labels: Tensor) -> None:
    if p_lucky.shape != labels.shape:
        raise BadInput(
            f"shape {tuple(labels.shape)}", got=str(tuple(p_lucky.shape)), where="p_lucky"
        )
    of_right = p_lucky[labels > 0]
    if not bool(((of_right >= 0) & (of_right <= 1)).all()):
        raise BadInput("a probability from 0 to 1 for every success", where="p_lucky")
