"""Losses that match whole distributions: GKD, SDFT, SDPO and OPSD are settings of one function.

    student = student_logits.float().log_softmax(-1)              # (N, T, V)
    done = match(student, teacher_logp, mask=mask, denominator=denominator_of(mask), alpha=0.5)
    done.value.backward()

| method (source) | who answers | alpha | also |
|---|---|---|---|
| GKD (2306.13649) | student for a share of prompts (`on_policy_rows`), data for the rest | beta | |
| SDFT (2601.19897), as in TRL | student | 0.5 | the student's top 100, `importance` capped at 2 |
| SDPO (2601.20802) | student; teacher sees a right sibling or the error | 1 or 0.5 | top K, cap 2 |
| OPSD (2601.18734) | student; teacher sees the verified solution | 0 | `entry_clip` |

The teacher is whoever gave `teacher_logp`: see `teachers` for fixed and moving ones, and
`twiceshy.distillation.contexts` for what it may have seen.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from twiceshy.distillation.losses.divergences import check_alike, divergence, widened
from twiceshy.errors import BadInput
from twiceshy.objectives.checks import checked_logp, checked_mask, require_between
from twiceshy.objectives.denominator import Denominator

ROW_SLACK = 2e-3
"""How far, in nats, rounding may take the sum of a row of 32 bits from 1. Ours."""


class Matched(NamedTuple):
    """A loss and what there is to log."""

    value: Tensor
    """Scalar with a graph; sums over micro-batches to the batch's loss."""
    per_token: Tensor
    """The divergence of each token before weights, (N, T), nats, 0 off the mask, no graph."""
    metrics: dict[str, Tensor]
    """Sums and counts; see `twiceshy.objectives.merged` and `summarised`."""


def match(
    student: Tensor,
    teacher: Tensor,
    *,
    mask: Tensor,
    denominator: Denominator,
    alpha: float = 0.5,
    entry_clip: float | None = None,
    weights: Tensor | None = None,
) -> Matched:
    """Return the mean divergence between student and teacher over response tokens.

    value = Σ token weight · weights · divergence

    Args:
        student: Log-probs over V categories, (N, T, V): of the vocabulary, or from `on_support`.
        teacher: The same of the teacher, of the student's shape; what lies off the mask may be
            anything, in both.
        mask: Response tokens, bool (N, T).
        denominator: Of the whole batch.
        alpha: 0 forward KL, 1 reverse KL, between them Jensen–Shannon; see `divergences` for the
            jump of scale at the ends.
        entry_clip: See `divergence`.
        weights: (N,) or (N, T), at least 0: `importance`, or p · (1 − p) of each task's pass rate
            p (PACED, 2603.11178). No gradient flows into them.

    Raises:
        BadInput: If shapes differ, as over two vocabularies, or a row on the mask does not sum to
            1 after exp: logits, a part of the vocabulary, NaN.

    Example:
        >>> from twiceshy.objectives import denominator_of
        >>> mask = torch.tensor([[True, False]])
        >>> student = torch.tensor([[[0.5, 0.5], [0.5, 0.5]]]).log()
        >>> teacher = torch.tensor([[[0.25, 0.75], [0.5, 0.5]]]).log()
        >>> done = match(student, teacher, mask=mask, denominator=denominator_of(mask), alpha=0.0)
        >>> round(done.value.item(), 4)
        0.1308
    """
    rows = checked_mask(mask)
    _check(student, teacher, mask=rows)
    on = rows[..., None]
    flat = torch.zeros_like(student)
    s = widened(torch.where(on, student, flat))
    t = widened(torch.where(on, teacher.detach(), flat))
    tokens = divergence(s, t, alpha=alpha, entry_clip=entry_clip) * rows
    shares = denominator.token_weights(rows, dtype=tokens.dtype) * _weights(weights, mask=rows)
    per_token = tokens.detach()
    return Matched((shares * tokens).sum(), per_token, _metrics(s, t, per_token, mask=rows))


def importance(logp: Tensor, *, old_logp: Tensor, mask: Tensor, cap: float = 2.0) -> Tensor:
    """Return min(probability now / when sampled, cap) of each sampled token, (N, T), no graph.

    For answers that are used after the student has moved on. Source: SDFT and SDPO in TRL, cap 2.

    Example:
        >>> mask = torch.tensor([[True, True]])
        >>> importance(torch.tensor([[-1.0, -1.0]]), old_logp=torch.tensor([[-1.0, -5.0]]),
        ...            mask=mask).tolist()
        [[1.0, 2.0]]
    """
    require_between(cap, low=1, high=1e3, where="cap")
    now = checked_logp(logp, mask=checked_mask(mask)).detach()
    then = checked_logp(old_logp, mask=mask, where="old_logp").detach()
    return (now - then).clamp(max=20.0).exp().clamp(max=cap) * mask


def on_policy_rows(n_rows: int, *, share: float, seed: int) -> Tensor:
    """Return which prompts the student answers itself, bool (N,); data answers the others.

    Each row is drawn alone, so the share holds on average. Source: GKD (2306.13649, algorithm 1),
    lambda; there the draw is made once a step for the whole batch.

    Example:
        >>> on_policy_rows(4, share=1.0, seed=0).tolist()
        [True, True, True, True]
    """
    require_between(share, low=0, high=1, where="share")
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_rows, generator=generator) < share


def _weights(weights: Tensor | None, *, mask: Tensor) -> Tensor:
    if weights is None:
        return torch.ones_like(mask[:, :1], dtype=torch.float32)
    if tuple(weights.shape) not in (tuple(mask.shape[:1]), tuple(mask.shape)):
        raise BadInput(
            f"shape {tuple(mask.shape[:1])} or {tuple(mask.shape)}",
            got=str(tuple(weights.shape)),
            where="weights",
        )
    rows = weights.detach().reshape(mask.shape[0], -1)
    if not bool((torch.isfinite(rows) & (rows >= 0)).all()):
        raise BadInput("finite weights, at least 0", where="weights")
    return rows


def _check(student: Tensor, teacher: Tensor, *, mask: Tensor) -> None:
    if student.ndim != 3 or student.shape[:2] != mask.shape:
        raise BadInput(
            f"log-probs of shape {(*mask.shape, 'V')}",
            got=str(tuple(student.shape)),
            where="student",
        )
    check_alike(student, teacher)
    for name, logp in (("student", student), ("teacher", teacher)):
        total = logp.detach().logsumexp(-1)[mask]
        off = ~(total.abs() <= max(ROW_SLACK, 8 * torch.finfo(logp.dtype).eps))
        if bool(off.any()):
            raise BadInput(
                "log-probs whose exp sums to 1 at every position of the mask",
                got=f"a sum of exp({float(total[off][0]):g}) "
                f"({int(off.sum())} of {total.numel()} positions)",
                where=name,
                fix="Give logits.log_softmax(-1), not logits; a part of the vocabulary goes "
                "through on_support.",
            )


def _metrics(
    student: Tensor, teacher: Tensor, per_token: Tensor, *, mask: Tensor
) -> dict[str, Tensor]:
    with torch.no_grad():
        return {
            "matched/n_tokens": mask.sum(),
            "matched/divergence_sum": per_token.sum(),
            "matched/divergence_max": per_token.amax() if per_token.numel() else per_token.sum(),
            "matched/student_entropy_sum": (_entropy(student) * mask).sum(),
            "matched/teacher_entropy_sum": (_entropy(teacher) * mask).sum(),
        }


def _entropy(logp: Tensor) -> Tensor:
    return -torch.xlogy(logp.exp(), logp.exp()).sum(-1)
