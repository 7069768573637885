"""Signed REINFORCE: one advantage from verified labels, with a weight for each sign.

    advantages = w_reinforce(labels, group)                       # 0.1 for right, −1 for wrong
    advantages = signed_reinforce(labels, group, lambda_pos=0.5, baseline="leave_one_out")

An abstaining row gets exactly 0 and enters no mean. Objectives that compare attempts within a
group are in `group_advantages`.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import require_between, require_choice
from twiceshy.objectives.groups import GroupView, ratio_or_zero, view_groups

Baseline = Literal["none", "group_mean", "leave_one_out", "batch"]

_SCALE = "Divide both weights by the larger; the learning rate sets the size of a step."


def signed_reinforce(
    labels: Tensor,
    group: Tensor,
    *,
    lambda_pos: float = 1.0,
    lambda_neg: float = 1.0,
    baseline: Baseline = "none",
) -> Tensor:
    """Return REINFORCE advantages with a weight for each sign.

    reward = lambda_pos if right, −lambda_neg if wrong;  advantage = reward − baseline

    Source: Zhu et al. (2506.01347): L = λ·L_PSR + L_NSR. Differs: the positive and the
    negative weight are both free, and a baseline may be subtracted: the mean reward of the group,
    of the group's other attempts, or of the batch. With "none" a group counts for nothing, and an
    all-wrong group keeps its gradient.

    Args:
        labels: +1, −1 or 0 (abstain), shape (N,).
        group: Group ids, integers, shape (N,).
        lambda_pos: Weight of a success, 0 to 1.
        lambda_neg: Weight of a failure, 0 to 1.
        baseline: What to subtract. Where a group has a single scored attempt, "group_mean" and
            "leave_one_out" give it 0: there is nothing to compare it with.

    Returns:
        Advantages, shape (N,).

    Raises:
        BadInput: If labels are not labels, a weight is out of range, both are 0, or the baseline
            is the group's and a group has one row.

    Example:
        >>> import torch
        >>> labels, group = torch.tensor([1, -1, 0]), torch.tensor([0, 0, 0])
        >>> signed_reinforce(labels, group, lambda_pos=0.25).tolist()
        [0.25, -1.0, 0.0]
    """
    require_choice(baseline, known=get_args(Baseline), where="baseline")
    require_between(lambda_pos, low=0, high=1, where="lambda_pos", fix=_SCALE)
    require_between(lambda_neg, low=0, high=1, where="lambda_neg", fix=_SCALE)
    if lambda_pos == 0 and lambda_neg == 0:
        raise BadInput("a weight above 0", got="0 and 0", where="lambda_pos, lambda_neg")
    centred = baseline in ("group_mean", "leave_one_out")
    view = view_groups(labels, group, least=2 if centred else 1)
    reward = lambda_pos * view.right - lambda_neg * view.wrong
    # From the counts, not by adding up: the sum then does not depend on the order of rows.
    total = lambda_pos * view.n_right - lambda_neg * view.n_wrong
    return _subtract(reward, total, view=view, baseline=baseline) * (view.right + view.wrong)


def _subtract(reward: Tensor, total: Tensor, *, view: GroupView, baseline: Baseline) -> Tensor:
    """Return rewards minus the baseline; `total` is the sum of rewards in the row's group."""
    if baseline == "none":
        return reward
    if baseline == "batch":
        n = (view.right + view.wrong).sum()
        return reward - ratio_or_zero(reward.sum(), n)
    if baseline == "group_mean":
        return reward - ratio_or_zero(total, view.n)
    return (reward - ratio_or_zero(total - reward, view.n - 1)) * (view.n > 1)


def psr(labels: Tensor, group: Tensor) -> Tensor:
    """Return +1 for a success, 0 for a failure: positive-sample reinforcement.

    Source: Zhu et al. (2506.01347), L_PSR.

    Example:
        >>> import torch
        >>> psr(torch.tensor([1, -1, 0]), torch.tensor([0, 0, 0])).tolist()
        [1.0, 0.0, 0.0]
    """
    return signed_reinforce(labels, group, lambda_neg=0.0)


def nsr(labels: Tensor, group: Tensor) -> Tensor:
    """Return 0 for a success, −1 for a failure: negative-sample reinforcement.

    Source: Zhu et al. (2506.01347), L_NSR. Differs: rows of the other sign are kept in the batch,
    so the denominator and the number of updates do not shrink as accuracy rises.

    Example:
        >>> import torch
        >>> nsr(torch.tensor([1, -1, 0]), torch.tensor([0, 0, 0])).tolist()
        [0.0, -1.0, 0.0]
    """
    return signed_reinforce(labels, group, lambda_pos=0.0)


def w_reinforce(labels: Tensor, group: Tensor, *, lambda_pos: float = 0.1) -> Tensor:
    """Return lambda_pos for a success, −1 for a failure.

    Source: Zhu et al. (2506.01347), W-REINFORCE with λ = 0.1.

    Example:
        >>> import torch
        >>> w_reinforce(torch.tensor([1, -1]), torch.tensor([0, 0]), lambda_pos=0.5).tolist()
        [0.5, -1.0]
    """
    return signed_reinforce(labels, group, lambda_pos=lambda_pos)


def reinforce(labels: Tensor, group: Tensor, *, baseline: Baseline = "none") -> Tensor:
    """Return +1 for a success, −1 for a failure, minus the baseline.

    Source: Zhu et al. (2506.01347), W-REINFORCE with λ = 1.

    Example:
        >>> import torch
        >>> reinforce(torch.tensor([1, -1]), torch.tensor([0, 0])).tolist()
        [1.0, -1.0]
    """
    return signed_reinforce(labels, group, baseline=baseline)
