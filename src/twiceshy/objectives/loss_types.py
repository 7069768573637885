"""What every loss returns, and how token terms become one."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.terms import Terms


class Loss(NamedTuple):
    """A loss, its gradient and what there is to log."""

    coefficients: Tensor
    """d value / d logp, (N, T), 0 off the mask, divided by the global denominator already."""
    value: Tensor
    """Scalar; `value.backward()` gives exactly the gradient of `coefficients`."""
    metrics: dict[str, Tensor]
    """Sums and counts that add up over micro-batches; see `metrics.merged` and `summarised`."""


def assemble(terms: Terms, *, advantages: Tensor, mask: Tensor, denominator: Denominator) -> Loss:
    """Return the loss of a batch (N, T) from its tokens' terms.

    value = Σ weight · loss;  coefficient = weight · slope
    """
    weights = denominator.token_weights(mask, dtype=terms.loss.dtype)
    weighted = weights * terms.loss
    coefficients = (weights * terms.slope).detach()
    metrics = advantage_sums(
        terms, advantages=advantages, mask=mask, weighted=weighted.detach(), slopes=coefficients
    )
    return Loss(coefficients, weighted.sum(), metrics)


def advantage_sums(
    terms: Terms, *, advantages: Tensor, mask: Tensor, weighted: Tensor, slopes: Tensor
) -> dict[str, Tensor]:
    """Return sums over tokens with a positive and with a negative advantage, apart.

    Args:
        terms: Any shape that broadcasts to (N, T).
        advantages: (N, 1) or (N, T).
        mask: Response tokens, bool (N, T).
        weighted: Share of each token in the loss, (N, T).
        slopes: Its coefficient, (N, T).
    """
    sums: dict[str, Tensor] = {}
    for sign, chosen in (("positive", advantages > 0), ("negative", advantages < 0)):
        on = chosen & mask
        low, high = terms.clipped & (terms.ratio < 1), terms.clipped & (terms.ratio >= 1)
        sums |= {
            f"advantage_{sign}/n_tokens": on.sum(),
            f"advantage_{sign}/loss_sum": (on * weighted).sum(),
            f"advantage_{sign}/gradient_sum": (on * slopes.abs()).sum(),
            f"advantage_{sign}/ratio_sum": (on * terms.ratio).sum(),
            f"advantage_{sign}/ratio_max": (on * terms.ratio).max(),
            f"advantage_{sign}/clipped_low_sum": (on & low).sum(),
            f"advantage_{sign}/clipped_high_sum": (on & high).sum(),
        }
    return sums
