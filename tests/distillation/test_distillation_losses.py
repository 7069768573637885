"""Distillation losses: closed forms, the jump at the ends, tiles, cuts of a batch, bad input."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from losses_case import alphas, drawn, few, logps, seeds
from torch import Tensor, nn

from twiceshy.distillation.losses import (
    Support,
    TeacherHead,
    check_one_tokenizer,
    divergence,
    forward_kl,
    fused_match,
    importance,
    match,
    move,
    on_policy_rows,
    on_support,
    reverse_kl,
    top_support,
    verifier_signed,
)
from twiceshy.errors import BadInput
from twiceshy.objectives import denominator_of
from twiceshy.objectives.denominator import Denominator


def test_two_tokens_by_hand() -> None:
    student = torch.tensor([0.5, 0.5], dtype=torch.float64).log()
    teacher = torch.tensor([0.25, 0.75], dtype=torch.float64).log()
    forward = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    backward = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert float(forward_kl(student, teacher)) == pytest.approx(forward)
    assert float(reverse_kl(student, teacher)) == pytest.approx(backward)
    middle = [0.375, 0.625]
    half = 0.5 * sum(0.5 * math.log(0.5 / m) for m in middle)
    half += 0.5 * sum(t * math.log(t / m) for t, m in zip([0.25, 0.75], middle, strict=True))
    assert float(divergence(student, teacher, alpha=0.5)) == pytest.approx(half)


@few
@given(seed=seeds, alpha=alphas)
def test_zero_on_itself_and_above_it_elsewhere(seed: int, alpha: float) -> None:
    student, teacher = logps(seed, 4, 7), logps(seed + 1, 4, 7)
    torch.testing.assert_close(divergence(student, student, alpha=alpha), torch.zeros(4).double())
    assert bool((divergence(student, teacher, alpha=alpha) > 0).all())


@few
@given(seed=seeds)
def test_kl_agrees_with_torch(seed: int) -> None:
    student, teacher = logps(seed, 3, 5), logps(seed + 1, 3, 5)
    theirs = torch.nn.functional.kl_div(student, teacher, log_target=True, reduction="none")
    torch.testing.assert_close(forward_kl(student, teacher), theirs.sum(-1))


@few
@given(seed=seeds)
def test_the_scale_jumps_at_the_ends_unless_normalised(seed: int) -> None:
    student, teacher = logps(seed, 3, 5), logps(seed + 1, 3, 5)
    for near, end in ((1e-5, 0.0), (1 - 1e-5, 1.0)):
        at_end = divergence(student, teacher, alpha=end)
        beside = divergence(student, teacher, alpha=near)
        assert bool((beside < 1e-4 * at_end.clamp(min=1)).all())
        joined = divergence(student, teacher, alpha=near, normalised=True)
        torch.testing.assert_close(joined, at_end, rtol=1e-3, atol=1e-5)


@few
@given(seed=seeds)
def test_gradients_in_closed_form(seed: int) -> None:
    """By logits: S − T; S · (log(S / T) − KL); and S · (g − Σ S g), g = (1 − α) · log(S / M)."""
    teacher = logps(seed + 1, 6)
    for alpha in (0.0, 0.3, 1.0):
        logits = drawn(seed, 6).requires_grad_()
        divergence(logits.log_softmax(-1), teacher, alpha=alpha).backward()
        logp = logits.detach().log_softmax(-1)
        s, t = logp.exp(), teacher.exp()
        mixture = ((1 - alpha) * s + alpha * t).log()
        g = {0.0: -t / s, 1.0: logp - teacher}.get(alpha, (1 - alpha) * (logp - mixture))
        torch.testing.assert_close(logits.grad, s * (g - (s * g).sum()))


def test_impossible_tokens_are_no_nan() -> None:
    sure = torch.tensor([1.0, 0.0]).log()
    for alpha in (0.0, 0.5, 1.0):
        logits = torch.tensor([0.0, -3.0], requires_grad=True)
        value = divergence(logits.log_softmax(-1), sure, alpha=alpha)
        value.backward()
        assert math.isfinite(value.item())
        assert logits.grad is not None
        assert bool(torch.isfinite(logits.grad).all())


def test_a_clipped_entry_counts_its_bound_and_has_no_gradient() -> None:
    logits = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([0.9, 0.1], dtype=torch.float64).log()
    value = divergence(logits.log_softmax(-1), teacher, alpha=0.0, entry_clip=0.05)
    assert value.item() == pytest.approx(0.05 + 0.1 * math.log(0.2))
    value.backward()
    # Only −T_1 · log S_1 is left, whose slope by logits is T_1 · (S − onehot(1)).
    torch.testing.assert_close(logits.grad, torch.tensor([0.05, -0.05], dtype=torch.float64))


@few
@given(seed=seeds, alpha=alphas, k=st.integers(1, 8))
def test_a_support_never_says_more_than_the_whole(seed: int, alpha: float, k: int) -> None:
    student, teacher = logps(seed, 3, 8), logps(seed + 1, 3, 8)
    pair = on_support(student, top_support(teacher, k))
    part, whole = divergence(*pair, alpha=alpha), divergence(student, teacher, alpha=alpha)
    assert bool((part <= whole + 1e-9).all())
    if k == 8:
        torch.testing.assert_close(part, whole)


def test_a_full_support_keeps_its_gradient() -> None:
    teacher = torch.tensor([0.25, 0.75]).log()
    logits = torch.zeros(2, requires_grad=True)
    student, target = on_support(logits.log_softmax(-1), top_support(teacher, 2))
    divergence(student, target, alpha=0.0).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([0.25, -0.25]))


def ragged(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    mask = drawn(seed + 2, 4, 5) > -0.5
    mask[0, 0] = True
    off = ~mask[..., None]
    student, teacher = logps(seed, 4, 5, 6), logps(seed + 1, 4, 5, 6)
    return student.masked_fill(off, math.nan), teacher.masked_fill(off, math.nan), mask


@few
@given(seed=seeds, kind=st.sampled_from(["tokens", "sequences"]), alpha=alphas)
def test_cutting_a_batch_changes_nothing(seed: int, kind: str, alpha: float) -> None:
    student, teacher, mask = ragged(seed)
    denominator = denominator_of(mask, kind=kind)  # pyrefly: ignore
    weights = drawn(seed + 3, 4).abs()

    def of(rows: slice) -> Tensor:
        return match(
            student[rows],
            teacher[rows],
            mask=mask[rows],
            denominator=denominator,
            alpha=alpha,
            weights=weights[rows],
        ).value

    torch.testing.assert_close(of(slice(0, 1)) + of(slice(1, 4)), of(slice(0, 4)))


@few
@given(seed=seeds)
def test_match_is_the_weighted_mean_and_says_so(seed: int) -> None:
    student, teacher, mask = ragged(seed)
    done = match(student, teacher, mask=mask, denominator=denominator_of(mask), alpha=0.5)
    by_hand = [
        divergence(student[i, j], teacher[i, j], alpha=0.5) for i, j in mask.nonzero().tolist()
    ]
    torch.testing.assert_close(done.value, torch.stack(by_hand).mean())
    torch.testing.assert_close(done.metrics["matched/divergence_sum"], torch.stack(by_hand).sum())
    assert not bool(done.per_token[~mask].any())


@few
@given(
    seed=seeds,
    alpha=alphas,
    tile=st.sampled_from([1, 3, 100]),
    temperature=st.sampled_from([0.7, 1.0, 2.0]),
    top=st.booleans(),
)
def test_tiles_equal_the_plain_loss(
    seed: int, alpha: float, tile: int, temperature: float, top: bool
) -> None:
    hidden, weight = drawn(seed, 5, 3).requires_grad_(), drawn(seed + 1, 7, 3).requires_grad_()
    taught, head = drawn(seed + 2, 5, 4), drawn(seed + 3, 7, 4)
    weights = drawn(seed + 4, 5).abs() * (drawn(seed + 5, 5) > -0.5)
    target = (taught @ head.t() / temperature).log_softmax(-1)
    student = (hidden @ weight.t() / temperature).log_softmax(-1)
    support = top_support(target, 3)
    pair = on_support(student, support) if top else (student, target)
    plain = (weights * divergence(*pair, alpha=alpha, entry_clip=0.3)).sum()
    expected = torch.autograd.grad(plain, (hidden, weight))
    done = fused_match(
        hidden,
        weight,
        teacher=support if top else TeacherHead(taught, head),
        row_weights=weights,
        alpha=alpha,
        entry_clip=0.3,
        temperature=temperature,
        tile_rows=tile,
    )
    torch.testing.assert_close(done.value, plain)
    torch.testing.assert_close(
        torch.autograd.grad(done.value * 2, (hidden, weight)), tuple(2 * g for g in expected)
    )


def test_only_what_trains_gets_a_gradient() -> None:
    hidden, weight = drawn(0, 4, 3), drawn(1, 6, 3).requires_grad_()
    teacher = TeacherHead(drawn(2, 4, 3), drawn(3, 6, 3))
    ones = torch.ones(4, dtype=torch.float64)
    done = fused_match(hidden, weight, teacher=teacher, row_weights=ones)
    done.value.backward()
    assert weight.grad is not None
    with torch.no_grad():
        again = fused_match(hidden, weight, teacher=teacher, row_weights=ones)
    torch.testing.assert_close(again.value, done.value.detach())
    assert not again.value.requires_grad


def test_a_rest_rounded_away_costs_no_ten_thousand_nats() -> None:
    """In 32 bits two tokens hold all of the sure one's mass; the other says 2 % of the rest."""
    sure, unsure = torch.full((1, 10), -30.0), torch.zeros(1, 10)
    sure[0, 0], unsure[0, 0] = 0.0, 6.0
    one, other = sure.log_softmax(-1), unsure.log_softmax(-1)
    for student, teacher, alpha in ((one, other, 0.0), (other, one, 1.0)):
        logits = student.clone().requires_grad_()
        pair = on_support(logits.log_softmax(-1), top_support(teacher, 2))
        part, whole = divergence(*pair, alpha=alpha), divergence(student, teacher, alpha=alpha)
        assert 0.2 < part.item() < whole.item() < 0.51
        part.sum().backward()
        assert logits.grad is not None
        assert logits.grad.abs().max() < 1.0


