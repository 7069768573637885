"""Verified labels: +1 success, −1 failure, 0 abstain. Nothing else, and never a reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.objectives.checks import is_traced, require_choice

TruncatedAs = Literal["abstain", "as_judged"]

_LABEL = {Outcome.SUCCESS: 1, Outcome.FAILURE: -1, Outcome.BROKEN: 0, Outcome.UNSCORED: 0}
_FIX = "Make labels with labels_of(outcomes): +1 verified success, -1 verified failure, 0 abstain."


def labels_of(
    outcomes: Sequence[Outcome],
    *,
    truncated: Sequence[bool | None] | None = None,
    truncated_as: TruncatedAs = "abstain",
) -> Tensor:
    """Return one label an attempt, int8 (N,).

    A broken or unscored attempt abstains. So does a truncated one unless `truncated_as` is
    "as_judged": a cut-off answer says little about the policy's skill.

    Source: DAPO (2503.14476), overlong filtering. Differs: it acts on labels, so a truncated
    attempt leaves the group's statistics as well as the loss.

    Args:
        outcomes: Outcomes of N attempts.
        truncated: Whether each was cut at a length limit; None where unknown (counts as no).
        truncated_as: What a truncated attempt counts as.

    Raises:
        BadInput: If lengths differ or an outcome is not one.

    Example:
        >>> labels_of([Outcome.SUCCESS, Outcome.FAILURE, Outcome.UNSCORED]).tolist()
        [1, -1, 0]
        >>> labels_of([Outcome.FAILURE], truncated=[True]).tolist()
        [0]
    """
    require_choice(truncated_as, known=("abstain", "as_judged"), where="truncated_as")
    cut = [False] * len(outcomes) if truncated is None else list(truncated)
    if len(cut) != len(outcomes):
        raise BadInput(f"{len(outcomes)} flags", got=str(len(cut)), where="truncated")
    unknown = [outcome for outcome in outcomes if outcome not in _LABEL]
    if unknown:
        raise BadInput("outcomes", got=repr(unknown[0]), where="outcomes", fix=_FIX)
    hide = truncated_as == "abstain"
    values = [
        0 if hide and flag else _LABEL[Outcome(o)] for o, flag in zip(outcomes, cut, strict=True)
    ]
    return torch.tensor(values, dtype=torch.int8)


def verified_labels(labels: Tensor) -> Tensor:
    """Return the labels as floats, (N,), once they are sure to be labels.

    Floats of only 0 and 1 are refused as well, for they look like rewards: in a reward 0 is a
    failure, in a label it is an abstention, and taking one for the other silently removes every
    negative sample. An *integer* tensor of 0 and 1 is taken at its word.

    Raises:
        BadInput: If a value is not −1, 0 or +1, or floats look like 0/1 rewards.

    Example:
        >>> verified_labels(torch.tensor([1, -1, 0], dtype=torch.int8)).tolist()
        [1.0, -1.0, 0.0]
    """
    if not is_traced(labels):
        _refuse_others(labels)
    return labels * 1.0


def _refuse_others(labels: Tensor) -> None:
    if labels.ndim != 1 or labels.dtype == torch.bool or labels.is_complex():
        raise BadInput(
            "labels of shape (N,), integers or floats",
            got=f"{labels.dtype} {tuple(labels.shape)}",
            where="labels",
            fix=_FIX,
        )
    strange = labels[~((labels == 1) | (labels == -1) | (labels == 0))]
    if strange.numel():
        raise BadInput("labels -1, 0 or +1", got=f"{strange[0]:g}", where="labels", fix=_FIX)
    seen = {float(value) for value in torch.unique(labels)}
    if labels.is_floating_point() and seen == {0.0, 1.0}:
        raise BadInput(
            "labels", got="floats 0 and 1, which look like rewards", where="labels", fix=_FIX
        )
