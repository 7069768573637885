"""The contracts of stacks that are not in the test environment, as numbers.

What is tested is the arithmetic each of them asks of a loss or an advantage, on the shared batch
and with our functions; docs/trainers.md says what was and was not run there. Where tinker is
installed, its own code is used as well.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from same_batch import CLIP, DUAL_CLIP, gradient_of, response_logp, same_batch, tiny_model
from torch import Tensor

from twiceshy.objectives import Denominator, denominator_of, ppo_clip, topr, w_reinforce

BATCH = same_batch()
N = float(BATCH.mask.sum())
ADVANTAGES = w_reinforce(BATCH.labels, BATCH.group)
BOUNDS = {"clip_low": CLIP, "clip_high": CLIP, "dual_clip": DUAL_CLIP}
LENGTHS = BATCH.mask.sum(dim=1).tolist()


def whole(logp: Tensor) -> Tensor:
    """The loss of the batch, in one piece."""
    return ppo_clip(
        logp, old_logp=BATCH.old_logp, advantages=ADVANTAGES, mask=BATCH.mask,
        denominator=denominator_of(BATCH.mask), **BOUNDS,
    ).value  # fmt: skip


def model_gradient(loss_of: Any) -> Tensor:
    """d loss / d weights, for a loss of the log-probs."""
    model = tiny_model()
    loss_of(response_logp(model, BATCH.prompts, BATCH.responses)).backward()
    return gradient_of(model)


def one(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Any:
    """The loss of one attempt, [T] each, as tinker's uploaded losses are written."""
    loss = ppo_clip(
        logprobs[None], old_logp=old_logprobs[None], advantages=advantages[None],
        mask=mask[None] > 0, denominator=Denominator("constant", 70.0), **BOUNDS,
    ).value  # fmt: skip
    return loss, {"custom/ppo:sum": loss}


def rows(i: int) -> tuple[Tensor, Tensor, Tensor]:
    """Old log-probs, advantages and mask of attempt i, by token, unpadded."""
    n = LENGTHS[i]
    return BATCH.old_logp[i, :n], ADVANTAGES[i].expand(n), torch.ones(n)


def test_tinker_weights_are_minus_the_coefficients() -> None:
    def ours(data: Any, logprobs: list[Tensor]) -> tuple[Tensor, dict[str, float]]:
        del data
        padded = torch.nn.utils.rnn.pad_sequence(logprobs, batch_first=True)
        return whole(padded), {}

    def through_weights(logp: Tensor) -> Tensor:
        ragged = [row[:n].detach() for row, n in zip(logp, LENGTHS, strict=True)]
        weights = tinker_weights(ours, ragged)
        pairs = zip(weights, logp, LENGTHS, strict=True)
        return sum((-row[:n] * w).sum() for w, row, n in pairs)  # type: ignore[return-value]

    gradient = model_gradient(through_weights)
    assert gradient.norm() > 0.01
    torch.testing.assert_close(gradient, model_gradient(whole), rtol=0, atol=1e-6)


def tinker_weights(loss: Any, logprobs: list[Tensor]) -> list[Tensor]:
    """Return −d loss / d logprobs; by tinker's own code where it is installed."""
    try:
        from tinker import types  # pyrefly: ignore[missing-import]
        from tinker.lib.public_interfaces.training_client import (  # pyrefly: ignore[missing-import]
            TrainingClient,
        )
    except ImportError:
        leaves = [each.clone().requires_grad_() for each in logprobs]
        loss(None, leaves)[0].backward()
        return [-leaf.grad for leaf in leaves]  # pyrefly: ignore[unsupported-operation]
    data = [
        types.Datum(
            model_input=types.ModelInput.from_ints([1]), loss_fn_inputs={"target_tokens": [2]}
        )
        for _ in logprobs
    ]
    outputs = [{"logprobs": SimpleNamespace(data=each.tolist(), shape=None)} for each in logprobs]
    found = TrainingClient._compute_custom_loss(
        data, loss, SimpleNamespace(loss_fn_outputs=outputs)
    )
    return [torch.tensor(datum.loss_fn_inputs["weights"].data) for datum in found.data]


def test_tinker_can_trace_the_loss_of_one_attempt() -> None:
    assert N == 70.0
    traced = torch.fx.symbolic_trace(one)
    logp = response_logp(tiny_model(), BATCH.prompts, BATCH.responses).detach()
    total = sum(traced(logp[i, :n], *rows(i))[0] for i, n in enumerate(LENGTHS))
    torch.testing.assert_close(total, whole(logp), rtol=0, atol=1e-6)
    tensor_only = {"call_function", "call_method", "placeholder", "output"}
    assert {node.op for node in traced.graph.nodes} <= tensor_only


def test_tinker_accepts_it() -> None:
    custom = pytest.importorskip("tinker.lib.public_interfaces.custom_loss")
    ranks = {"logprobs": 1, "old_logprobs": 1, "advantages": 1, "mask": 1}
    handle = custom.trace_loss(one, ranks, "session")
    assert len(custom.encode_graph(handle).nodes) > 20


def test_skyrl_sums_advantages_that_carry_the_reduction() -> None:
    def summed(logp: Tensor) -> Tensor:
        return ppo_clip(
            logp, old_logp=BATCH.old_logp, advantages=ADVANTAGES / N, mask=BATCH.mask,
            denominator=Denominator("constant", 1.0), **BOUNDS,
        ).value  # fmt: skip

    torch.testing.assert_close(model_gradient(summed), model_gradient(whole), rtol=0, atol=1e-6)


@pytest.mark.parametrize("loss", [ppo_clip, topr])
def test_prime_rl_adds_up_attempts_and_divides_itself(loss: Any) -> None:
    options = BOUNDS if loss is ppo_clip else {}

    def batch(logp: Tensor) -> Tensor:
        return loss(
            logp, old_logp=BATCH.old_logp, advantages=ADVANTAGES, mask=BATCH.mask,
            denominator=denominator_of(BATCH.mask), **options,
        ).value  # fmt: skip

    def by_attempt(logp: Tensor) -> Tensor:
        total = logp.new_zeros(())
        for i, n in enumerate(LENGTHS):
            old, advantages, mask = rows(i)
            total = total + loss(
                logp[i : i + 1, :n], old_logp=old[None], advantages=advantages[None],
                mask=mask[None] > 0, denominator=Denominator("constant", 1.0), **options,
            ).value  # fmt: skip
        return total / N

    torch.testing.assert_close(model_gradient(by_attempt), model_gradient(batch), rtol=0, atol=1e-6)


def test_no_centred_reward_expresses_nsr() -> None:
    """Why OpenRLHF, and TRL without the plug, need another advantage and not another reward."""
    for reward in (-1.0, 0.0, 7.0):
        all_wrong = torch.full((8,), reward)
        assert bool((all_wrong - all_wrong.mean() == 0).all())
    assert bool((w_reinforce(torch.full((8,), -1), torch.zeros(8, dtype=torch.int64)) < 0).all())
