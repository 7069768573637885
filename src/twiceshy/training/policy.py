"""A small decoder-only transformer whose prompt is computed once for a whole group of rollouts.

Pre-LayerNorm, learned positions, ReLU, untied head, no dropout. Training and sampling read the
prompt through the same `Prefix`: keys and values of P prompts, shared by N responses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from twiceshy.errors import BadInput

EMBEDDING_STD = 0.1
"""Initial spread of the embeddings. Ours: torch's 1 learns several times more slowly here."""


class PolicyConfig(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="tiny"):
    """Size of the transformer.

    Attributes:
        width: Width of the residual stream; a multiple of `n_heads`.
        n_layers: Blocks.
        n_heads: Attention heads a block.
    """

    width: int = 64
    n_layers: int = 2
    n_heads: int = 4

    def __post_init__(self) -> None:
        if min(self.width, self.n_layers, self.n_heads) < 1 or self.width % self.n_heads:
            raise BadInput(
                "positive sizes and a width that the heads divide",
                got=f"width {self.width}, n_layers {self.n_layers}, n_heads {self.n_heads}",
                where="model",
            )


class Prefix(NamedTuple):
    """What responses need to know of P prompts."""

    keys: list[Tensor]
    """A layer each, shape (P, heads, prompt length, head width)."""
    values: list[Tensor]
    """As `keys`."""
    last: Tensor
    """Final hidden state at the last prompt token, shape (P, width)."""


class Sampled(NamedTuple):
    """Responses drawn from the policy, N = P · group size rows, groups contiguous."""

    responses: Tensor
    """Token ids, shape (N, T); after its end token a response is padded with end tokens."""
    logp: Tensor
    """Log-probability of each token at temperature 1, shape (N, T); nats; 0 after the end."""
    entropy: Tensor
    """Entropy of the distribution each token was drawn from, (N, T); nats; 0 after the end."""


class Policy(Protocol):
    """What rollouts, updates and evaluation need of a language model.

    `TinyPolicy` and `hf.HfPolicy` have it. A prompt's rows are token ids, shape (P, prompt length);
    a response depends on its prompt and its uniforms, not on the batch, up to rounding.
    """

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield all weights; those that do not require a gradient stay as they are."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return every weight that training changes, by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Tensor], /) -> object:
        """Go back to what `state_dict` returned."""
        ...

    def logp(self, prompts: Tensor, responses: Tensor, *, prompt_of: Tensor) -> Tensor:
        """Return log-probabilities of the response tokens, (N, T), nats, differentiable."""
        ...

    def sample(self, prompts: Tensor, uniforms: Tensor, *, end_token: int | None) -> Sampled:
        """Draw a group of responses to each prompt at temperature 1, by inverse CDF."""
        ...


