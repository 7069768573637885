"""Losses: values by hand, closed-form gradients against autograd, cuts of a batch, bad input."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from batches import Batch, batches, few
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives import losses, offline
from twiceshy.objectives.denominator import Denominator, denominator_of
from twiceshy.objectives.fused_coefficients import head_task
from twiceshy.objectives.fused_head import fused_head
from twiceshy.objectives.guards import added, llds
from twiceshy.objectives.loss_types import Loss

RolloutLoss = Callable[..., Loss]
AnyLoss = Callable[[Batch, Tensor], Loss]

ROLLOUT: dict[str, RolloutLoss] = {
    "reinforce": losses.reinforce,
    "ppo_clip": partial(losses.ppo_clip, clip_low=0.1, clip_high=0.3),
    "ppo_clip, no dual clip": partial(losses.ppo_clip, dual_clip=None),
    "cispo": partial(losses.cispo, ratio_min=0.5, ratio_max=1.5),
    "gspo": partial(losses.gspo, clip_low=0.1, clip_high=0.2),
    "gspo, dual clip": partial(losses.gspo, dual_clip=1.5),
    "topr": losses.topr,
    "topr by token": partial(losses.topr, level="token"),
}


def rollout(loss: RolloutLoss, batch: Batch, logp: Tensor) -> Loss:
    return loss(
        logp,
        old_logp=batch.old_logp,
        advantages=batch.advantages,
        mask=batch.mask,
        denominator=batch.denominator,
    )


def per_token(batch: Batch, logp: Tensor) -> Loss:
    """PPO with an advantage for each token."""
    ramp = torch.linspace(-1, 1, batch.mask.shape[1])
    return rollout(
        losses.ppo_clip, batch._replace(advantages=batch.advantages[:, None] * ramp), logp
    )


def sequences(batch: Batch) -> Denominator:
    return Denominator("sequences", batch.denominator.value)


def unlikelihood(batch: Batch, logp: Tensor) -> Loss:
    return offline.unlikelihood(
        logp,
        labels=batch.labels,
        mask=batch.mask,
        denominator=batch.denominator,
        lambda_pos=0.5,
    )


def npo(batch: Batch, logp: Tensor) -> Loss:
    return offline.npo(
        logp,
        ref_logp=batch.old_logp,
        labels=batch.labels,
        mask=batch.mask,
        denominator=sequences(batch),
        beta=0.3,
    )


def kto(batch: Batch, logp: Tensor) -> Loss:
    return offline.kto(
        logp,
        ref_logp=batch.old_logp,
        labels=batch.labels,
        mask=batch.mask,
        denominator=sequences(batch),
        kl=0.4,
        lambda_neg=0.7,
    )


def preserving(gate: str, batch: Batch, logp: Tensor) -> Loss:
    action = (torch.arange(batch.mask.shape[1]) // 2).expand(batch.mask.shape)
    return llds(
        logp,
        old_logp=batch.old_logp,
        labels=batch.labels,
        mask=batch.mask,
        denominator=batch.denominator,
        gate=gate,  # pyrefly: ignore
        action=action,
    )


def both(batch: Batch, logp: Tensor) -> Loss:
    first, second = rollout(losses.ppo_clip, batch, logp), preserving("token", batch, logp)
    return added(first, second, name="llds")


EVERY: dict[str, AnyLoss] = {
    **{name: partial(rollout, loss) for name, loss in ROLLOUT.items()},
    "by token": per_token,
    "unlikelihood": unlikelihood,
    "npo": npo,
    "kto": kto,
    "llds by action": partial(preserving, "action"),
    "llds by response": partial(preserving, "response"),
    "llds by token": partial(preserving, "token"),
    "ppo_clip and llds": both,
}


@pytest.mark.parametrize("name", EVERY)
@few
@given(batch=batches())
def test_coefficients_are_the_gradient_of_the_value(name: str, batch: Batch) -> None:
    logp = batch.logp.clone().requires_grad_()
    loss = EVERY[name](batch, logp)
    (gradient,) = torch.autograd.grad(loss.value, logp)
    torch.testing.assert_close(loss.coefficients, gradient, rtol=1e-9, atol=1e-12)
    assert not loss.coefficients.requires_grad
    assert loss.coefficients[~batch.mask].eq(0).all()


@pytest.mark.parametrize("name", EVERY)
@few
@given(batch=batches(dtype=torch.float32))
def test_so_they_are_in_single_precision(name: str, batch: Batch) -> None:
    logp = batch.logp.clone().requires_grad_()
    loss = EVERY[name](batch, logp)
    (gradient,) = torch.autograd.grad(loss.value, logp)
    torch.testing.assert_close(loss.coefficients, gradient, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", EVERY)
@few
@given(batch=batches(), cut=st.integers(1, 5))
def test_any_cut_of_the_batch_adds_up(name: str, batch: Batch, cut: int) -> None:
    whole = EVERY[name](batch, batch.logp)
    pieces = [
        piece
        for piece in (batch.rows(slice(None, cut)), batch.rows(slice(cut, None)))
        if len(piece.mask)
    ]
    parts = [EVERY[name](piece, piece.logp) for piece in pieces]
    torch.testing.assert_close(sum(part.value for part in parts), whole.value)
    torch.testing.assert_close(torch.cat([part.coefficients for part in parts]), whole.coefficients)
    for key, value in whole.metrics.items():
        if not key.endswith("_max"):
            torch.testing.assert_close(sum(part.metrics[key] for part in parts), value)


@pytest.mark.parametrize("name", EVERY)
@few
@given(batch=batches())
def test_an_abstaining_row_moves_nothing(name: str, batch: Batch) -> None:
    coefficients = EVERY[name](batch, batch.logp).coefficients
    assert coefficients[batch.labels == 0].eq(0).all()


@pytest.mark.parametrize("name", EVERY)
def test_nothing_but_a_log_probability_passes(name: str) -> None:
    good = Batch(
        logp=torch.tensor([[-1.0, -1.0]]),
        old_logp=torch.tensor([[-1.0, -2.0]]),
        advantages=torch.tensor([-1.0]),
        labels=torch.tensor([-1]),
        group=torch.tensor([0]),
        mask=torch.tensor([[True, True]]),
        entropy=torch.ones(1, 2),
        denominator=Denominator("sequences", 1),
    )
    EVERY[name](good, good.logp)
    for wrong in (math.nan, -math.inf, 0.5):
        with pytest.raises(BadInput, match="log-probabilities"):
            EVERY[name](good, torch.tensor([[-1.0, wrong]]))


@pytest.mark.parametrize("name", ROLLOUT)
def test_losses_can_be_traced(name: str) -> None:
    mask = torch.tensor([[True, True, False], [True, False, False]])
    old = torch.tensor([[-1.0, -0.5, 0.0], [-2.0, 0.0, 0.0]])
    denominator = denominator_of(mask)

    def loss(logp: Tensor, old_logp: Tensor, advantages: Tensor, mask: Tensor) -> Loss:
        return ROLLOUT[name](
            logp, old_logp=old_logp, advantages=advantages, mask=mask, denominator=denominator
        )

    traced = torch.fx.symbolic_trace(loss)
    inputs = (old - 0.3, old, torch.tensor([1.0, -1.0]), mask)
    torch.testing.assert_close(traced(*inputs)[0], loss(*inputs).coefficients)
    torch.testing.assert_close(traced(*inputs)[1], loss(*inputs).value)


@pytest.mark.parametrize("name", ["reinforce", "ppo_clip", "cispo"])
def test_the_fused_head_gives_the_same_gradient(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(12, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 9, (12,), generator=generator)
    logp = torch.log_softmax(hidden @ weight.T, -1)[torch.arange(12), targets].reshape(3, 4)
    mask = torch.rand(3, 4, generator=generator) < 0.8
    old = (logp + 0.3 * torch.randn(3, 4, generator=generator)).detach().clamp(max=0)
    advantages = torch.tensor([1.0, -0.5, 0.0], dtype=torch.float64)
    denominator = denominator_of(mask)
    loss = ROLLOUT[name](
        logp, old_logp=old, advantages=advantages, mask=mask, denominator=denominator
    )
    (expected,) = torch.autograd.grad(loss.value, hidden)
    bounds: dict[str, dict[str, float | None]] = {"ppo_clip": {"clip_low": 0.1, "clip_high": 0.3},
               "cispo": {"ratio_min": 0.5, "ratio_max": 1.5}}  # fmt: skip
    task = head_task(
        name,  # pyrefly: ignore
        old_logp=old,
        advantages=advantages,
        mask=mask,
        denominator=denominator,
        options=bounds.get(name),
    )
    done = fused_head(
        hidden.detach(),
        weight,
        targets=targets,
        coefficients_of=task.coefficients_of,
        keep=task.keep,
        tile_rows=4,
    )
    torch.testing.assert_close(done.grad_hidden, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(done.coefficients.reshape(3, 4), loss.coefficients)


def one(loss: RolloutLoss, *, ratio: float, advantage: float) -> Loss:
    """The loss of one token whose probability changed by `ratio`."""
    return loss(
        torch.tensor([[-1.0 + math.log(ratio)]]).clamp(max=0),
        old_logp=torch.tensor([[-1.0]]),
        advantages=torch.tensor([advantage]),
        mask=torch.tensor([[True]]),
        denominator=Denominator("tokens", 1),
    )


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "slope"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.5, 1.0, -1.3, 0.0),  # a success that rose enough
        (0.5, 1.0, -0.5, -0.5),  # a success that fell is never clipped
        (0.5, -1.0, 0.8, 0.0),  # a failure that fell enough
        (1.5, -1.0, 1.5, 1.5),  # a failure that rose
        (2.5, -1.0, 2.0, 0.0),  # ... beyond the dual clip
    ],
)
def test_ppo_by_hand(ratio: float, advantage: float, value: float, slope: float) -> None:
    loss = one(
        partial(losses.ppo_clip, clip_high=0.3, dual_clip=2.0), ratio=ratio, advantage=advantage
    )
    assert loss.value.item() == pytest.approx(value, abs=1e-5)
    assert loss.coefficients.item() == pytest.approx(slope, abs=1e-5)


def test_topr_tapers_failures_and_never_successes() -> None:
    for ratio, of_wrong in ((2.0, 1.0), (0.25, 0.25), (1e-4, 1e-4)):
        assert one(losses.topr, ratio=ratio, advantage=-1).coefficients.item() == pytest.approx(
            of_wrong, rel=1e-4
        )
        assert one(losses.topr, ratio=ratio, advantage=1).coefficients.item() == -1


def test_gspo_clips_a_sequence_as_a_whole() -> None:
    inputs = {
        "advantages": torch.tensor([-1.0, -1.0]),
        "mask": torch.ones(2, 2, dtype=torch.bool),
        "denominator": Denominator("sequences", 2),
    }
    old = torch.full((2, 2), -1.0)
    logp = torch.tensor([[-1.0, -3.0], [-0.5, -1.5]])  # ratios exp(−1) and 1
    loss = losses.gspo(logp, old_logp=old, **inputs)
    assert loss.coefficients[0].tolist() == [0, 0]
    assert loss.coefficients[1].tolist() == pytest.approx([0.25, 0.25])
    with pytest.raises(BadInput, match="one a sequence"):
        losses.gspo(logp, old_logp=old, **inputs | {"advantages": old})  # pyrefly: ignore


def test_denominators_by_hand() -> None:
    mask = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    assert denominator_of(mask).value == 4
    assert denominator_of(mask, kind="sequences").value == 2
    assert denominator_of(mask, kind="constant", constant=9).value == 9
    live = torch.tensor([False, True, True])
    assert denominator_of(mask, counted=live).value == 1
    assert denominator_of(mask, counted=live & False).value == 1
    weights = denominator_of(mask, kind="sequences").token_weights(mask)
    assert weights.sum(dim=1).tolist() == pytest.approx([0.5, 0.5, 0.0])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"kind": "token"}, "Did you mean tokens"),
        ({"kind": "constant"}, "constant"),
        ({"kind": "constant", "constant": 0.0}, "constant"),
        ({"constant": 3.0}, "constant"),
    ],
)
def test_bad_denominators(options: dict[str, object], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        denominator_of(torch.tensor([[True]]), **options)  # pyrefly: ignore
    with pytest.raises(BadInput, match="at least one response token"):
        denominator_of(torch.tensor([[False]]))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"mask": torch.ones(2, 2)}, "bool mask"),
        ({"advantages": torch.ones(3)}, "advantages"),
        ({"advantages": torch.tensor([math.nan, 0.0])}, "finite advantages"),
        ({"old_logp": torch.zeros(2, 3)}, "old_logp"),
        ({"old_logp": torch.full((2, 2), math.nan)}, "old_logp"),
        ({"clip_low": 2.0}, "clip_low"),
        ({"clip_high": -0.1}, "clip_high"),
        ({"dual_clip": 0.5}, "dual_clip"),
    ],
)
def test_bad_batches(changes: dict[str, object], word: str) -> None:
    good: dict[str, object] = {
        "old_logp": torch.full((2, 2), -1.0),
        "advantages": torch.ones(2),
        "mask": torch.ones(2, 2, dtype=torch.bool),
        "denominator": Denominator("tokens", 4),
    }
    with pytest.raises(BadInput, match=word):
        losses.ppo_clip(torch.full((2, 2), -1.0), **good | changes)  # pyrefly: ignore


def test_bad_offline_and_guard_input() -> None:
    logp, mask = torch.full((1, 1), -1.0), torch.tensor([[True]])
    common = {"labels": torch.tensor([-1]), "mask": mask, "denominator": Denominator("tokens", 1)}
    with pytest.raises(BadInput, match="sequences"):
        offline.npo(logp, ref_logp=logp, **common)  # pyrefly: ignore
    with pytest.raises(BadInput, match="kl"):
        offline.kto(logp, ref_logp=logp, kl=-1.0, **common)  # pyrefly: ignore
    with pytest.raises(BadInput, match="lambda_neg"):
        offline.unlikelihood(logp, lambda_neg=3.0, **common)  # pyrefly: ignore
    with pytest.raises(BadInput, match="labels"):
        offline.unlikelihood(logp, **common | {"labels": torch.tensor([0.3])})  # pyrefly: ignore
    with pytest.raises(BadInput, match="action"):
        llds(logp, old_logp=logp, gate="action", **common)  # pyrefly: ignore
    with pytest.raises(BadInput, match="loss"):
        head_task("gspo", old_logp=logp, advantages=torch.ones(1), mask=mask,  # pyrefly: ignore
                  denominator=Denominator("tokens", 1))  # fmt: skip


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_offline_losses_by_hand() -> None:
    """A success that rose by 0.6 nats in all, a failure that fell by 0.5, an abstention."""
    logp = torch.tensor([[-0.7, -0.7], [-1.5, -1.0], [-1.0, -1.0]])
    batch = {
        "labels": torch.tensor([1, -1, 0]),
        "mask": torch.ones(3, 2, dtype=torch.bool),
        "denominator": Denominator("sequences", 3),
    }
    reference = torch.full((3, 2), -1.0)
    npo = offline.npo(logp, ref_logp=reference, beta=0.5, **batch)
    assert npo.value.item() == pytest.approx(-4 * math.log(sigmoid(0.25)) / 3)
    assert npo.coefficients[1].tolist() == pytest.approx([2 * sigmoid(-0.25) / 3] * 2)
    kto = offline.kto(logp, ref_logp=reference, kl=0.2, beta=0.5, **batch)
    right, wrong = sigmoid(0.5 * (0.6 - 0.2)), sigmoid(0.5 * (0.2 + 0.5))
    assert kto.value.item() == pytest.approx((1 - right + 1 - wrong) / 3)
    assert kto.coefficients[0, 0].item() == pytest.approx(-0.5 * right * (1 - right) / 3)
    assert kto.coefficients[1, 0].item() == pytest.approx(0.5 * wrong * (1 - wrong) / 3)
    away = offline.unlikelihood(logp, lambda_pos=0.5, **batch)
    gone = sum(-math.log(1 + offline.CERTAIN - math.exp(x)) for x in (-1.5, -1.0))
    assert away.value.item() == pytest.approx((0.5 * 1.4 + gone) / 2 / 3)


def test_bounded_losses_let_go_of_what_is_gone() -> None:
    """A failure that has become unlikely is not pushed on."""
    for name in ("unlikelihood", "npo", "kto"):
        mask = torch.tensor([[True]])
        near, far = (
            EVERY[name](
                Batch(
                    torch.tensor([[logp]]),
                    torch.tensor([[-0.5]]),
                    torch.zeros(1),
                    torch.tensor([-1]),
                    torch.tensor([0]),
                    mask,
                    torch.ones(1, 1),
                    Denominator("sequences", 1),
                ),
                torch.tensor([[logp]]),
            ).coefficients.item()
            for logp in (-0.5, -200.0)
        )
        assert near > 0.01
        assert 0 <= far < 1e-3
