"""Any Hugging Face causal language model, by local path, as a policy of the loop: full or LoRA.

    model = HfConfig(path="models/smollm2", lora_rank=8)
    train(load_model(model), text_task(Countdown(), model), objective=…, config=…)

Nothing is loaded by name and nothing from a network. Weights are float32, dropout is off, and the
keys and values of a prompt are computed once for its whole group, in sampling and in training. The
log-probabilities of a training pass come from the fused head, unless the model does more between
its last hidden state and its logits than one linear layer; that is checked when it is loaded.

Prompts of different lengths are padded on the left with `tasks.PADDING`, which no token id can be.
The packages are optional (extra `hf`) and load when a model does.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from twiceshy.errors import BadInput, missing_extra
from twiceshy.objectives.fused_head import selected_logp
from twiceshy.training.policy import Sampled, draw
from twiceshy.training.tasks import Countdown, ReasoningGym, TextTask

SAMPLING_BYTES = 2**29
"""Memory for keys, values and logits of the responses drawn at one time."""


class HfConfig(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="hf"):
    """Where a model is, what of it is trained, and how tasks are put to it.

    Attributes:
        path: A folder written by `save_pretrained`, or a `.gguf` file.
        lora_rank: Rank of adapters on every linear layer but the head; None trains all weights.
        prompt_length: Tokens of the longest question.
        response_length: Tokens of the longest response, its end included.
        chat: Whether questions go through the tokenizer's chat template; None: if it has one.
    """

    path: str
    lora_rank: int | None = None
    prompt_length: int = 256
    response_length: int = 32
    chat: bool | None = None

    def __post_init__(self) -> None:
        if min(self.prompt_length, self.response_length, self.lora_rank or 1) < 1:
            raise BadInput("lengths and lora_rank of at least 1", where="model")
        if self.lora_rank == 0:
            raise BadInput(
                "a rank of at least 1", got="0", where="model.lora_rank", fix="Leave it out."
            )


class _Prefix(NamedTuple):
    """What responses need of P prompts."""

    cache: Any
    """Keys and values of every layer."""
    mask: Tensor
    """Which prompt tokens are real, (P, L), int64."""
    last: Tensor
    """Features at the last prompt token, (P, ·)."""


class HfPolicy:
    """A causal language model of `transformers`, as `policy.Policy` asks for.

    Args:
        model: A causal language model, or a `peft` model around one. It is put in evaluation mode.

    Raises:
        BadInput: When the model keeps no keys and values that a group could share.
    """

    def __init__(self, model: Any) -> None:
        self.model = model.eval()
        self._core = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._takes_positions = "position_ids" in inspect.signature(self._core.forward).parameters
        self._head: nn.Linear | None = None
        self._bytes_per_token = self._probe()

    @torch.no_grad()
    def _probe(self) -> int:
        """Find out whether the head is one linear layer; return bytes of cache per token."""
        tokens, ones = torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.int64)
        logits, cache = self._features(tokens, mask=ones, cache=None)
        if not hasattr(cache, "batch_select_indices"):
            raise BadInput(
                "a model with a cache of keys and values",
                got=type(cache).__name__,
                where=type(self._core).__name__,
            )
        head = self._core.get_output_embeddings()
        if isinstance(head, nn.Linear):
            self._head = head
            hidden, _ = self._features(tokens, mask=ones, cache=None)
            # Equal to the bit, or something (a cap, a scale) lies between: then use the logits.
            if not torch.equal(head(hidden), logits):
                self._head = None
        held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        return held // tokens.numel()

    @property
    def has_plain_head(self) -> bool:
        """Whether log-probabilities come from the fused head."""
        return self._head is not None

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary."""
        return int(self._core.get_input_embeddings().weight.shape[0])

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield all weights, frozen ones included."""
        return self.model.parameters()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights that are trained, by name."""
        named = self.model.named_parameters()
        return {name: weight.detach() for name, weight in named if weight.requires_grad}

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Tensor], /) -> None:
        """Copy weights that `state_dict` returned into the model.

        Raises:
            BadInput: When they are those of another model.
        """
        own = self.state_dict()
        if own.keys() != state_dict.keys():
            differ = sorted(own.keys() ^ state_dict.keys())
            raise BadInput("the weights of this model", got=f"others, such as {differ[0]}")
        for name, weight in own.items():
            weight.copy_(state_dict[name])

    def save(self, folder: Path) -> None:
        """Write the model (with LoRA: the adapters) in the form of `transformers` or `peft`."""
        self.model.save_pretrained(folder)

    def logp(self, prompts: Tensor, responses: Tensor, *, prompt_of: Tensor) -> Tensor:
        """Return log-probabilities of the response tokens, shape (N, T), nats.

        Args:
            prompts: Different prompts, padded on the left, shape (P, prompt length).
            responses: Responses, shape (N, T).
            prompt_of: Row of `prompts` that each response answers, shape (N,).
        """
        prefix = self._prefill(prompts)
        features = prefix.last[prompt_of][:, None]
        if responses.shape[1] > 1:
            prefix.cache.batch_select_indices(prompt_of)
            mask = _extended(prefix.mask[prompt_of], responses.shape[1] - 1)
            more, _ = self._features(responses[:, :-1], mask=mask, cache=prefix.cache)
            features = torch.cat([features, more], dim=1)
        if self._head is None:
            return features.log_softmax(2).gather(2, responses[..., None])[..., 0]
        logp = selected_logp(
            features.flatten(0, 1),
            self._head.weight,
            targets=responses.flatten(),
            bias=self._head.bias,
        )
        return logp.view(responses.shape)

    @torch.no_grad()
    def sample(self, prompts: Tensor, uniforms: Tensor, *, end_token: int | None) -> Sampled:
        """Draw a group of responses to each prompt at temperature 1, by inverse CDF.

        A row's response depends on its prompt and its uniforms only, up to the rounding of matrix
        products of different shapes.

        Args:
            prompts: Padded on the left, shape (P, prompt length).
            uniforms: Numbers in (0, 1), shape (P · group size, T), groups contiguous.
            end_token: Token after which a response is over, if any.
        """
        n, budget = uniforms.shape
        prompt_of = torch.arange(len(prompts)).repeat_interleave(n // len(prompts))
        size = self._rows_at_once(prompts.shape[1] + budget)
        parts = [
            self._sample_some(
                prompts[rows[0] : rows[-1] + 1], numbers, rows - rows[0], end_token=end_token
            )
            for rows, numbers in zip(prompt_of.split(size), uniforms.split(size), strict=True)
        ]
        return Sampled(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _rows_at_once(self, length: int) -> int:
        row = self._bytes_per_token * length + 4 * 4 * self.n_tokens  # logits and three like them
        return max(1, SAMPLING_BYTES // row)

    def _sample_some(
        self, prompts: Tensor, uniforms: Tensor, prompt_of: Tensor, *, end_token: int | None
    ) -> Sampled:
        """Draw a response a row, as many at once as there are rows."""
        n, budget = uniforms.shape
        prefix = self._prefill(prompts)
        prefix.cache.batch_select_indices(prompt_of)
        features, mask, cache = prefix.last[prompt_of], prefix.mask[prompt_of], prefix.cache
        responses = torch.full((n, budget), 0 if end_token is None else end_token)
        logp, entropy = torch.zeros(n, budget), torch.zeros(n, budget)
        done = torch.zeros(n, dtype=torch.bool)
        for t in range(budget):
            logits = features if self._head is None else self._head(features)
            drawn, logp[:, t], entropy[:, t] = draw(logits, uniforms[:, t])
            responses[:, t] = drawn
            if end_token is not None:
                responses[done, t] = end_token
                logp[done, t] = entropy[done, t] = 0.0
                done |= drawn == end_token
            if t == budget - 1 or bool(done.all()):
                break
            mask = _extended(mask, 1)
            grown, cache = self._features(responses[:, t : t + 1], mask=mask, cache=cache)
            features = grown[:, -1]
        return Sampled(responses, logp, entropy)

    def _prefill(self, prompts: Tensor) -> _Prefix:
        """Go through prompts once; columns that hold nothing but padding are left out."""
        real = prompts >= 0
        if not bool(real[:, -1].all()):
            raise BadInput("prompts that are padded on the left", where="prompts")
        first = int(real.any(0).nonzero()[0])
        mask = real[:, first:].long()
        tokens = prompts[:, first:].clamp(min=0)
        features, cache = self._features(tokens, mask=mask, cache=None)
        return _Prefix(cache, mask, features[:, -1])

    def _features(self, tokens: Tensor, *, mask: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Return hidden states before the head (or logits, for a head that is not plain), cache.

        Args:
            tokens: New tokens, (N, t).
            mask: Which tokens are real, those in the cache first, (N, past + t).
            cache: Keys and values of the past; None without one.
        """
        options: dict[str, Any] = {"attention_mask": mask, "past_key_values": cache}
        if self._takes_positions:
            places = mask.cumsum(1) - 1
            options["position_ids"] = places[:, -tokens.shape[1] :].clamp(min=0)
        run = self._core if self._head is None else self._core.base_model
        done = run(input_ids=tokens, use_cache=True, return_dict=True, **options)
        features = done.logits if self._head is None else done.last_hidden_state
        return features, done.past_key_values


def load_model(config: HfConfig, *, seed: int = 0) -> HfPolicy:
    """Load a model, in float32 on the CPU, with fresh adapters if LoRA is asked for.

    LoRA: Hu et al. 2021 (2106.09685), on every linear layer but the head as QLoRA (2305.14314)
    advises; α is twice the rank, which is ours.

    Args:
        config: Where it is.
        seed: Seed of the adapters; the global generator is left as it was.

    Raises:
        BadInput: When there is no such folder or file, or no causal language model in it.
        MissingExtra: When `transformers` (for LoRA: `peft`) is not installed.
    """
    folder, options = _local(config.path)
    auto = _transformers().AutoModelForCausalLM
    try:
        model = auto.from_pretrained(folder, dtype=torch.float32, **options)
    except (OSError, ValueError, KeyError) as error:
        raise _unusable("a causal language model", config.path, error) from error
    if "gguf_file" in options:
        _forget_quantisation(model)
    if config.lora_rank is not None:
        model = _with_adapters(model, rank=config.lora_rank, seed=seed)
    return HfPolicy(model)


def text_task(task: Countdown | ReasoningGym, config: HfConfig) -> TextTask:
    """Return a task in words for the model of a config, with the tokenizer beside it.

    Raises:
        BadInput: When there is no usable tokenizer.
        MissingExtra: When `transformers` is not installed.
    """
    return TextTask(
        task,
        load_tokenizer(config.path),
        prompt_length=config.prompt_length,
        response_length=config.response_length,
        chat=config.chat,
    )


def load_tokenizer(path: str) -> Any:
    """Load the tokenizer beside a model, or in a GGUF file.

    Raises:
        BadInput: When there is none.
        MissingExtra: When `transformers` is not installed.
    """
    folder, options = _local(path)
    auto = _transformers().AutoTokenizer
    try:
        return auto.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError) as error:
        raise _unusable("a tokenizer", path, error) from error


def _local(path: str) -> tuple[Path, dict[str, Any]]:
    """Return folder and options for `from_pretrained`, which must not look anywhere else."""
    place = Path(path).expanduser()
    if not place.exists():
        raise BadInput(
            "a folder or .gguf file that exists",
            got=path,
            where="model.path",
            fix="Models are loaded by local path only, never by name.",
        )
    if place.is_dir():
        return place, {"local_files_only": True}
    if place.suffix != ".gguf":
        raise BadInput("a folder, or a file that ends in .gguf", got=path, where="model.path")
    return place.parent, {"local_files_only": True, "gguf_file": place.name}


def _transformers() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise missing_extra("Hugging Face models", "hf") from error
    return transformers


def _with_adapters(model: Any, *, rank: int, seed: int) -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise missing_extra("LoRA", "hf") from error
    lora = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft uses an old name of transformers', and says that it adapts to GPT-2's kind of layer
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out")
        torch.manual_seed(seed)
        return peft.get_peft_model(model, lora)


def _forget_quantisation(model: Any) -> None:
    """Let a model from a GGUF file be saved: its weights have been made float32."""
    model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _unusable(what: str, path: str, error: Exception) -> BadInput:
    lines = str(error).splitlines()
    return BadInput(what, got=lines[0] if lines else type(error).__name__, where=path)


def _extended(mask: Tensor, n: int) -> Tensor:
    return torch.cat([mask, mask.new_ones(len(mask), n)], dim=1)
