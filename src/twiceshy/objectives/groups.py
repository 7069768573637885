"""Counts of scored and right attempts by group, spread back over the rows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import is_traced
from twiceshy.objectives.labels import verified_labels


class GroupView(NamedTuple):
    """Each row with the counts of its own group; every field is float (N,) but `slot`."""

    right: Tensor
    """1 for a verified success, else 0."""
    wrong: Tensor
    """1 for a verified failure, else 0."""
    n: Tensor
    """Scored attempts in the row's group. Abstentions are not in it."""
    n_right: Tensor
    n_wrong: Tensor
    slot: Tensor
    """Row's group as a position in 0 … N − 1, int64 (N,)."""


class GroupStates(NamedTuple):
    """Which rows lie in a group of which state; bool (N,). A row may lie in none: no scores."""

    mixed: Tensor
    all_right: Tensor
    all_wrong: Tensor
    single: Tensor
    """Exactly one scored attempt: neither contrast nor agreement."""


def view_groups(labels: Tensor, group: Tensor, *, least: int = 1) -> GroupView:
    """Return each row's label beside the counts of its group.

    Args:
        labels: +1, −1 or 0 (abstain), shape (N,).
        group: Group ids, any integers, shape (N,).
        least: Fewest rows (abstentions included) that a group may have.

    Raises:
        BadInput: If labels are not labels, shapes differ, or a group has fewer rows than `least`.

    Example:
        >>> view_groups(torch.tensor([1, -1, 0]), torch.tensor([7, 7, 7])).n.tolist()
        [2.0, 2.0, 2.0]
    """
    values = verified_labels(labels)
    if not is_traced(labels, group):
        _check_group(group, labels=labels, least=least)
    slot = torch.unique(group, return_inverse=True)[1]
    right, wrong = (values > 0) * 1.0, (values < 0) * 1.0
    right, wrong = right.to(values.dtype), wrong.to(values.dtype)
    n_right, n_wrong = group_sum(right, slot), group_sum(wrong, slot)
    return GroupView(right, wrong, n_right + n_wrong, n_right, n_wrong, slot)


def group_states(labels: Tensor, group: Tensor) -> GroupStates:
    """Return the state of each row's group, from verified outcomes alone.

    Example:
        >>> states = group_states(torch.tensor([-1, -1, 1, -1]), torch.tensor([0, 0, 1, 1]))
        >>> states.all_wrong.tolist(), states.mixed.tolist()
        ([True, True, False, False], [False, False, True, True])
    """
    view = view_groups(labels, group)
    several = view.n > 1
    return GroupStates(
        mixed=(view.n_right > 0) & (view.n_wrong > 0),
        all_right=several & (view.n_wrong == 0),
        all_wrong=several & (view.n_right == 0),
        single=view.n == 1,
    )


def group_sum(values: Tensor, slot: Tensor) -> Tensor:
    """Return for each row the sum of `values` over its group, shape of `values` (N, …)."""
    return torch.zeros_like(values).index_add(0, slot, values)[slot]


def ratio_or_zero(above: Tensor, below: Tensor) -> Tensor:
    """Return above / below, and 0 where `below` is not positive."""
    safe = torch.where(below > 0, below, torch.ones_like(below))
    return torch.where(below > 0, above / safe, torch.zeros_like(safe))


def _check_group(group: Tensor, *, labels: Tensor, least: int) -> None:
    if group.shape != labels.shape or group.is_floating_point() or group.is_complex():
        raise BadInput(
            f"integer group ids of shape {tuple(labels.shape)}",
            got=f"{group.dtype} {tuple(group.shape)}",
            where="group",
        )
    if least <= 1 or group.numel() == 0:
        return
    ids, sizes = torch.unique(group, return_counts=True)
    if int(sizes.min()) < least:
        raise BadInput(
            f"at least {least} attempts in every group",
            got=f"{int(sizes.min())} in group {int(ids[sizes.argmin()])}",
            where="group",
            fix="Sample more rollouts a prompt, or take an objective without a group baseline "
            "(psr, nsr, w_reinforce, reinforce).",
        )
