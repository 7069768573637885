"""Objectives, losses and token credit by name, with their options checked before anything loads.

advantages = bind_objective("w_reinforce", group_size=16, options={"lambda_pos": 0.05})
loss = bind_loss("ppo_clip", options={"clip_high": 0.28})
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives import advantages, credit, group_advantages, losses, luck
from twiceshy.objectives.all_wrong import AllWrong, treat_all_wrong
from twiceshy.objectives.checks import require_choice, unknown_name
from twiceshy.objectives.credit import TokenCredit
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.loss_types import Loss

_R = TypeVar("_R")

PER_CALL = frozenset({"labels", "group", "p_lucky", "logp", "old_logp", "advantages", "mask",
                      "denominator", "entropy"})  # fmt: skip
"""Parameters that belong to a batch; all others are options."""


@dataclass(frozen=True)
class Objective:
    """A named way from labels to advantages."""

    name: str
    advantages: Callable[..., Tensor]
    """(labels, group, *, …) → (N,)."""
    summary: str
    """One line, for a list on a terminal."""
    compares: bool = True
    """Whether it compares attempts within a group, which must then have two rows or more."""

    @property
    def options(self) -> tuple[str, ...]:
        """Names of its options."""
        return _options(self.advantages)

    @property
    def needs_luck(self) -> bool:
        """Whether each call takes `p_lucky`, (N,)."""
        return "p_lucky" in inspect.signature(self.advantages).parameters


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("psr", advantages.psr, "right +1, wrong 0", compares=False),
        Objective("nsr", advantages.nsr, "right 0, wrong -1", compares=False),
        Objective("w_reinforce", advantages.w_reinforce, "right +0.1, wrong -1", compares=False),
        Objective("reinforce", advantages.reinforce, "right +1, wrong -1", compares=False),
        Objective(
            "signed", advantages.signed_reinforce, "weights and a baseline to choose",
            compares=False,
        ),
        Objective("grpo", group_advantages.grpo, "centred, divided by the group's deviation"),
        Objective("dr_grpo", group_advantages.dr_grpo, "centred on the group's mean"),
        Objective("rloo", group_advantages.rloo, "minus the mean of the others"),
        Objective("maxrl", group_advantages.maxrl, "centred, divided by the group's mean"),
        Objective("ngrpo", group_advantages.ngrpo, "GRPO with one virtual success"),
        Objective("pass_at_k", group_advantages.pass_at_k, "trains pass@k instead of pass@1"),
        Objective("asymre", group_advantages.asymre, "baseline a little below the mean"),
        Objective("sign_balanced", group_advantages.sign_balanced, "the signs cancel exactly"),
        Objective("luck_capped", luck.luck_capped, "GRPO, lucky successes count less"),
    )
}  # fmt: skip

LOSSES: dict[str, Callable[..., Loss]] = {
    "reinforce": losses.reinforce,
    "ppo_clip": losses.ppo_clip,
    "cispo": losses.cispo,
    "gspo": losses.gspo,
    "topr": losses.topr,
}

CREDITS: dict[str, Callable[..., Tensor]] = {
    "uniform": credit.uniform,
    "top_entropy": credit.top_entropy,
    "rarest": credit.rarest,
    "probability_band": credit.probability_band,
}


def find_objective(name: str) -> Objective:
    """Return an objective by name.

    Raises:
        BadInput: If there is none, with the nearest names.

    Example:
        >>> find_objective("nsr").compares
        False
    """
    require_choice(name, known=OBJECTIVES, where="objective")
    return OBJECTIVES[name]


def bind_objective(
    name: str,
    *,
    group_size: int,
    options: Mapping[str, float | str] | None = None,
    all_wrong: AllWrong = "as_is",
    strength: float = 1.0,
) -> partial[Tensor]:
    """Return an objective with its options bound: (labels, group) → advantages.

    All that can be refused without data is refused here: it is tried once on a made-up group.

    Args:
        name: Name of the objective.
        group_size: Rollouts a prompt.
        options: Keyword options of the objective.
        all_wrong: What to do with all-wrong groups; see `all_wrong.treat_all_wrong`. With "lens"
            and "entropy_graded" each call takes `mask` and `logp` or `entropy` as well.
        strength: Its strength.

    Raises:
        BadInput: If the name or an option is unknown, an option is out of range, or groups of this
            size cannot be compared.

    Example:
        >>> advantages = bind_objective("w_reinforce", group_size=2, all_wrong="drop")
        >>> advantages(torch.tensor([-1, -1, -1, 1]), torch.tensor([0, 0, 1, 1])).tolist()[:3]
        [0.0, 0.0, -1.0]
    """
    objective = find_objective(name)
    if group_size < 1:
        raise BadInput("at least one rollout a prompt", got=str(group_size), where="group_size")
    bound = _bound(objective.advantages, options, where=f"objective {name}")
    labels = torch.ones(group_size, dtype=torch.int8)
    per_call: dict[str, Any] = {}
    if objective.needs_luck:
        per_call["p_lucky"] = torch.zeros(group_size)
    if all_wrong != "as_is":
        bound = partial(_treated, untreated=bound, policy=all_wrong, strength=strength)
        one = torch.zeros(group_size, 1)
        per_call |= {"logp": one, "entropy": one, "mask": one == 0}
    bound(labels, torch.zeros(group_size, dtype=torch.int64), **per_call)
    return bound


def bind_loss(
    name: str, *, options: Mapping[str, float | str | None] | None = None
) -> partial[Loss]:
    """Return a loss with its options bound, tried once on a made-up batch.

    Raises:
        BadInput: If the name or an option is unknown, or an option is out of range.

    Example:
        >>> bind_loss("ppo_clip", options={"clip_high": 0.28}).keywords
        {'clip_high': 0.28}
    """
    require_choice(name, known=LOSSES, where="loss")
    bound = _bound(LOSSES[name], options, where=f"loss {name}")
    logp, mask = torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool)
    denominator = Denominator("tokens", 1)
    bound(logp, old_logp=logp, advantages=torch.ones(1), mask=mask, denominator=denominator)
    return bound


def bind_credit(name: str, *, options: Mapping[str, float] | None = None) -> TokenCredit:
    """Return a token-credit function with its options bound, tried once on a made-up batch.

    Raises:
        BadInput: If the name or an option is unknown, or an option is out of range.
    """
    require_choice(name, known=CREDITS, where="credit")
    bound = _bound(CREDITS[name], options, where=f"credit {name}")
    bound(torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool))
    return bound


def _treated(
    labels: Tensor,
    group: Tensor,
    *,
    untreated: Callable[..., Tensor],
    policy: AllWrong,
    strength: float,
    logp: Tensor | None = None,
    entropy: Tensor | None = None,
    mask: Tensor | None = None,
    **per_call: Tensor,
) -> Tensor:
    return treat_all_wrong(
        untreated(labels, group, **per_call),
        labels=labels,
        group=group,
        policy=policy,
        strength=strength,
        logp=logp,
        entropy=entropy,
        mask=mask,
    )


def _options(function: Callable[..., object]) -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(function).parameters if name not in PER_CALL)


def _bound(
    function: Callable[..., _R], options: Mapping[str, object] | None, *, where: str
) -> partial[_R]:
    known = _options(function)
    for name in options or {}:
        if name not in known:
            raise unknown_name(name, known=known, where=where)
    return partial(function, **dict(options or {}))
