"""How far a student's next-token distribution is from its teacher's.

All work on log-probs of any leading shape: (…, V) in, (…) out, in nats. `alpha` chooses the
divergence as TRL's distillation trainers do:

    alpha = 0        forward KL(T ‖ S): covers everything that the teacher might say
    alpha = 1        reverse KL(S ‖ T): stays with what the teacher surely says
    in between       Jensen–Shannon: (1 − alpha) · KL(S ‖ M) + alpha · KL(T ‖ M),
                     M = (1 − alpha) · S + alpha · T

The mixture's divergence goes to 0 at both ends while the ends themselves are KL divergences: **the
scale jumps there**, by 1 / alpha near 0 and by 1 / (1 − alpha) near 1. A sweep over alpha at one
learning rate compares step sizes. `normalised=True` divides by alpha · (1 − alpha), which joins the
ends continuously.

Log-probs of 16 bits are widened to float32: their sums over a vocabulary would otherwise be mostly
rounding. What rounding took away before they came here is gone, so take
`logits.float().log_softmax(-1)`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import require_between

LOWEST_LOGP = -1e4
"""Log-probs are cut here, in nats, so that 0 · log 0 is 0 and not NaN; exp of it is exactly 0."""


def divergence(
    student: Tensor,
    teacher: Tensor,
    *,
    alpha: float = 0.5,
    entry_clip: float | None = None,
    normalised: bool = False,
) -> Tensor:
    """Return the divergence at each position, differentiable in `student`.

    Source: generalised Jensen–Shannon divergence of GKD (Agarwal et al., 2306.13649, equation 1,
    whose beta is our alpha); `entry_clip` after OPSD (2601.18734), which bounds each vocabulary
    entry's share min(T_v · log(T_v / S_v), τ), since a few style tokens dominate the sum. Differs:
    the clip works for every alpha, and a clipped entry has no gradient of its own.

    Args:
        student: Log-probs, (…, V), in float32 or float64; 16 bits see `widened`. Rows sum to 1
            after exp.
        teacher: Log-probs of the same shape; no gradient flows into it.
        alpha: 0 forward KL, 1 reverse KL, between them Jensen–Shannon.
        entry_clip: Largest share of one vocabulary entry, in nats, above 0; None for no bound. It
            makes the result smaller than the divergence, and possibly negative.
        normalised: Divide by alpha · (1 − alpha) strictly between the ends.

    Raises:
        BadInput: If shapes differ, alpha is outside [0, 1] or the clip is not above 0.

    Example:
        >>> student, teacher = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
        >>> [round(float(divergence(student, teacher, alpha=a)), 4) for a in (0.0, 0.5, 1.0)]
        [0.1308, 0.0338, 0.1438]
        >>> round(float(divergence(student, teacher, alpha=1e-4, normalised=True)), 4)
        0.1308
    """
    shares = entries(student, teacher, alpha=alpha)
    if entry_clip is not None:
        require_between(entry_clip, low=1e-12, high=1e6, where="entry_clip")
        shares = shares.clamp(max=entry_clip)
    total = shares.sum(-1)
    inside = 0 < alpha < 1
    return total / (alpha * (1 - alpha)) if normalised and inside else total


def entries(student: Tensor, teacher: Tensor, *, alpha: float) -> Tensor:
    """Return each vocabulary entry's share of the divergence, (…, V); the sum over V is it."""
    require_between(alpha, low=0, high=1, where="alpha")
    check_alike(student, teacher)
    s = widened(student).clamp(min=LOWEST_LOGP)
    t = widened(teacher.detach()).clamp(min=LOWEST_LOGP)
    if alpha == 0:
        return t.exp() * (t - s)
    if alpha == 1:
        return s.exp() * (s - t)
    mixture = torch.logaddexp(s + math.log1p(-alpha), t + math.log(alpha))
    return (1 - alpha) * s.exp() * (s - mixture) + alpha * t.exp() * (t - mixture)


def widened(logp: Tensor) -> Tensor:
    """Return log-probs in 32 bits at least; rows of 16 bits sum to 1 again, as before rounding."""
    if logp.dtype.itemsize >= 4:
        return logp
    return logp.float().log_softmax(-1)


def forward_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher ‖ student), (…); see `divergence`."""
    return divergence(student, teacher, alpha=0.0)


def reverse_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(student ‖ teacher), (…); see `divergence`."""
    return divergence(student, teacher, alpha=1.0)


def check_alike(student: Tensor, teacher: Tensor) -> None:
    """Refuse log-probs of two shapes, as two vocabularies have.

    Raises:
        BadInput: If they differ.
    """
    if student.shape == teacher.shape:
        return
    raise BadInput(
        "a student and a teacher over one vocabulary",
        got=f"{tuple(student.shape)} and {tuple(teacher.shape)}",
        where="student, teacher",
        fix="Distributions can be compared only under one tokenizer: distil from the teacher's "
        "text instead (export to SFT), or from its log-probs of the student's own tokens.",
    )
