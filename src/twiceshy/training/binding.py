"""From names and options to the functions of a step, tried once on a made-up batch.

The loop's losses take advantages. Three more, made for logs without rollouts, take labels:
`unlikelihood`, `npo` and `kto`. They go with the objective "reinforce", whose advantage *is* the
label, and the last two compare the policy with the one the run began with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.all_wrong import AllWrong
from twiceshy.objectives.checks import require_choice, unknown_name
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.loss_types import Loss
from twiceshy.objectives.offline import kto, npo, unlikelihood
from twiceshy.objectives.registry import LOSSES, bind_loss, bind_objective
from twiceshy.training.scheduling import Schedule, Scheduled
from twiceshy.training.update import LossFunction, StepObjective

Options = Mapping[str, float | str]

READS_TOKENS: dict[AllWrong, str] = {"lens": "logp", "entropy_graded": "entropy"}
"""What of the rollouts a choice for all-wrong groups looks at, beside the mask."""


class LabelLoss(NamedTuple):
    """A loss of the verified label itself."""

    loss: Callable[..., Loss]
    options: tuple[str, ...]
    takes: tuple[str, ...]
    """What of the reference policy it reads."""


LABEL_LOSSES = {
    "unlikelihood": LabelLoss(unlikelihood, ("lambda_pos", "lambda_neg"), ()),
    "npo": LabelLoss(npo, ("beta",), ("ref_logp",)),
    "kto": LabelLoss(kto, ("beta", "lambda_pos", "lambda_neg"), ("ref_logp", "kl")),
}


class BoundAdvantages(NamedTuple):
    """Advantages, and what they are called with beside labels and group."""

    advantages: Callable[..., Tensor]
    takes: frozenset[str]


def bound_advantages(
    name: str,
    *,
    group_size: int,
    options: Options,
    schedules: Mapping[str, Schedule],
    all_wrong: AllWrong,
    strength: float,
) -> BoundAdvantages:
    """Return the advantages that names and options describe.

    Raises:
        BadInput: If a name is unknown, an option is given twice, or a value, at whatever step, is
            out of range.
    """
    for option, schedule in schedules.items():
        if option in options:
            raise BadInput(
                "an option or its schedule", got="both", where=f"objective.schedules.{option}"
            )
        for value in schedule.extremes:
            bind_objective(name, group_size=group_size, options={**options, option: value})
    if all_wrong in ("as_is", "drop") and strength != 1:
        raise BadInput(
            "no strength with this choice, which it does not change",
            got=f"{strength:g}",
            where="objective.all_wrong_strength",
        )
    bound = bind_objective(
        name, group_size=group_size, options=options, all_wrong=all_wrong, strength=strength
    )
    takes = {"mask", READS_TOKENS[all_wrong]} if all_wrong in READS_TOKENS else set()
    if not schedules:
        return BoundAdvantages(bound, frozenset(takes))
    return BoundAdvantages(Scheduled(bound, schedules), frozenset({*takes, "step"}))


def bound_loss(name: str, *, options: Mapping[str, float | str]) -> LossFunction:
    """Return a loss of advantages or of labels with its options.

    Raises:
        BadInput: If the name or an option is unknown, or an option is out of range.
    """
    if name not in LABEL_LOSSES:
        require_choice(name, known=[*LOSSES, *LABEL_LOSSES], where="loss")
        return bind_loss(name, options=options)
    known = LABEL_LOSSES[name]
    for option in options:
        if option not in known.options:
            raise unknown_name(option, known=known.options, where=f"loss {name}")
    return partial(_of_labels, chosen=known, options=options)


def _of_labels(
    logp: Tensor,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    denominator: Denominator,
    chosen: LabelLoss,
    options: Mapping[str, float | str],
    **reference: Any,
) -> Loss:
    del old_logp
    labels = advantages.reshape(len(mask), -1).sum(dim=1).sign().to(torch.int8)
    taken = {name: reference[name] for name in chosen.takes}
    return chosen.loss(
        logp, labels=labels, mask=mask, denominator=denominator, **taken, **dict(options)
    )


def tried(objective: StepObjective, *, group_size: int) -> StepObjective:
    """Return the objective once a made-up batch has gone through all of it.

    Raises:
        BadInput: As its parts do, or because they do not fit together.
    """
    mask = torch.ones(group_size, 2, dtype=torch.bool)
    logp = torch.full((group_size, 2), -1.0)
    labels = torch.full((group_size,), -1, dtype=torch.int8)
    offered = {"logp": logp, "entropy": -logp, "mask": mask, "step": 0}
    taken = {name: offered[name] for name in objective.takes}
    if objective.needs_luck:
        taken["p_lucky"] = torch.zeros(group_size)
    advantages = objective.advantages(labels, torch.zeros(group_size, dtype=torch.int64), **taken)
    if objective.credit is not None:
        advantages = advantages.reshape(group_size, -1) * objective.credit(logp, -logp, mask)
    if objective.guards is not None:
        advantages = objective.guards.kept(advantages, logp=logp, old_logp=logp, mask=mask)
    against = {"ref_logp": logp, "kl": 0.0} if objective.needs_reference else {}
    objective.loss(
        logp,
        old_logp=logp,
        advantages=advantages,
        mask=mask,
        denominator=objective.denominator(mask),
        **against,
    )
    return objective
