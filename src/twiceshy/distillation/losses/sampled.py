"""Losses from the teacher's opinion of the tokens that the student sampled: one number a token.

    gap = teacher_gap(logp, teacher_logp=teacher, mask=mask)          # log T − log S, (N, T)
    advantages = verifier_signed(labels, gap, mask=mask)              # or gap itself
    loss = ppo_clip(logp, old_logp=old, advantages=advantages, mask=mask, denominator=d)

Advantages of shape (N, T) go into every loss of `twiceshy.objectives` and into its fused head.
Shapes: `logp` and `teacher_logp` (N, T), nats, of the sampled tokens; `mask` bool (N, T); `labels`
(N,) as everywhere: +1 verified success, −1 verified failure, 0 abstain.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import (
    checked_logp,
    checked_mask,
    require_between,
    require_shape,
)
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.labels import verified_labels
from twiceshy.objectives.loss_types import Loss, assemble
from twiceshy.objectives.terms import Terms


def teacher_gap(
    logp: Tensor, *, teacher_logp: Tensor, mask: Tensor, clip: float | None = None
) -> Tensor:
    """Return log T − log S of each sampled token, (N, T), 0 off the mask, no graph.

    As advantages of `objectives.losses.reinforce` its expected gradient is that of the reverse KL,
    when the student sampled the tokens: on-policy distillation.

    Source: MiniLLM (2306.08543) and on-policy distillation as a reward, r = log T − log S. Differs:
    no future terms, discount 0.

    Args:
        logp: The student's log-probs.
        teacher_logp: The teacher's, under its own context.
        mask: Response tokens.
        clip: Bound on the absolute value, nats, above 0; None for none.

    Raises:
        BadInput: If shapes differ or a log-prob on the mask is not one.

    Example:
        >>> teacher_gap(torch.tensor([[-1.0, -2.0]]), teacher_logp=torch.tensor([[-3.0, -1.5]]),
        ...             mask=torch.ones(1, 2, dtype=torch.bool), clip=1.0).tolist()
        [[-1.0, 0.5]]
    """
    student = checked_logp(logp, mask=checked_mask(mask)).detach()
    gap = checked_logp(teacher_logp, mask=mask, where="teacher_logp").detach() - student
    if clip is None:
        return gap
    require_between(clip, low=1e-6, high=1e6, where="clip")
    return gap.clamp(-clip, clip)


def verifier_signed(labels: Tensor, gap: Tensor, *, mask: Tensor) -> Tensor:
    """Return advantages whose sign is the verifier's and whose size is the teacher's, (N, T).

    advantage = label · |gap|: every token of a verified success goes up and of a failure goes down,
    most where the teacher, who has seen more, disagrees most. An abstaining row gets 0.

    Source: the idea of Self-Distilled RLVR (2604.03128): reward for the direction, the gap for the
    magnitude only, so that a teacher who leaks the answer cannot teach a wrong direction. Its
    normalisation is not known to us; ours is none.

    Raises:
        BadInput: If shapes differ or a label is not +1, −1 or 0.

    Example:
        >>> verifier_signed(torch.tensor([1, -1, 0]), torch.tensor([[0.5], [2.0], [3.0]]),
        ...                 mask=torch.ones(3, 1, dtype=torch.bool)).tolist()
        [[0.5], [-2.0], [0.0]]
    """
    sign = verified_labels(labels)
    require_shape(gap, like=checked_mask(mask), where="gap")
    require_shape(sign, like=mask[:, 0], where="labels")
    kept = mask & (sign != 0)[:, None]
    return torch.where(kept, sign[:, None] * gap.detach().abs(), 0.0)


def trusted_teacher(
    logp: Tensor,
    *,
    teacher_logp: Tensor,
    labels: Tensor,
    mask: Tensor,
    denominator: Denominator,
    tau: float = 1.0,
    deadband: float = 0.05,
) -> Loss:
    """Return a loss that follows a teacher who was right about an attempt, and flees others.

        gap   = log T − log S;  said = mean over tokens of clip(gap, −3, 3)
        trust = label · sign(said) where |said| > deadband, else 0
        loss  = trust · (log 2 − softplus(−gap² / 2τ))

    The teacher likes an attempt when `said` is above 0; it is trusted where the verifier agrees.
    The loss is bounded, so fleeing stops by itself.

    Source: SGSD (2605.28791), from its code as described; its weight w is `denominator`'s.

    Args:
        logp: The student's log-probs.
        teacher_logp: The teacher's, for example under retrieved skills and mistakes.
        labels: +1, −1 or 0, (N,).
        mask: Response tokens.
        denominator: Of the whole batch; "sequences" for the source's mean over tokens.
        tau: Width of the bound, nats², above 0.
        deadband: Smallest |said| that counts as an opinion, nats.

    Raises:
        BadInput: If shapes differ, a log-prob on the mask is not one, or an option is out of range.

    Example:
        >>> mask = torch.tensor([[True]])
        >>> loss = trusted_teacher(torch.tensor([[-1.0]]), teacher_logp=torch.tensor([[-0.5]]),
        ...                        labels=torch.tensor([1]), mask=mask,
        ...                        denominator=Denominator("sequences", 1))
        >>> round(loss.value.item(), 4), round(loss.coefficients.item(), 4)  # up, to the teacher
        (0.0605, -0.2344)
    """
    require_between(tau, low=1e-6, high=1e6, where="tau")
    require_between(deadband, low=0, high=3, where="deadband")
    student = checked_logp(logp, mask=checked_mask(mask))
    teacher = checked_logp(teacher_logp, mask=mask, where="teacher_logp").detach()
    trust = _trust(teacher - student.detach(), labels=labels, mask=mask, deadband=deadband)
    gap = teacher - student
    scaled = gap.square() / (2 * tau)
    loss = trust * (math.log(2) + _minus_softplus(-scaled))
    slope = (-trust * torch.sigmoid(-scaled) * gap / tau).detach()
    still = torch.zeros_like(mask)
    terms = Terms(loss, slope, torch.ones_like(slope), still)
    return assemble(terms, advantages=trust, mask=mask, denominator=denominator)


def _minus_softplus(values: Tensor) -> Tensor:
    return -torch.nn.functional.softplus(values)


def _trust(gap: Tensor, *, labels: Tensor, mask: Tensor, deadband: float) -> Tensor:
    sign = verified_labels(labels)
    require_shape(sign, like=mask[:, 0], where="labels")
    length = mask.sum(1).clamp(min=1)
    said = (gap.clamp(-3, 3) * mask).sum(1) / length
    heard = torch.where(said.abs() > deadband, said.sign(), torch.zeros_like(said))
    return (sign * heard)[:, None]


def check_one_tokenizer(student: list[str], teacher: list[str]) -> None:
    """Refuse two vocabularies that differ.

    Raises:
        BadInput: With the first token that differs.

    Example:
        >>> check_one_tokenizer(["a", "b"], ["a", "b"])
    """
    if student == teacher:
        return
    pairs = enumerate(zip(student, teacher, strict=False))
    first = next((f"token {i}: {a!r} and {b!r}" for i, (a, b) in pairs if a != b), None)
    raise BadInput(
        "one vocabulary for student and teacher",
        got=first or f"{len(student)} and {len(teacher)} tokens",
        where="tokenizers",
        fix="Distil from the teacher's text (export to SFT), or use a trainer across tokenizers.",
    )
