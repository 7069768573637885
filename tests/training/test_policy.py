from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from twiceshy.errors import BadInput
from twiceshy.training.policy import PolicyConfig, TinyPolicy, as_tensor
from twiceshy.training.streams import sequence_keys, uniforms

SMALL = PolicyConfig(width=16, n_layers=3, n_heads=2)


def small(seed: int = 0) -> TinyPolicy:
    return TinyPolicy(SMALL, n_tokens=11, max_length=12, seed=seed)


def plain_logits(policy: TinyPolicy, tokens: torch.Tensor) -> torch.Tensor:
    """The same network without any sharing or cache: one sequence, full causal attention."""
    x = policy.token(tokens) + policy.position.weight[: len(tokens)]
    for block in policy._layers():
        query, key, value = block.heads(x[None])
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = block.after(x[None], attended)[0]
    return policy.head(policy.norm(x))


def draws(n: int, n_tokens: int) -> torch.Tensor:
    return as_tensor(uniforms(sequence_keys(1, purpose="test", step=0, n=n), n_tokens))


def test_shared_prefix_equals_the_plain_network() -> None:
    policy, rng = small(), np.random.default_rng(0)
    prompts = as_tensor(rng.integers(0, 11, size=(3, 5)))
    responses = as_tensor(rng.integers(0, 11, size=(6, 7)))
    prompt_of = torch.tensor([2, 0, 0, 1, 2, 2])
    logits = policy(prompts, responses, prompt_of=prompt_of)
    for row in range(6):
        whole = torch.cat([prompts[prompt_of[row]], responses[row]])
        torch.testing.assert_close(logits[row], plain_logits(policy, whole)[4:-1])


def test_gradients_pass_through_the_shared_prefix() -> None:
    prompts, responses = torch.tensor([[1, 2, 3]]), torch.tensor([[4, 5], [6, 7]])
    shared, repeated = small(), small()
    shared.logp(prompts, responses, prompt_of=torch.zeros(2, dtype=torch.int64)).sum().backward()
    twice = prompts.repeat(2, 1)
    repeated.logp(twice, responses, prompt_of=torch.arange(2)).sum().backward()
    for one, other in zip(shared.parameters(), repeated.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_sampled_log_probabilities_are_those_of_the_training_pass() -> None:
    policy = small()
    prompts = torch.tensor([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]])
    sampled = policy.sample(prompts, draws(8, 7), end_token=None)
    prompt_of = torch.arange(2).repeat_interleave(4)
    logits = policy(prompts, sampled.responses, prompt_of=prompt_of).detach()
    logps = logits.log_softmax(2)
    torch.testing.assert_close(sampled.logp, logps.gather(2, sampled.responses[..., None])[..., 0])
    torch.testing.assert_close(sampled.entropy, -(logps.exp() * logps).sum(2))


def test_a_draw_does_not_depend_on_the_batch() -> None:
    policy, numbers = small(), draws(40, 7)
    prompts = torch.randint(0, 11, (10, 5), generator=torch.Generator().manual_seed(0))
    together = policy.sample(prompts, numbers, end_token=3)
    for p in range(10):
        alone = policy.sample(prompts[p : p + 1], numbers[4 * p : 4 * p + 4], end_token=3)
        assert torch.equal(alone.responses, together.responses[4 * p : 4 * p + 4])
        torch.testing.assert_close(alone.logp, together.logp[4 * p : 4 * p + 4])


def test_frequencies_follow_the_probabilities() -> None:
    policy, prompt = small(), torch.tensor([[1, 2, 3]])
    first = policy.sample(prompt, draws(20_000, 1), end_token=None).responses[:, 0]
    expected = policy(prompt, torch.zeros(1, 1, dtype=torch.int64), prompt_of=torch.tensor([0]))
    shares = torch.bincount(first, minlength=11) / 20_000
    spread = 4 * (expected[0, 0].softmax(0) / 20_000).sqrt()
    assert ((shares - expected[0, 0].softmax(0)).abs() < spread).all()


def test_nothing_is_drawn_after_the_end() -> None:
    sampled = small().sample(torch.tensor([[1, 2]]), draws(64, 8), end_token=3)
    over = (sampled.responses == 3).int().cumsum(1) > 0
    assert over.any()
    assert (sampled.responses[over] == 3).all()


def test_initial_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    one, other = small(seed=1), small(seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.head.weight, other.head.weight)
    assert not torch.equal(one.head.weight, small(seed=2).head.weight)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(BadInput, match="heads divide"):
        PolicyConfig(width=10, n_heads=3)
