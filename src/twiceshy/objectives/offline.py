"""Bounded losses for logs of failures without rollouts: unlikelihood, NPO, KTO.

Each takes labels, not advantages, and stops pushing once the policy has left a failure. `labels`
are +1, −1 or 0 (abstain: no gradient), shape (N,); other shapes as in `losses`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import checked_logp, checked_mask, require_between, require_shape
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.labels import verified_labels
from twiceshy.objectives.loss_types import Loss, assemble
from twiceshy.objectives.terms import Terms

CERTAIN = 1e-4
"""Added to 1 − probability, so that a token of probability 1 has a finite slope. Ours."""


def unlikelihood(
    logp: Tensor,
    *,
    labels: Tensor,
    mask: Tensor,
    denominator: Denominator,
    lambda_pos: float = 0.0,
    lambda_neg: float = 1.0,
) -> Loss:
    """Return −log(1 − probability) on failures' tokens, and −logp on successes' if asked.

    wrong: −lambda_neg · log(1 + CERTAIN − exp(logp));  right: −lambda_pos · logp

    Source: Welleck et al. (1908.04319), token level. Differs: candidates are the tokens of failed
    attempts, not repeated ones. A rare token gets next to no push: its slope is its probability.

    Args:
        logp: Log-probs now, (N, T), nats.
        labels: (N,).
        mask: Response tokens, bool (N, T).
        denominator: Of the whole batch.
        lambda_pos: Weight of likelihood on successes, 0 to 1.
        lambda_neg: Weight of unlikelihood on failures, 0 to 1.

    Raises:
        BadInput: If labels are not labels, shapes differ, or a log-prob or weight is not one.

    Example:
        >>> loss = unlikelihood(torch.tensor([[-0.6931]]), labels=torch.tensor([-1]),
        ...                     mask=torch.tensor([[True]]), denominator=Denominator("tokens", 1))
        >>> round(loss.value.item(), 3)
        0.693
    """
    require_between(lambda_pos, low=0, high=1, where="lambda_pos")
    require_between(lambda_neg, low=0, high=1, where="lambda_neg")
    sign = _row_labels(labels, mask=mask, dtype=logp.dtype)
    raw = checked_logp(logp, mask=mask)
    kept = raw.clamp(max=0.0)
    now = kept.detach()
    left = 1 + CERTAIN - kept.exp()
    loss = torch.where(sign > 0, -lambda_pos * kept, -lambda_neg * left.log() * (sign < 0))
    down = lambda_neg * now.exp() / left.detach() * (sign < 0)
    slope = torch.where(sign > 0, -lambda_pos * torch.ones_like(now), down)
    slope = slope * (raw.detach() <= 0)  # rounding above 0 is cut, and has no gradient
    return _assemble(loss, slope, sign=sign, mask=mask, denominator=denominator)


def npo(
    logp: Tensor,
    *,
    ref_logp: Tensor,
    labels: Tensor,
    mask: Tensor,
    denominator: Denominator,
    beta: float = 0.1,
) -> Loss:
    """Return negative preference optimisation: failures alone, bounded by a reference.

    loss of a failed sequence = −(2 / beta) · log σ(−beta · Σ (logp − ref_logp))

    Source: NPO (2404.05868). Its gradient weight fades as the policy leaves the
    failure. Successes and abstentions get none.

    Args:
        logp: Log-probs now, (N, T), nats.
        ref_logp: Log-probs under the reference policy, (N, T).
        labels: (N,).
        mask: Response tokens, bool (N, T).
        denominator: Of kind "sequences": the loss has one value a sequence.
        beta: Inverse temperature, 0.001 to 10. 0.1 is the paper's.

    Raises:
        BadInput: As for `unlikelihood`, or if the denominator is of another kind.
    """
    require_between(beta, low=1e-3, high=10, where="beta")
    sign = _row_labels(labels, mask=mask, dtype=logp.dtype)
    drift = _drift(logp, ref_logp, mask=mask, denominator=denominator)
    loss = -(2 / beta) * logsigmoid(-beta * drift) * (sign < 0)
    slope = 2 * torch.sigmoid(beta * drift.detach()) * (sign < 0)
    return _by_sequence(loss, slope, sign=sign, mask=mask, denominator=denominator)


def kto(
    logp: Tensor,
    *,
    ref_logp: Tensor,
    labels: Tensor,
    mask: Tensor,
    denominator: Denominator,
    kl: float,
    beta: float = 0.1,
    lambda_pos: float = 1.0,
    lambda_neg: float = 1.0,
) -> Loss:
    """Return Kahneman-Tversky optimisation: each sequence against a reference point, unpaired.

    right: lambda_pos · (1 − σ(beta · (drift − kl)));
    wrong: lambda_neg · (1 − σ(beta · (kl − drift)));  drift = Σ (logp − ref_logp)

    Source: KTO (2402.01306). Differs: the reference point `kl` is an argument, so that
    one number serves all micro-batches.

    Args:
        logp: Log-probs now, (N, T), nats.
        ref_logp: Log-probs under the reference policy, (N, T).
        labels: (N,).
        mask: Response tokens, bool (N, T).
        denominator: Of kind "sequences".
        kl: Reference point, at least 0: an estimate of the policy's KL from the reference, made
            once for the whole batch.
        beta: Inverse temperature, 0.001 to 10.
        lambda_pos: Weight of successes, 0 to 1.
        lambda_neg: Weight of failures, 0 to 1.

    Raises:
        BadInput: As for `npo`, or if kl is negative.
    """
    require_between(beta, low=1e-3, high=10, where="beta")
    require_between(kl, low=0, high=1e6, where="kl")
    require_between(lambda_pos, low=0, high=1, where="lambda_pos")
    require_between(lambda_neg, low=0, high=1, where="lambda_neg")
    sign = _row_labels(labels, mask=mask, dtype=logp.dtype)
    drift = _drift(logp, ref_logp, mask=mask, denominator=denominator)
    weight = (lambda_pos * (sign > 0) + lambda_neg * (sign < 0)).to(logp.dtype)
    value = torch.sigmoid(sign * beta * (drift - kl))
    slope = -weight * sign * beta * (value * (1 - value)).detach()
    return _by_sequence(weight * (1 - value), slope, sign=sign, mask=mask, denominator=denominator)


def _row_labels(labels: Tensor, *, mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return checked labels as (N, 1)."""
    sign = verified_labels(labels)
    require_shape(sign, like=checked_mask(mask)[:, 0], where="labels")
    return sign[:, None].to(dtype)