def test_a_row_is_filled_up_with_minus_infinity() -> None:
    student = torch.tensor([[0.2, 0.5, 0.3], [0.2, 0.5, 0.3]], dtype=torch.float64).log()
    filled = torch.tensor([[0.7, 0.0, 0.0], [0.6, 0.1, 0.0]], dtype=torch.float64).log()
    support = Support(torch.tensor([[1, 0, 0], [0, 1, -1]]), filled)
    ours, taught = (each.exp() for each in on_support(student, support))
    torch.testing.assert_close(ours[0], torch.tensor([0.5, 0, 0, 0.5]).double())
    torch.testing.assert_close(taught[0], torch.tensor([0.7, 0, 0, 0.3]).double())
    torch.testing.assert_close(ours[1], torch.tensor([0.2, 0.5, 0, 0.3]).double())
    torch.testing.assert_close(taught[1], torch.tensor([0.6, 0.1, 0, 0.3]).double())


def test_a_support_on_which_the_student_says_nothing_has_a_gradient() -> None:
    logits = torch.tensor([[-math.inf, 0.0, 0.0]], requires_grad=True)
    support = Support(torch.tensor([[0]]), torch.tensor([[0.5]]).log())
    divergence(*on_support(logits.log_softmax(-1), support), alpha=0.5).sum().backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_the_support_may_be_the_students() -> None:
    student = torch.tensor([[0.1, 0.2, 0.7]]).log()
    teacher = torch.tensor([[0.6, 0.3, 0.1]]).log()
    support = top_support(teacher, 2, by=student)
    assert support.tokens.tolist() == [[2, 1]]
    torch.testing.assert_close(support.logp.exp(), torch.tensor([[0.1, 0.3]]))
    even = top_support(torch.full((4,), 0.25).log(), 3)  # ties: any, but each once
    assert len(set(even.tokens.tolist())) == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_sixteen_bits_are_not_summed_in_sixteen_bits(dtype: torch.dtype, alpha: float) -> None:
    logits = drawn(0, 2, 3, 1000).float() * 3
    near = logits + 0.1 * drawn(1, 2, 3, 1000).float()
    mask = torch.ones(2, 3, dtype=torch.bool)
    given = [each.to(dtype).log_softmax(-1) for each in (logits, near)]
    exact = [each.to(dtype).double().log_softmax(-1) for each in (logits, near)]
    one = match(*given, mask=mask, denominator=denominator_of(mask), alpha=alpha)
    other = match(*exact, mask=mask, denominator=denominator_of(mask), alpha=alpha)
    assert one.value.dtype == torch.float32
    assert one.value.item() == pytest.approx(other.value.item(), rel=0.08)
    assert bool((one.per_token > 0).all())
    kept = on_support(given[0], top_support(given[1], 900))
    for each in kept:
        torch.testing.assert_close(each.exp().sum(-1), torch.ones(2, 3))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("other", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("autocast", [False, True])
def test_tiles_in_mixed_precision(
    dtype: torch.dtype, other: torch.dtype, *, autocast: bool
) -> None:
    hidden = drawn(0, 5, 3).to(dtype).requires_grad_()
    weight = drawn(1, 7, 3).to(dtype).requires_grad_()
    head = TeacherHead(drawn(2, 5, 4).to(other), drawn(3, 7, 4).to(other))
    weights = drawn(4, 5).abs().float()
    whole = (hidden.float() @ weight.float().t()).log_softmax(-1)
    target = (head.hidden.float() @ head.weight.float().t()).log_softmax(-1)
    plain = (weights * divergence(whole, target)).sum()
    expected = torch.autograd.grad(plain, (hidden, weight))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        done = fused_match(hidden, weight, teacher=head, row_weights=weights, tile_rows=2)
    torch.testing.assert_close(done.value, plain.detach(), check_dtype=True)
    torch.testing.assert_close(torch.autograd.grad(done.value, (hidden, weight)), expected)


def test_a_part_of_a_batch_without_a_token_adds_nothing() -> None:
    off = torch.zeros(2, 3, dtype=torch.bool)
    student = logps(0, 2, 3, 4).requires_grad_()
    done = match(student, logps(1, 2, 3, 4), mask=off, denominator=Denominator("tokens", 5))
    done.value.backward()
    assert done.value.item() == 0
    assert not bool(student.grad.any())  # pyrefly: ignore
    empty = match(student[:, :0], student[:, :0], mask=off[:, :0], denominator=by_one)
    assert empty.value.item() == 0


def test_on_policy_share() -> None:
    rows = on_policy_rows(4000, share=0.25, seed=3)
    assert abs(float(rows.double().mean()) - 0.25) < 0.03
    assert torch.equal(rows, on_policy_rows(4000, share=0.25, seed=3))
    assert not bool(on_policy_rows(10, share=0.0, seed=0).any())


ONE = torch.ones(1, 1, dtype=torch.bool)
LOGP = torch.full((1, 1, 2), 0.5).log()
by_one = Denominator("tokens", 1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (partial(divergence, torch.zeros(3), torch.zeros(4)), "one vocabulary"),
        (partial(divergence, torch.zeros(3), torch.zeros(3), alpha=1.5), "alpha"),
        (partial(divergence, torch.zeros(3), torch.zeros(3), entry_clip=0.0), "entry_clip"),
        (partial(top_support, torch.zeros(3), 4), "1 to 3"),
        (
            partial(on_support, LOGP, Support(torch.tensor([[[2]]]), torch.tensor([[[-1.0]]]))),
            "0 to 1",
        ),
        (
            partial(on_support, LOGP, Support(torch.tensor([[[0]]]), torch.tensor([[[1.0]]]))),
            "at most 1",
        ),
        (
            partial(on_support, LOGP, Support(torch.tensor([[0]]), torch.tensor([[-1.0]]))),
            "support",
        ),
        (
            partial(
                on_support,
                LOGP,
                Support(torch.tensor([[[1, 1]]]), torch.tensor([[[-1.0, -1.0]]])),
            ),
            "token 1 twice",
        ),
        (
            partial(on_support, LOGP, Support(torch.tensor([[[1]]]), torch.tensor([[[math.nan]]]))),
            "at most 1",
        ),
        (partial(top_support, torch.zeros(3), 2, by=torch.zeros(4)), "by"),
        (
            partial(match, LOGP, LOGP[..., :1] * 0, mask=ONE, denominator=by_one),
            "one vocabulary",
        ),
        (
            partial(
                match,
                LOGP,
                torch.full((1, 1, 3), 1 / 3).log(),
                mask=ONE,
                denominator=by_one,
            ),
            "one vocabulary",
        ),
        (partial(match, LOGP, LOGP - 1, mask=ONE, denominator=by_one), "sums to 1"),
        (
            partial(match, torch.full((1, 1, 2), 3.0), LOGP, mask=ONE, denominator=by_one),
            "log_softmax",
        ),
        (partial(match, LOGP * math.nan, LOGP, mask=ONE, denominator=by_one), "student"),
        (partial(match, LOGP, LOGP * math.nan, mask=ONE, denominator=by_one), "teacher"),
        (partial(match, LOGP[0], LOGP[0], mask=ONE, denominator=by_one), "shape"),
        (
            partial(match, LOGP, LOGP, mask=ONE, denominator=by_one, weights=-torch.ones(1)),
            "weights",
        ),
        (
            partial(match, LOGP, LOGP, mask=ONE, denominator=by_one, weights=torch.ones(3)),
            "weights",
        ),
        (partial(importance, LOGP[..., 0], old_logp=LOGP[..., 0], mask=ONE, cap=0.5), "cap"),
        (partial(verifier_signed, torch.tensor([2]), LOGP[..., 0], mask=ONE), "labels"),
        (partial(check_one_tokenizer, ["a", "b"], ["a", "c"]), "'b' and 'c'"),
        (partial(check_one_tokenizer, ["a"], ["a", "c"]), "1 and 2 tokens"),
        (partial(move, nn.Linear(1, 2), towards=nn.Linear(1, 1), rate=0.1), "shape"),
        (partial(move, nn.Linear(1, 1), towards=nn.Linear(1, 1), rate=2), "rate"),
    ],
)
def test_bad_input(call: partial[object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        call()


def test_bad_input_to_tiles() -> None:
    hidden, weight, ones = torch.zeros(2, 3), torch.zeros(4, 3), torch.ones(2)
    head = TeacherHead(hidden, weight)
    cases = [
        ((hidden, torch.zeros(4, 2)), {"teacher": head, "row_weights": ones}, "hidden"),
        ((hidden, weight), {"teacher": head, "row_weights": -ones}, "row_weights"),
        ((hidden, weight), {"teacher": head, "row_weights": torch.ones(3)}, "row_weights"),
        (
            (hidden, weight),
            {"teacher": TeacherHead(hidden, weight[:3]), "row_weights": ones},
            "4 tokens",
        ),
        (
            (hidden, weight),
            {"teacher": TeacherHead(hidden[:1], weight), "row_weights": ones},
            "2 teacher",
        ),
        (
            (hidden, weight),
            {"teacher": TeacherHead(hidden, torch.zeros(4, 2)), "row_weights": ones},
            "hidden .M, E. and weight",
        ),
        ((hidden * math.nan, weight), {"teacher": head, "row_weights": ones}, "finite"),
    ]
    for arguments, options, says in cases:
        with pytest.raises(BadInput, match=says):
            fused_match(*arguments, **options)
    trained = hidden.clone().requires_grad_()
    value = fused_match(trained, weight, teacher=head, row_weights=ones).value
    value.backward(retain_graph=True)
    with pytest.raises(BadInput, match="one backward"):
        value.backward()
