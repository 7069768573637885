"""The teacher's K likeliest tokens, and one bucket for all others.

A teacher behind an endpoint returns its top K log-probs, not its whole distribution; and K numbers
a token are what can be stored. The student is read at the same tokens; what is left over is one
more category for both, so that the two are distributions again and every divergence applies. Since
merging categories can only lose information, the result is at most the full divergence.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from twiceshy.distillation.losses.divergences import LOWEST_LOGP
from twiceshy.errors import BadInput


class Support(NamedTuple):
    """Some tokens' log-probs by the teacher."""

    tokens: Tensor
    """Token ids, int64 (…, K), without repetition."""
    logp: Tensor
    """Their log-probs in the whole vocabulary, (…, K), nats: exp sums to at most 1."""


def top_support(teacher_logp: Tensor, k: int) -> Support:
    """Return the teacher's K likeliest tokens.

    Args:
        teacher_logp: Log-probs, (…, V).
        k: From 1 to V.

    Raises:
        BadInput: If k is outside that.

    Example:
        >>> top_support(torch.tensor([0.1, 0.7, 0.2]).log(), 2).tokens.tolist()
        [1, 2]
    """
    if not 1 <= k <= teacher_logp.shape[-1]:
        raise BadInput(f"1 to {teacher_logp.shape[-1]} tokens", got=str(k), where="k")
    top = teacher_logp.detach().topk(k, dim=-1)
    return Support(top.indices, top.values)


def on_support(student_logp: Tensor, support: Support) -> tuple[Tensor, Tensor]:
    """Return student and teacher as distributions over K tokens and the rest, (…, K + 1).

    Source: the tail bucket of SDPO (2601.20802). Differs: the tokens are the teacher's, always;
    TRL takes the student's in process and the teacher's from a server.

    Raises:
        BadInput: If the leading shapes differ, a token is outside the student's vocabulary, or the
            teacher's probabilities sum to more than 1.

    Example:
        >>> student = torch.tensor([[0.2, 0.5, 0.3]]).log()
        >>> teacher = torch.tensor([[0.1, 0.7, 0.2]]).log()
        >>> both = on_support(student, top_support(teacher, 1))
        >>> [[round(value, 4) for value in each.exp()[0].tolist()] for each in both]
        [[0.5, 0.5], [0.7, 0.3]]
    """
    _check(student_logp, support)
    chosen = student_logp.gather(-1, support.tokens)
    return _with_rest(chosen), _with_rest(support.logp.to(chosen.dtype).detach())


def _with_rest(logp: Tensor) -> Tensor:
    covered = torch.logsumexp(logp, dim=-1, keepdim=True).clamp(max=0.0)
    rest = -torch.expm1(covered)
    # Where nothing is left the logarithm's gradient would be infinite times 0.
    some = rest > 0
    logarithm = torch.where(some, rest, torch.ones_like(rest)).log()
    empty = torch.full_like(rest, LOWEST_LOGP)
    return torch.cat([logp, torch.where(some, logarithm, empty)], dim=-1)


def _check(student_logp: Tensor, support: Support) -> None:
    tokens, logp = support
    if tokens.shape != logp.shape or tokens.shape[:-1] != student_logp.shape[:-1]:
        raise BadInput(
            f"tokens and log-probs of shape {(*student_logp.shape[:-1], 'K')}",
            got=f"{tuple(tokens.shape)} and {tuple(logp.shape)}",
            where="support",
        )
    vocabulary = student_logp.shape[-1]
    if tokens.numel() and not bool(((tokens >= 0) & (tokens < vocabulary)).all()):
        raise BadInput(
            f"tokens from 0 to {vocabulary - 1}",
            got=f"{int(tokens.min())} to {int(tokens.max())}",
            where="support",
            fix="Teacher and student need one tokenizer.",
        )
    if bool((logp.exp().sum(-1) > 1 + 1e-3).any()):
        raise BadInput(
            "probabilities that sum to at most 1",
            got=f"{float(logp.exp().sum(-1).max()):g}",
            where="support",
            fix="Give log-probs over the whole vocabulary, not renormalised ones or logits.",
        )