def _drift(logp: Tensor, ref_logp: Tensor, *, mask: Tensor, denominator: Denominator) -> Tensor:
    """Return how much likelier each sequence is than under the reference, nats, (N, 1)."""
    if denominator.kind != "sequences":
        raise BadInput(
            'a denominator of kind "sequences": the loss has one value a sequence',
            got=f'"{denominator.kind}"',
            where="denominator",
        )
    reference = checked_logp(ref_logp, mask=mask, where="ref_logp").detach()
    return (checked_logp(logp, mask=mask) - reference).sum(dim=1, keepdim=True)


def _assemble(
    loss: Tensor, slope: Tensor, *, sign: Tensor, mask: Tensor, denominator: Denominator
) -> Loss:
    plain = torch.ones_like(slope)
    terms = Terms(loss, slope, plain, plain < 0)
    return assemble(terms, advantages=sign, mask=mask, denominator=denominator)


def _by_sequence(
    loss: Tensor, slope: Tensor, *, sign: Tensor, mask: Tensor, denominator: Denominator
) -> Loss:
    """Return the loss of values (N, 1) whose slope is in the *sum* over the sequence's tokens."""
    length = mask.sum(dim=1, keepdim=True)
    return _assemble(loss, slope * length, sign=sign, mask=mask, denominator=denominator)
