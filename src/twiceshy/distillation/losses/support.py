"""The teacher's K likeliest tokens, and one bucket for all others.

A teacher behind an endpoint returns its top K log-probs, not its whole distribution; and K numbers
a token are what can be stored. The student is read at the same tokens; what is left over is one
more category for both, so that the two are distributions again and every divergence applies. Since
merging categories can only lose information, the result is at most the full divergence.

What is left over is one minus a sum near 1, so it is known to the rounding of that sum only. Below
it the rest counts as `finfo.eps`, for student and teacher alike: a rest that was rounded to 0 is no
proof that the other tokens are impossible, and must not cost ten thousand nats.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from twiceshy.distillation.losses.divergences import LOWEST_LOGP, widened
from twiceshy.errors import BadInput


class Support(NamedTuple):
    """Some tokens' log-probs by the teacher."""

    tokens: Tensor
    """Token ids, int64 (…, K), without repetition."""
    logp: Tensor
    """Their log-probs in the whole vocabulary, (…, K), nats: exp sums to at most 1. Minus infinity
    fills up where there are fewer than K; the id beside it may be anything."""


def top_support(teacher_logp: Tensor, k: int, *, by: Tensor | None = None) -> Support:
    """Return the teacher's log-probs of its K likeliest tokens, or of another's.

    Args:
        teacher_logp: Log-probs, (…, V).
        k: From 1 to V. Of equally likely tokens any may be taken.
        by: Log-probs or logits that say which tokens are the likeliest, (…, V); the teacher's by
            default. The student's are for reverse KL, which weighs by the student's tokens.

    Raises:
        BadInput: If k is outside that, or shapes differ.

    Example:
        >>> top_support(torch.tensor([0.1, 0.7, 0.2]).log(), 2).tokens.tolist()
        [1, 2]
    """
    if not 1 <= k <= teacher_logp.shape[-1]:
        raise BadInput(f"1 to {teacher_logp.shape[-1]} tokens", got=str(k), where="k")
    taught = teacher_logp.detach()
    chooser = taught if by is None else by.detach()
    if chooser.shape != taught.shape:
        raise BadInput(f"shape {tuple(taught.shape)}", got=str(tuple(chooser.shape)), where="by")
    tokens = chooser.topk(k, dim=-1).indices
    return Support(tokens, taught.gather(-1, tokens))


def on_support(student_logp: Tensor, support: Support) -> tuple[Tensor, Tensor]:
    """Return student and teacher as distributions over K tokens and the rest, (…, K + 1).

    Source: the tail bucket of SDPO (2601.20802). Whose tokens they are, `top_support` decides; TRL
    takes the student's in process and the teacher's from a server.

    Raises:
        BadInput: If the leading shapes differ, a token is outside the student's vocabulary or
            stands twice, or the teacher's probabilities are NaN or sum to more than 1.

    Example:
        >>> student = torch.tensor([[0.2, 0.5, 0.3]]).log()
        >>> teacher = torch.tensor([[0.1, 0.7, 0.2]]).log()
        >>> both = on_support(student, top_support(teacher, 1))
        >>> [[round(value, 4) for value in each.exp()[0].tolist()] for each in both]
        [[0.5, 0.5], [0.7, 0.3]]
    """
    _check(student_logp, support)
    student, taught = widened(student_logp), support.logp.detach()
    filled = torch.isneginf(taught)
    chosen = student.gather(-1, support.tokens.masked_fill(filled, 0))
    return (
        _with_rest(chosen.masked_fill(filled, LOWEST_LOGP)),
        _with_rest(taught.to(chosen.dtype).masked_fill(filled, LOWEST_LOGP)),
    )


def _with_rest(logp: Tensor) -> Tensor:
    logp = logp.clamp(min=LOWEST_LOGP)  # the gradient of logsumexp is NaN where all are infinite
    covered = torch.logsumexp(logp, dim=-1, keepdim=True)
    above = covered.detach().clamp(min=0.0)
    rest = -torch.expm1(covered - above)
    least = torch.finfo(logp.dtype).eps
    return torch.cat([logp - above, rest.clamp(min=least).log()], dim=-1)


def _check(student_logp: Tensor, support: Support) -> None:
    tokens, logp = support
    if tokens.shape != logp.shape or tokens.shape[:-1] != student_logp.shape[:-1]:
        raise BadInput(
            f"tokens and log-probs of shape {(*student_logp.shape[:-1], 'K')}",
            got=f"{tuple(tokens.shape)} and {tuple(logp.shape)}",
            where="support",
        )
    vocabulary, real = student_logp.shape[-1], ~torch.isneginf(logp)
    named = tokens[real]
    if named.numel() and not bool(((named >= 0) & (named < vocabulary)).all()):
        raise BadInput(
            f"tokens from 0 to {vocabulary - 1}",
            got=f"{int(named.min())} to {int(named.max())}",
            where="support",
            fix="Teacher and student need one tokenizer.",
        )
    _check_once(torch.where(real, tokens, -1 - torch.arange(tokens.shape[-1]).to(tokens)))
    total = logp.exp().sum(-1, dtype=torch.promote_types(logp.dtype, torch.float32))
    slack = max(1e-3, 4 * torch.finfo(logp.dtype).eps)
    if bool((~(total <= 1 + slack)).any()):
        raise BadInput(
            "probabilities that sum to at most 1",
            got=f"{float(total.max()):g}",
            where="support",
            fix="Give log-probs over the whole vocabulary, not renormalised ones or logits.",
        )


def _check_once(tokens: Tensor) -> None:
    ordered = tokens.sort(dim=-1).values
    twice = ordered[..., 1:][ordered.diff(dim=-1) == 0]
    if twice.numel():
        raise BadInput(
            "each token once in a row",
            got=f"token {int(twice[0])} twice",
            where="support",
            fix="Fill rows up with log-probs of minus infinity.",
        )
