"""The same batch through our distillation losses and through the functions of TRL's trainers."""

from __future__ import annotations

import os
from typing import NamedTuple

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import pytest
import torch
from self_distillation_case import quiet
from torch import Tensor, nn
from trl.experimental.gkd.gkd_trainer import GKDTrainer
from trl.experimental.sdft import loss_utils
from trl.trainer.callbacks import SyncRefModelCallback

from twiceshy.distillation.losses import (
    Support,
    fixed_copy,
    importance,
    match,
    move,
    on_support,
    teacher_gap,
    top_support,
)
from twiceshy.objectives import denominator_of
from twiceshy.objectives.losses import reinforce

pytestmark = quiet
ALPHAS = [0.0, 0.1, 0.5, 0.9, 1.0]


class Batch(NamedTuple):
    student: Tensor
    """Logits, (N, T, V), a leaf."""
    teacher: Tensor
    tokens: Tensor
    mask: Tensor


def batch() -> Batch:
    generator = torch.Generator().manual_seed(5)
    student, teacher = 3 * torch.randn(2, 3, 4, 12, generator=generator, dtype=torch.float64)
    tokens = torch.randint(12, (3, 4), generator=generator)
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    return Batch(student.requires_grad_(), teacher, tokens, mask)


def by_sequence(per_token: Tensor, mask: Tensor) -> Tensor:
    """As SDFT's and SDPO's trainers take the mean: over tokens, then over sequences."""
    return ((per_token * mask).sum(-1) / mask.sum(-1)).mean()


def assert_same(ours: Tensor, theirs: Tensor, logits: Tensor) -> None:
    assert theirs.abs() > 1e-2
    torch.testing.assert_close(ours, theirs)
    mine, other = (
        torch.autograd.grad(each, logits, retain_graph=True)[0] for each in (ours, theirs)
    )
    assert mine.norm() > 1e-3
    torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_gkd(alpha: float) -> None:
    student, teacher, tokens, mask = batch()
    labels = tokens.masked_fill(~mask, -100)
    theirs = GKDTrainer.generalized_jsd_loss(
        student, teacher, labels, beta=alpha, temperature=0.9, num_items_in_batch=int(mask.sum())
    )
    pair = [(each / 0.9).log_softmax(-1) for each in (student, teacher)]
    ours = match(*pair, mask=mask, denominator=denominator_of(mask), alpha=alpha).value
    assert_same(ours, theirs, student)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_whole_distributions_of_stale_answers(alpha: float) -> None:
    student, teacher, tokens, mask = batch()
    now = student.log_softmax(-1)
    logp = now.gather(-1, tokens[..., None])[..., 0]
    old = (logp.detach() - torch.linspace(-2, 2, 12).reshape(3, 4)).clamp(max=0)
    full = loss_utils.compute_full_logit_self_distillation_loss(
        student, teacher, distillation_alpha=alpha
    )
    theirs = by_sequence(
        loss_utils.apply_importance_sampling_clipping(full, logp, old, clip_coeff=2.0), mask
    )
    ours = match(
        now,
        teacher.log_softmax(-1),
        mask=mask,
        denominator=denominator_of(mask, kind="sequences"),
        alpha=alpha,
        weights=importance(logp, old_logp=old, mask=mask, cap=2.0),
    ).value
    assert_same(ours, theirs, student)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("k", [1, 4, 12])
def test_the_students_top_tokens(alpha: float, k: int) -> None:
    student, teacher, _, mask = batch()
    theirs = loss_utils.compute_topk_self_distillation_loss(
        student,
        teacher,
        distillation_topk=k,
        distillation_alpha=alpha,
        distillation_add_tail=True,
    )
    now, taught = student.log_softmax(-1), teacher.log_softmax(-1)
    pair = on_support(now, top_support(taught, k, by=student))
    ours = match(
        *pair, mask=mask, denominator=denominator_of(mask, kind="sequences"), alpha=alpha
    ).value
    assert_same(ours, by_sequence(theirs, mask), student)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_teachers_top_tokens_filled_up(alpha: float) -> None:
    """As from a teacher server; a row with fewer tokens than K, which TRL fills with token 0."""
    student, teacher, _, mask = batch()
    now = student.log_softmax(-1)
    tokens, taught = top_support(teacher.log_softmax(-1), 5)
    fewer = (torch.arange(5) >= 3).expand_as(taught)
    row = torch.arange(3)[:, None, None] == 1
    taught = taught.masked_fill(fewer & row, -torch.inf)
    ours = match(
        *on_support(now, Support(tokens.masked_fill(fewer & row, 0), taught)),
        mask=mask,
        denominator=denominator_of(mask, kind="sequences"),
        alpha=alpha,
    ).value
    chosen = now.gather(-1, tokens)
    theirs = [
        loss_utils.compute_divergence(
            loss_utils.add_tail_bucket(chosen[i, :, :k]),
            loss_utils.add_tail_bucket(taught[i, :, :k]),
            alpha,
        )
        for i, k in enumerate((5, 3, 5))
    ]
    assert_same(ours, by_sequence(torch.stack(theirs), mask), student)


def test_sampled_tokens() -> None:
    student, teacher, tokens, mask = batch()
    theirs = loss_utils.compute_sampled_token_self_distillation_loss(
        student, teacher, tokens, distillation_alpha=1.0
    )
    logp, taught = (
        each.log_softmax(-1).gather(-1, tokens[..., None])[..., 0] for each in (student, teacher)
    )
    ours = reinforce(
        logp,
        advantages=teacher_gap(logp, teacher_logp=taught, mask=mask),
        mask=mask,
        denominator=denominator_of(mask, kind="sequences"),
    ).value
    assert_same(ours, by_sequence(theirs, mask), student)


def test_a_moving_teacher_with_a_tied_head() -> None:
    def made(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            words, head = nn.Embedding(4, 3), nn.Linear(3, 4)
        head.weight = words.weight
        return nn.Sequential(words, head)

    student, ours = made(0), fixed_copy(made(1))
    theirs = fixed_copy(ours)
    for _ in range(3):
        move(ours, towards=student, rate=0.05)
        SyncRefModelCallback._sync_target_model(student, theirs, 0.05)
    assert not torch.equal(ours[0].weight, student[0].weight)  # pyrefly: ignore
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
