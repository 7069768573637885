"""What a self-distillation trainer hands to its callbacks, as traces: text, length, entropies."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from twiceshy.attempts import Attempt, Outcome, Verdict
from twiceshy.attempts.texts import own_text
from twiceshy.distillation.check.features import Trace, entropies_of

_UNSCORED = Verdict(outcome=Outcome.UNSCORED, reason="not judged during training")
_POSITIONS = 512
"""Whose distributions over the vocabulary are held in float32 at one time."""


class Tokens(NamedTuple):
    """A tokenizer, and which of its tokens end a completion."""

    tokenizer: Any
    ends: frozenset[int]
    padding: int

    def text_of(self, ids: Sequence[int]) -> str:
        """Return the words, without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def is_cut(self, ids: Sequence[int]) -> bool:
        """Return whether a completion stopped without an end token, as TRL tells it."""
        return bool(ids) and ids[-1] not in self.ends and ids[-1] != self.padding


def tokens_of(tokenizer: Any, *, model: Any) -> Tokens:
    """Return a tokenizer (that of a processor) with every end token that the model declares."""
    plain = getattr(tokenizer, "tokenizer", tokenizer)
    more = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    declared = more if isinstance(more, list) else [] if more is None else [more]
    ends = frozenset(x for x in (plain.eos_token_id, *declared) if x is not None)
    return Tokens(plain, ends, plain.pad_token_id)


class Batch(NamedTuple):
    """The tensors of one `on_self_distillation_batch_prepared`, of this process."""

    prompts: Tensor
    """(N, P), padded on the left."""
    completions: Tensor
    """(N, T), padded on the right."""
    teacher_mask: Tensor
    """(N, Q + T), the teacher's prompt and the completion."""
    taught: Tensor | None
    """(N,), 1 where SDPO has something to show to the teacher; None: everywhere."""

    def lengths(self, padding: int) -> list[int]:
        """Return tokens of each completion, the end token included.

        The event brings no mask of its own; the teacher's ends with the completion's. SDPO blanks
        that of a completion it does not learn from (`mask_truncated_completions`), whose length is
        then what is left without the padding.
        """
        width = self.completions.shape[1]
        masked = self.teacher_mask[:, self.teacher_mask.shape[1] - width :].sum(dim=1)
        after = (self.completions != padding).flip(1).cumsum(1) > 0
        return torch.where(masked > 0, masked, after.sum(dim=1)).tolist()

    def prompt_mask(self, padding: int) -> Tensor:
        """Return which prompt tokens are no padding on the left, (N, P)."""
        return ((self.prompts != padding).cumsum(1) > 0).long()

    def teacher_prompt_lengths(self) -> list[int | None]:
        """Return tokens of each teacher prompt; None where there is nothing to show to it."""
        n_prompt = self.teacher_mask.shape[1] - self.completions.shape[1]
        lengths = self.teacher_mask[:, :n_prompt].sum(dim=1).tolist()
        shown = [1.0] * len(lengths) if self.taught is None else self.taught.tolist()
        return [n if is_shown else None for n, is_shown in zip(lengths, shown, strict=True)]


def traces_of_batch(
    batch: Batch, *, tokens: Tokens, model: Any, micro_batch: int, entropies: bool
) -> list[Trace]:
    """Return one trace a completion; its task is a digest of the prompt's tokens.

    Args:
        batch: As handed over.
        tokens: To decode with.
        model: The student.
        micro_batch: Rows of the pass that tells entropies.
        entropies: Whether to spend that pass, one without gradients over the whole batch.
    """
    lengths = batch.lengths(tokens.padding)
    mask = batch.prompt_mask(tokens.padding)
    told: list[np.ndarray | None] = [None] * len(lengths)
    if entropies:
        told = list(entropies_at(model, batch, mask=mask, lengths=lengths, rows=micro_batch))
    found: list[Trace] = []
    for i, length in enumerate(lengths):
        ids = batch.completions[i, :length].tolist()
        prompt = batch.prompts[i][mask[i].bool()].tolist()
        attempt = Attempt(
            task=hashlib.blake2b(repr(prompt).encode(), digest_size=8).hexdigest(),
            verdict=_UNSCORED,
            answer=tokens.text_of(ids),
            truncated=tokens.is_cut(ids),
        )
        found.append(Trace(attempt, length, None, told[i]))
    return found


def traces_of_base(
    attempts: Iterable[Attempt], *, tokens: Tokens, limit: int | None
) -> list[Trace]:
    """Return traces of attempts given as the base, each only up to the training's limit.

    Token ids are the attempt's own, else the tokenizer's for its text. What lies beyond the limit
    is left out, because no completion of the training can reach there.
    """
    return [_base_trace(attempt, tokens=tokens, limit=limit) for attempt in attempts]


def _base_trace(attempt: Attempt, *, tokens: Tokens, limit: int | None) -> Trace:
    text, entropies = own_text(attempt), entropies_of(attempt)
    ids = attempt.token_ids or tokens.tokenizer(text, add_special_tokens=False)["input_ids"]
    is_longer = limit is not None and len(ids) > limit
    if is_longer:
        ids, text = ids[:limit], tokens.text_of(ids[:limit])
        entropies = None if entropies is None else entropies[:limit]
    shown = Attempt(
        task=attempt.task,
        verdict=attempt.verdict,
        answer=text,
        truncated=is_longer or attempt.truncated,
    )
    return Trace(shown, len(ids), None, entropies)


@torch.no_grad()
def entropies_at(
    model: Any, batch: Batch, *, mask: Tensor, lengths: Sequence[int], rows: int
) -> Iterable[np.ndarray]:
    """Yield the student's entropy at each token of each completion, nats, at temperature 1.

    The model is in evaluation mode meanwhile, so no random number is drawn.
    """
    width = batch.completions.shape[1]
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(lengths), rows):
            part = slice(start, start + rows)
            logits = _logits(model, batch, mask=mask, part=part)[:, :width]
            pieces = [_entropy(each) for each in logits.split(_POSITIONS, dim=1)]
            values = torch.cat(pieces, dim=1).cpu().numpy()
            yield from (row[:n].copy() for row, n in zip(values, lengths[part], strict=True))
    finally:
        model.train(was_training)


def _entropy(logits: Tensor) -> Tensor:
    return torch.special.entr(logits.float().softmax(-1)).sum(-1)


def _logits(model: Any, batch: Batch, *, mask: Tensor, part: slice) -> Tensor:
    """Return logits that predict the completion's tokens (and the one after), (n, T + 1, V)."""
    prompts, completions = batch.prompts[part], batch.completions[part]
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    width = completions.shape[1]
    keep = {}
    if "logits_to_keep" in inspect.signature(core.forward).parameters:
        keep["logits_to_keep"] = width + 1
    ids = torch.cat([prompts, completions], dim=1)
    seen = torch.cat([mask[part], torch.ones_like(completions)], dim=1)
    found = model(input_ids=ids, attention_mask=seen, use_cache=False, **keep).logits
    return found[:, found.shape[1] - width - 1 :]
