"""Advantages that compare the attempts of one group: GRPO and what came after.

All take rewards of 1 (right) and 0 (wrong), so that the tables of the papers hold. Statistics run
over scored rows only; an abstaining row gets exactly 0. A group whose attempts all agree gets 0
unless a function says otherwise; whether it does is decided by counting, never by a tolerance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import require_between
from twiceshy.objectives.groups import GroupView, ratio_or_zero, view_groups


def grpo(labels: Tensor, group: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """Return the reward centred on the group's mean and divided by its sample deviation.

    advantage = (reward − mean) / (std + epsilon)

    Source: Shao et al. (2402.03300), outcome supervision. Differs: groups without spread are found
    by counting, so no ε is needed; abstentions leave the statistics.

    Args:
        labels: +1, −1 or 0 (abstain), shape (N,).
        group: Group ids, shape (N,); at least two rows each.
        epsilon: Added to the deviation, 0 to 1: 1e-4 gives TRL's numbers, 1e-6 verl's.

    Returns:
        Advantages, shape (N,).

    Raises:
        BadInput: If labels are not labels or a group has one row.

    Example:
        >>> grpo(torch.tensor([1, -1, -1, -1]), torch.tensor([0] * 4)).tolist()
        [1.5, -0.5, -0.5, -0.5]
    """
    require_between(epsilon, low=0, high=1, where="epsilon")
    view = view_groups(labels, group, least=2)
    return _standardised(view, n=view.n, n_right=view.n_right, epsilon=epsilon)


def dr_grpo(labels: Tensor, group: Tensor) -> Tensor:
    """Return the reward centred on the group's mean.

    advantage = reward − mean

    Source: Liu et al. (2503.20783), Dr. GRPO. The constant denominator that goes with it is
    `Denominator` of kind "constant".

    Example:
        >>> dr_grpo(torch.tensor([1, -1, -1, -1]), torch.tensor([0] * 4)).tolist()
        [0.75, -0.25, -0.25, -0.25]
    """
    view = view_groups(labels, group, least=2)
    return (view.right - ratio_or_zero(view.n_right, view.n)) * _scored(view)


def rloo(labels: Tensor, group: Tensor) -> Tensor:
    """Return the reward minus the mean of the group's other rewards.

    advantage = reward − (sum − reward) / (n − 1)

    Source: Ahmadian et al. (2402.14740). A single scored attempt gets 0.

    Example:
        >>> rloo(torch.tensor([1, -1, 1]), torch.tensor([0] * 3)).tolist()
        [0.5, -1.0, 0.5]
    """
    view = view_groups(labels, group, least=2)
    others = ratio_or_zero(view.n_right - view.right, view.n - 1)
    return (view.right - others) * _scored(view) * (view.n > 1)


def maxrl(labels: Tensor, group: Tensor) -> Tensor:
    """Return the centred reward divided by the group's mean: rare successes weigh most.

    advantage = (reward − mean) / mean, and 0 where nothing succeeded

    Source: MaxRL (2602.02710). A wrong attempt beside a right one always gets −1.

    Example:
        >>> maxrl(torch.tensor([1, -1, -1, -1]), torch.tensor([0] * 4)).tolist()
        [3.0, -1.0, -1.0, -1.0]
    """
    view = view_groups(labels, group, least=2)
    return ratio_or_zero(view.right * view.n - view.n_right, view.n_right) * _scored(view)


def ngrpo(labels: Tensor, group: Tensor) -> Tensor:
    """Return GRPO's advantage with one virtual success added to the group's statistics.

    advantage = (reward − mean(rewards + [1])) / std(rewards + [1])

    Source: NGRPO (2509.18851). An all-wrong group of n gets −1 / √(n + 1). The asymmetric
    clipping that goes with it is an option of `losses.ppo_clip`.

    Example:
        >>> ngrpo(torch.tensor([-1, -1, -1]), torch.tensor([0] * 3)).tolist()
        [-0.5, -0.5, -0.5]
    """
    view = view_groups(labels, group, least=2)
    return _standardised(view, n=view.n + 1, n_right=view.n_right + 1)


def pass_at_k(labels: Tensor, group: Tensor, *, k: int = 4) -> Tensor:
    """Return the advantage of being in a random set of k attempts of which one succeeds.

    fail = C(n_wrong, k) / C(n, k);  std = √(fail·(1 − fail))
    right: fail / std;  wrong: (fail − C(n_wrong − 1, k − 1) / C(n − 1, k − 1)) / std

    Source: Pass@k training (2508.10751), analytical form. Differs: abstentions leave n; a group
    left with fewer than k scored attempts gets 0, as pass@k is undefined there.

    Args:
        labels: +1, −1 or 0 (abstain), shape (N,).
        group: Group ids, shape (N,); at least k rows each.
        k: Size of the set, at least 1.

    Raises:
        BadInput: If k < 1, or a group has fewer than max(k, 2) rows.

    Example:
        >>> advantages = pass_at_k(torch.tensor([1, -1, -1]), torch.tensor([0, 0, 0]), k=2)
        >>> [round(value, 3) for value in advantages.tolist()]
        [0.707, -0.354, -0.354]
    """
    if not isinstance(k, int) or k < 1:
        raise BadInput("a whole k of at least 1", got=str(k), where="k")
    view = view_groups(labels, group, least=max(k, 2))
    fail = _choose_ratio(view.n_wrong, view.n, k=k)
    fail_with_me = _choose_ratio(view.n_wrong - 1, view.n - 1, k=k - 1)
    raw = fail - view.wrong * fail_with_me
    advantage = ratio_or_zero(raw, torch.sqrt(fail * (1 - fail)))
    return advantage * _scored(view) * (view.n >= k)


def asymre(labels: Tensor, group: Tensor, *, margin: float = 0.1) -> Tensor:
    """Return the reward minus a baseline slightly *below* the group's mean.

    advantage = reward − (mean − margin)

    Source: AsymRE (2506.20520): off-policy, a baseline V below the mean reward keeps the support
    broad, at or above it the support collapses. Differs: V follows each group's mean. Note that
    an all-wrong group then gets +margin on every row, as the method says; `all_wrong` overrides.

    Args:
        labels: +1, −1 or 0 (abstain), shape (N,).
        group: Group ids, shape (N,).
        margin: How far the baseline lies below the mean, in rewards, 0 to 1.

    Example:
        >>> asymre(torch.tensor([1, -1]), torch.tensor([0, 0]), margin=0.25).tolist()
        [0.75, -0.25]
    """
    require_between(margin, low=0, high=1, where="margin")
    view = view_groups(labels, group, least=2)
    value = ratio_or_zero(view.n_right, view.n) - margin
    return (view.right - value) * _scored(view)


def sign_balanced(labels: Tensor, group: Tensor, *, scale: float = 1.0) -> Tensor:
    """Return a fixed advantage for successes and one for failures that balances it.

    right: scale;  wrong: −scale · n_right / n_wrong;  0 where a group has one sign only

    Source: SIGNBALANCE (2609.04063). A success weighs no more for being rare. Differs: an
    all-right group gets 0, as there is nothing to balance.

    Example:
        >>> sign_balanced(torch.tensor([1, -1, -1]), torch.tensor([0, 0, 0])).tolist()
        [1.0, -0.5, -0.5]
    """
    require_between(scale, low=0, high=10, where="scale")
    view = view_groups(labels, group, least=2)
    wrong = ratio_or_zero(view.n_right, view.n_wrong)
    return scale * (view.right - wrong * view.wrong) * (view.n_wrong > 0)


def _scored(view: GroupView) -> Tensor:
    return view.right + view.wrong


def _standardised(view: GroupView, *, n: Tensor, n_right: Tensor, epsilon: float = 0.0) -> Tensor:
    """Return (reward − mean) / (std + epsilon) for the counts given; std with n − 1, 0 where 0."""
    mean = ratio_or_zero(n_right, n)
    # In the order of a two-pass sample variance, which TRL computes: equal to the bit for n = 2^i.
    variance = ratio_or_zero(n_right * (n - n_right), n * n) * ratio_or_zero(n, n - 1)
    std = torch.sqrt(variance)
    return ratio_or_zero(view.right - mean, (std + epsilon) * (std > 0)) * _scored(view)


def _choose_ratio(some: Tensor, of: Tensor, *, k: int) -> Tensor:
    """Return C(some, k) / C(of, k) as a product; 0 where some < k."""
    product = torch.ones_like(some)
    for i in range(k):
        product = product * ratio_or_zero((some - i).clamp(min=0), of - i)
    return product
