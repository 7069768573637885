"""Token-level losses, element by element: the loss of a token and its slope in that token's logp.

Every function here works on tensors of any one shape, so that the same arithmetic serves a batch
(N, T) and the rows of a fused head's tile (R,). `slope` is the derivative of `loss` with respect to
`logp`, in closed form; `loss` carries the graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from twiceshy.objectives.checks import require_between

MAX_LOG_RATIO = 20.0
"""Log ratios are cut here, in nats, so that their exponential stays finite. As in verl."""


class Terms(NamedTuple):
    """The loss of each token; all fields have the shape of `logp`."""

    loss: Tensor
    """Differentiable in `logp`."""
    slope: Tensor
    """d loss / d logp, without a graph."""
    ratio: Tensor
    """Probability now / then, without a graph."""
    clipped: Tensor
    """Whether a bound stopped this token's gradient or changed its weight, bool."""


def reinforce_terms(logp: Tensor, *, old_logp: Tensor, advantages: Tensor) -> Terms:
    """Return loss = −advantage · logp.

    Source: Williams (1992). No ratio, so it is the gradient of the objective on-policy only; on
    stale failures it drives logp towards −∞ (see `losses.topr`).
    """
    ratio = _ratio(logp, old_logp).detach()
    slope = (-advantages).expand_as(logp)
    return Terms(slope * logp, slope, ratio, torch.zeros_like(ratio, dtype=torch.bool))


def ppo_clip_terms(
    logp: Tensor,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = 3.0,
) -> Terms:
    """Return loss = −min(ratio · A, clip(ratio) · A), bounded for A < 0.

    Source: Schulman et al. (1707.06347), equation 7; separate bounds: DAPO (2503.14476); the bound
    `dual_clip` on the ratio where A < 0: Ye et al. (1912.09729), dual clip. Differs: written with
    the ratio that counts: min(ratio, 1 + clip_high) for A ≥ 0, and for A < 0 the ratio between
    1 − clip_low and dual_clip.
    """
    _check_clip(clip_low, clip_high, dual_clip)
    ratio = _ratio(logp, old_logp)
    for_right = ratio.clamp(max=1 + clip_high)
    for_wrong = ratio.clamp(min=1 - clip_low, max=dual_clip)
    counted = torch.where(advantages >= 0, for_right, for_wrong)
    clipped = (counted != ratio).detach()
    ratio = ratio.detach()
    moving = ~clipped & ((logp - old_logp).detach().abs() <= MAX_LOG_RATIO)
    slope = -advantages * ratio * moving
    return Terms(-advantages * counted, slope, ratio, clipped)


def cispo_terms(
    logp: Tensor,
    *,
    old_logp: Tensor,
    advantages: Tensor,
    ratio_min: float = 0.0,
    ratio_max: float = 5.0,
) -> Terms:
    """Return loss = −stop_gradient(clip(ratio, ratio_min, ratio_max)) · A · logp.

    Source: MiniMax-M1 (2506.13585), CISPO: no token ever loses its gradient. The upper bound of 5
    is the one TRL's documentation names for ScaleRL (2510.13786).
    """
    require_between(ratio_min, low=0, high=1, where="ratio_min")
    require_between(ratio_max, low=1, high=1e3, where="ratio_max")
    ratio = _ratio(logp, old_logp).detach()
    weight = ratio.clamp(min=ratio_min, max=ratio_max)
    slope = -weight * advantages
    return Terms(slope * logp, slope, ratio, weight != ratio)


def _ratio(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp - old_logp).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()


def _check_clip(clip_low: float, clip_high: float, dual_clip: float | None) -> None:
    require_between(clip_low, low=0, high=1, where="clip_low")
    require_between(clip_high, low=0, high=100, where="clip_high")
    if dual_clip is not None:
        require_between(dual_clip, low=1 + 1e-6, high=1e6, where="dual_clip")
