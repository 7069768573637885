"""One explicit number that a batch's loss is divided by, the same for every micro-batch.

Compute it once over the whole batch and hand it to every micro-batch; the sum of the micro-batches'
losses and gradients is then the batch's, however it was cut (by rows).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import checked_mask, require_choice

DenominatorKind = Literal["tokens", "sequences", "constant"]


class Denominator(NamedTuple):
    """What the sum over a batch is divided by.

    - "tokens": a mean over response tokens (DAPO). Long sequences weigh more.
    - "sequences": a mean over sequences of their mean over tokens (GRPO). A token of a long
      sequence weighs less, so long wrong answers are punished less a token.
    - "constant": a sum over tokens divided by a fixed number (Dr. GRPO: sequences times the longest
      length; N for a sum a sequence).
    """

    kind: DenominatorKind
    value: float
    """Tokens, sequences or the constant; above 0."""

    def token_weights(self, mask: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the weight of each response token in the batch's sum, float (N, T).

        Args:
            mask: Response tokens, bool (N, T); complete rows, but any part of the batch.
            dtype: Of the weights; that of the log-probs.

        Example:
            >>> mask = torch.tensor([[True, True], [True, False]])
            >>> Denominator("sequences", 2).token_weights(mask).tolist()
            [[0.25, 0.25], [0.5, 0.0]]
        """
        weights = mask.to(dtype) / self.value
        if self.kind == "sequences":
            return weights / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return weights


def denominator_of(
    mask: Tensor,
    *,
    kind: DenominatorKind = "tokens",
    constant: float | None = None,
    counted: Tensor | None = None,
) -> Denominator:
    """Return the denominator of a whole batch.

    Args:
        mask: Response tokens of the *whole* batch, bool (N, T).
        kind: What to count.
        constant: The number, for kind "constant" only.
        counted: Which sequences count, bool (N,); all by default. Rows with advantage 0 dilute a
            batch when they count, and change the step's size from batch to batch when they don't.
            Where nothing counts there is nothing to divide: the value is 1.

    Raises:
        BadInput: If there is no response token, the constant is missing, not above 0 or not asked
            for, or the kind is unknown.

    Example:
        >>> denominator_of(torch.tensor([[True, True], [True, False]])).value
        3.0
    """
    require_choice(kind, known=get_args(DenominatorKind), where="denominator")
    if (kind == "constant") != (constant is not None) or (constant is not None and constant <= 0):
        raise BadInput(
            'a constant above 0 with kind "constant", and none otherwise',
            got=f"{kind}, {constant}",
            where="denominator",
        )
    rows = checked_mask(mask).sum(dim=1)
    if int(rows.sum()) == 0:
        raise BadInput("at least one response token in the batch", got="none", where="mask")
    if constant is not None:
        return Denominator(kind, float(constant))
    rows = rows if counted is None else rows * counted
    total = rows.sum() if kind == "tokens" else (rows > 0).sum()
    return Denominator(kind, max(float(total), 1.0))