class Block(nn.Module):
    """Attention and a feed-forward layer, each behind a LayerNorm."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        width = config.width
        self.n_heads = config.n_heads
        self.before_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.before_feed = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each (rows, heads, length, head width)."""
        n, length, width = x.shape
        split = self.query_key_value(self.before_attention(x))
        shaped = split.view(n, length, 3, self.n_heads, width // self.n_heads)
        query, key, value = shaped.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def after(self, x: Tensor, attended: Tensor) -> Tensor:
        """Return the block's output from its input and (rows, heads, length, head width)."""
        x = x + self.mixed(attended.transpose(1, 2).reshape(x.shape))
        return x + self.down(self.up(self.before_feed(x)).relu())


class TinyPolicy(nn.Module):
    """A causal language model over a task's symbols.

    Args:
        config: Its size.
        n_tokens: Size of the vocabulary.
        max_length: Longest prompt with response, in tokens.
        seed: Seed of the initial weights; the global generator is left as it was.
    """

    def __init__(self, config: PolicyConfig, *, n_tokens: int, max_length: int, seed: int) -> None:
        super().__init__()
        self.config, self.n_tokens, self.max_length = config, n_tokens, max_length
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.token = nn.Embedding(n_tokens, config.width)
            self.position = nn.Embedding(max_length, config.width)
            self.blocks = nn.ModuleList([Block(config) for _ in range(config.n_layers)])
            self.norm = nn.LayerNorm(config.width)
            self.head = nn.Linear(config.width, n_tokens, bias=False)
            for table in (self.token, self.position):
                nn.init.normal_(table.weight, std=EMBEDDING_STD)

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _layers(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]

    def _embed(self, tokens: Tensor, start: int) -> Tensor:
        return self.token(tokens) + self.position.weight[start : start + tokens.shape[1]]

    def prefill(self, prompts: Tensor) -> Prefix:
        """Return what responses need of prompts, shape (P, prompt length)."""
        x = self._embed(prompts, 0)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        layers = self._layers()
        for block in layers:
            query, key, value = block.heads(x)
            keys.append(key)
            values.append(value)
            if block is layers[-1]:  # only the last position's output is read from here on
                query, x = query[:, :, -1:], x[:, -1:]
            attended = functional.scaled_dot_product_attention(
                query, key, value, is_causal=query.shape[2] > 1
            )
            x = block.after(x, attended)
        return Prefix(keys, values, self.norm(x[:, -1]))

    def hidden(self, prompts: Tensor, responses: Tensor, *, prompt_of: Tensor) -> Tensor:
        """Return the states that predict each response token, shape (N, T, width).

        Args:
            prompts: Different prompts, shape (P, prompt length).
            responses: Responses, shape (N, T).
            prompt_of: Row of `prompts` that each response answers, shape (N,).
        """
        prefix, n_prompt = self.prefill(prompts), prompts.shape[1]
        first = prefix.last[prompt_of][:, None]
        if responses.shape[1] == 1:
            return first
        x = self._embed(responses[:, :-1], n_prompt)
        seen = torch.ones(x.shape[1], n_prompt + x.shape[1], dtype=torch.bool).tril(n_prompt)
        bias = torch.zeros(seen.shape).masked_fill(~seen, float("-inf")).to(x.device)
        for block, keys, values in zip(self._layers(), prefix.keys, prefix.values, strict=True):
            query, key, value = block.heads(x)
            attended = functional.scaled_dot_product_attention(
                query,
                torch.cat([keys[prompt_of], key], dim=2),
                torch.cat([values[prompt_of], value], dim=2),
                attn_mask=bias,
            )
            x = block.after(x, attended)
        return torch.cat([first, self.norm(x)], dim=1)

    def forward(self, prompts: Tensor, responses: Tensor, *, prompt_of: Tensor) -> Tensor:
        """Return logits at the response tokens, shape (N, T, n_tokens); arguments as `hidden`."""
        return self.head(self.hidden(prompts, responses, prompt_of=prompt_of))

    def logp(self, prompts: Tensor, responses: Tensor, *, prompt_of: Tensor) -> Tensor:
        """Return log-probabilities of the response tokens, shape (N, T), nats."""
        logits = self(prompts, responses, prompt_of=prompt_of)
        chosen = logits.gather(2, responses[..., None])[..., 0]
        return chosen - logits.logsumexp(dim=2)

    @torch.no_grad()
    def sample(
        self,
        prompts: Tensor,
        uniforms: Tensor,
        *,
        end_token: int | None,
    ) -> Sampled:
        """Draw a group of responses to each prompt at temperature 1, by inverse CDF.

        A row's response depends on its prompt and its uniforms only, up to the rounding of matrix
        products of different shapes.

        Args:
            prompts: Shape (P, prompt length).
            uniforms: Numbers in (0, 1), shape (P · group size, T), groups contiguous; they decide
                the draws, and their shape the number and length of responses.
            end_token: Token after which a response is over, if any.
        """
        n, budget = uniforms.shape
        prefix = self.prefill(prompts)
        caches = [_Cache(key, n=n, budget=budget) for key in prefix.keys]
        hidden = prefix.last.repeat_interleave(n // len(prompts), dim=0)
        responses = torch.full((n, budget), 0 if end_token is None else end_token)
        logp, entropy = torch.zeros(n, budget), torch.zeros(n, budget)
        done = torch.zeros(n, dtype=torch.bool)
        for t in range(budget):
            drawn, logp[:, t], entropy[:, t] = draw(self.head(hidden), uniforms[:, t])
            responses[:, t] = drawn
            if end_token is not None:
                responses[done, t] = end_token
                logp[done, t] = entropy[done, t] = 0.0
                done |= drawn == end_token
            if t == budget - 1 or bool(done.all()):
                break
            hidden = self._step(responses[:, t], prefix, caches, t)
        return Sampled(responses, logp, entropy)

    def _step(self, tokens: Tensor, prefix: Prefix, caches: list[_Cache], t: int) -> Tensor:
        """Return the state after one more token of every response, shape (N, width)."""
        x = self._embed(tokens[:, None], prefix.keys[0].shape[2] + t)
        for block, cache, keys, values in zip(
            self._layers(), caches, prefix.keys, prefix.values, strict=True
        ):
            query, key, value = block.heads(x)
            own_keys, own_values = cache.extended(key, value, t)
            attended = _attend_grouped(query, keys, values, own_keys, own_values)
            x = block.after(x, attended)
        return self.norm(x[:, 0])


class _Cache:
    """Keys and values of the response tokens so far, of one layer."""

    def __init__(self, like: Tensor, *, n: int, budget: int) -> None:
        _, heads, _, head_width = like.shape
        self.keys = like.new_empty(n, heads, budget, head_width)
        self.values = like.new_empty(n, heads, budget, head_width)

    def extended(self, key: Tensor, value: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """Return all keys and values up to and with position t."""
        self.keys[:, :, t], self.values[:, :, t] = key[:, :, 0], value[:, :, 0]
        return self.keys[:, :, : t + 1], self.values[:, :, : t + 1]


def _attend_grouped(
    query: Tensor, keys: Tensor, values: Tensor, own_keys: Tensor, own_values: Tensor
) -> Tensor:
    """Attend from one token a response to its group's prompt and to its own tokens.

    The prompt's keys are not repeated: the group's queries meet them in one product. Shapes:
    query (N, H, 1, d), keys (P, H, L, d), own_keys (N, H, t, d); returns (N, H, 1, d).
    """
    n, heads, _, d = query.shape
    p, _, length, _ = keys.shape
    grouped = query.view(p, n // p, heads, d).transpose(1, 2)
    shared = (grouped @ keys.transpose(2, 3)).transpose(1, 2).reshape(n, heads, length)
    own = (query * own_keys).sum(3)
    weight = (torch.cat([shared, own], dim=2) / d**0.5).softmax(dim=2)
    of_prompt = weight[:, :, :length].reshape(p, n // p, heads, length).transpose(1, 2)
    from_prompt = (of_prompt @ values).transpose(1, 2).reshape(n, heads, 1, d)
    from_own = (weight[:, :, length:, None] * own_values).sum(2, keepdim=True)
    return from_prompt + from_own


def draw(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a token a row by inverse CDF at temperature 1.

    Args:
        logits: Shape (N, V).
        uniform: Numbers in (0, 1), shape (N,).

    Returns:
        The token, its log-probability and the entropy of the distribution, each of shape (N,).
    """
    logps = logits.log_softmax(dim=1)
    probabilities = logps.exp()
    edges = probabilities.cumsum(dim=1)
    drawn = (edges < uniform[:, None] * edges[:, -1:]).sum(dim=1)
    entropy = -(probabilities * logps).sum(dim=1)
    return drawn, logps.gather(1, drawn[:, None])[:, 0], entropy


def as_tensor(array: NDArray[np.generic]) -> Tensor:
    """Return a tensor of a copy of an array, so that neither can change the other."""
    return torch.tensor(array)
