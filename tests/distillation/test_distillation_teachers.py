"""Distillation from a teacher: what the gap, the verifier and a moving teacher do."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses_case import drawn, few, logps, seeds
from torch import nn

from twiceshy.distillation.losses import (
    Support,
    divergence,
    fixed_copy,
    match,
    move,
    on_support,
    reverse_kl,
    teacher_gap,
    trusted_teacher,
    verifier_signed,
)
from twiceshy.errors import BadInput
from twiceshy.objectives import denominator_of
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.losses import reinforce


def test_the_gap_as_advantage_is_the_reverse_kl_on_average() -> None:
    """Σ_y S(y) · gradient of −(log T − log S)(y) · log S(y) = gradient of KL(S ‖ T)."""
    teacher = logps(1, 5)
    logits = drawn(0, 5).requires_grad_()
    (exact,) = torch.autograd.grad(reverse_kl(logits.log_softmax(-1), teacher), logits)
    sampled = torch.zeros_like(exact)
    mask = torch.ones(1, 1, dtype=torch.bool)
    for token in range(5):
        logp = logits.log_softmax(-1)[token].reshape(1, 1)
        gap = teacher_gap(logp, teacher_logp=teacher[token].reshape(1, 1), mask=mask)
        loss = reinforce(logp, advantages=gap, mask=mask, denominator=Denominator("tokens", 1))
        (slope,) = torch.autograd.grad(loss.value, logits)
        sampled += logp.detach().exp().squeeze() * slope
    torch.testing.assert_close(sampled, exact)


def test_the_verifier_decides_the_direction() -> None:
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    gap = torch.tensor([[0.5, -2.0], [3.0, 9.0], [1.0, 1.0]])
    advantages = verifier_signed(torch.tensor([1, -1, 0]), gap, mask=mask)
    assert advantages.tolist() == [[0.5, 2.0], [-3.0, 0.0], [0.0, 0.0]]


@few
@given(seed=seeds, tau=st.sampled_from([0.1, 1.0, 5.0]))
def test_trusted_teacher_against_autograd(seed: int, tau: float) -> None:
    mask = drawn(seed, 4, 3) > -1
    mask[:, 0] = True
    logp = (-drawn(seed + 1, 4, 3).abs() - 0.01).requires_grad_()
    teacher = -drawn(seed + 2, 4, 3).abs() - 0.01
    loss = trusted_teacher(
        logp,
        teacher_logp=teacher,
        labels=torch.tensor([1, -1, 0, 1]),
        mask=mask,
        denominator=denominator_of(mask, kind="sequences"),
        tau=tau,
    )
    (slope,) = torch.autograd.grad(loss.value, logp)
    torch.testing.assert_close(slope, loss.coefficients)
    assert not bool(slope[2].any())  # nobody judged it
    assert not bool(slope[~mask].any())


def test_a_teacher_who_liked_a_failure_is_fled_from() -> None:
    mask = torch.ones(2, 1, dtype=torch.bool)
    loss = trusted_teacher(
        torch.tensor([[-2.0], [-2.0]]),
        teacher_logp=torch.tensor([[-1.0], [-1.0]]),
        labels=torch.tensor([1, -1]),
        mask=mask,
        denominator=denominator_of(mask),
    )
    towards, away = loss.coefficients[:, 0].tolist()
    assert towards < 0 < away  # d loss / d logp: a step raises the first log-prob, lowers the other


def test_a_teacher_without_an_opinion_teaches_nothing() -> None:
    mask = torch.ones(1, 1, dtype=torch.bool)
    loss = trusted_teacher(
        torch.tensor([[-1.0]]),
        teacher_logp=torch.tensor([[-0.96]]),
        labels=torch.tensor([1]),
        mask=mask,
        denominator=denominator_of(mask),
    )
    assert loss.coefficients.item() == 0


def test_fixed_and_moving_teachers() -> None:
    student = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    teacher = fixed_copy(student)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    before = [p.clone() for p in teacher.parameters()]
    move(teacher, towards=student)
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.parameters(), strict=True))
    move(teacher, towards=student, rate=0.5)
    for old, new in zip(before, teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.5)
    move(teacher, towards=student, rate=1.0)
    for mine, theirs in zip(student.parameters(), teacher.parameters(), strict=True):
        torch.testing.assert_close(mine.detach(), theirs)


def test_no_gradient_reaches_the_teacher() -> None:
    mask = torch.ones(1, 2, dtype=torch.bool)
    by_all = denominator_of(mask)
    teacher = drawn(1, 1, 2, 4).requires_grad_()
    taught = teacher.log_softmax(-1)
    logits = drawn(0, 1, 2, 4).requires_grad_()
    student = logits.log_softmax(-1)
    token = taught[..., 0]
    values = [
        match(student, taught, mask=mask, denominator=by_all).value,
        divergence(*on_support(student, Support(taught.topk(2).indices, taught.topk(2).values)))
        .sum(),
        trusted_teacher(
            student[..., 0], teacher_logp=token, labels=torch.tensor([1]), mask=mask,
            denominator=by_all,
        ).value,
        reinforce(
            student[..., 0],
            advantages=teacher_gap(student[..., 0], teacher_logp=token, mask=mask),
            mask=mask, denominator=by_all,
        ).value,
    ]  # fmt: skip
    for value in values:
        (slope, none) = torch.autograd.grad(
            value, (logits, teacher), retain_graph=True, allow_unused=True
        )
        assert bool(slope.any())
        assert none is None


def test_a_batch_in_which_nobody_was_judged_teaches_nothing() -> None:
    mask = torch.tensor([[True, False], [True, True]])
    logp = -drawn(0, 2, 2).abs()
    nobody = torch.tensor([0, 0])
    loss = trusted_teacher(
        logp, teacher_logp=logp - 1, labels=nobody, mask=mask, denominator=denominator_of(mask)
    )
    assert loss.value.item() == 0
    assert not bool(loss.coefficients.any())
    gap = torch.tensor([[math.inf, math.nan], [1.0, math.nan]])
    assert verifier_signed(nobody, gap, mask=mask).tolist() == [[0, 0], [0, 0]]
    off = verifier_signed(torch.tensor([1, -1]), torch.tensor([[2.0, math.nan]] * 2),
                          mask=torch.tensor([[True, False]] * 2))  # fmt: skip
    assert off.tolist() == [[2, 0], [-2, 0]]


class Tied(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.words = nn.Embedding(3, 2)
        self.head = nn.Linear(2, 3, bias=False)
        self.head.weight = self.words.weight
        nn.init.constant_(self.head.weight, value)
        self.register_buffer("seen", torch.tensor([int(value)]))
        self.register_buffer("scale", torch.tensor([value]))


def test_a_tied_parameter_moves_once_and_buffers_follow() -> None:
    student = Tied(1.0)
    teacher = fixed_copy(Tied(0.0))
    move(teacher, towards=student, rate=0.25)
    assert teacher.get_parameter("head.weight") is teacher.get_parameter("words.weight")
    assert teacher.get_parameter("words.weight").unique().tolist() == [0.25]
    assert teacher.get_buffer("seen").tolist() == [1]
    assert teacher.get_buffer("scale").tolist() == [0.25]
    assert student.head.weight.unique().tolist() == [1.0]


def test_a_slow_teacher_moves_in_32_bits_only() -> None:
    student = nn.Linear(1, 1, bias=False).bfloat16()
    nn.init.constant_(student.weight, 1.0)
    coarse, fine = fixed_copy(student), fixed_copy(student, dtype=torch.float32)
    nn.init.constant_(student.weight, 1.0625)
    for teacher in (coarse, fine):
        move(teacher, towards=student, rate=0.05)
    assert coarse.get_parameter("weight").item() == 1.0
    assert fine.get_parameter("weight").item() == pytest.approx(1.003125)
    with pytest.raises(BadInput, match=r"bias: absent and \(1,\)"):
        move(fine, towards=nn.Linear(1, 1), rate=0.1)
