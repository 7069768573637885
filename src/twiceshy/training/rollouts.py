"""Groups of verified responses to prompts, as one batch of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.training.policy import Policy, Sampled, as_tensor
from twiceshy.training.streams import sequence_keys, uniforms
from twiceshy.training.tasks import FAULTS, Fault, Task, Tokens, Verdicts, response_mask

TruncatedAs = Literal["abstain", "as_judged"]
"""What a response cut by the budget counts as: nothing, or what the verifier says (a failure)."""

CHUNK_ROWS = 1024
"""Responses drawn at a time; larger chunks leave the cache, smaller ones pay overhead."""


class Rollouts(NamedTuple):
    """P groups of G responses each; N = P · G rows, the rows of a group beside each other."""

    prompts: Tokens
    """Shape (P, prompt length)."""
    group: Tensor
    """Row of `prompts` each response answers, int64 (N,)."""
    responses: Tensor
    """Token ids, (N, T)."""
    mask: Tensor
    """Tokens up to and with the end token, bool (N, T)."""
    logp: Tensor
    """Log-probability of each token when it was drawn, (N, T), nats."""
    entropy: Tensor
    """Entropy each token was drawn at, (N, T), nats."""
    labels: Tensor
    """+1 success, −1 failure, 0 abstain, int8 (N,)."""
    verdicts: Verdicts
    """What the verifier said, before truncated responses were made to abstain."""

    @property
    def labels_by_group(self) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
        """Labels with one row a group, (P, G)."""
        return self.labels.numpy().reshape(len(self.prompts), -1)


def roll_out(
    policy: Policy,
    task: Task,
    prompts: Tokens,
    *,
    group_size: int,
    seed: int,
    purpose: str = "rollouts",
    step: int = 0,
    truncated_as: TruncatedAs = "abstain",
) -> Rollouts:
    """Draw and verify a group of responses to each prompt.

    Response g to prompt p depends on (seed, purpose, step, p · group_size + g) and on nothing that
    happened before, so a run that resumes draws the same.

    Args:
        policy: What to draw from.
        task: Whose prompts these are.
        prompts: Shape (P, prompt length).
        group_size: Responses a prompt.
        seed: Seed of the run.
        purpose: Keeps apart the draws of training and of evaluation.
        step: Step of the run.
        truncated_as: What a response cut by the budget counts as.
    """
    if len(prompts) == 0 or group_size < 1:
        raise BadInput("at least one prompt and one response a prompt", where="rollouts")
    keys = sequence_keys(seed, purpose=purpose, step=step, n=len(prompts) * group_size)
    draws = uniforms(keys, task.response_length)
    drawn = [
        policy.sample(
            as_tensor(prompts[rows]),
            as_tensor(draws[rows.start * group_size : rows.stop * group_size]),
            end_token=task.end_token,
        )
        for rows in _chunks(len(prompts), max(1, CHUNK_ROWS // group_size))
    ]
    sampled = Sampled(*(torch.cat(parts) for parts in zip(*drawn, strict=True)))
    return judged(task, prompts, sampled, truncated_as=truncated_as)


def judged(
    task: Task, prompts: Tokens, sampled: Sampled, *, truncated_as: TruncatedAs = "abstain"
) -> Rollouts:
    """Return drawn responses with their verdicts.

    Raises:
        BadInput: When the verifier gave something else than labels.
    """
    group = torch.arange(len(prompts)).repeat_interleave(len(sampled.responses) // len(prompts))
    responses = sampled.responses.numpy()
    verdicts = task.verify(prompts[group.numpy()], responses)
    _require_labels(verdicts)
    cut = (verdicts.faults == FAULTS.index(Fault.TRUNCATED)) & (truncated_as == "abstain")
    return Rollouts(
        prompts,
        group,
        sampled.responses,
        as_tensor(response_mask(responses, task.end_token)),
        sampled.logp,
        sampled.entropy,
        as_tensor(np.where(cut, 0, verdicts.labels).astype(np.int8)),
        verdicts,
    )


def _require_labels(verdicts: Verdicts) -> None:
    """Refuse scores where labels belong: as a label, 0 abstains and 0.7 means nothing."""
    labels = np.asarray(verdicts.labels)
    if labels.dtype.kind != "i" or not np.isin(labels, (-1, 0, 1)).all():
        raise BadInput(
            "verdicts with integer labels +1, −1 or 0 (abstain)",
            got=f"{labels.dtype} {np.unique(labels)[:3].tolist()}",
            where="task.verify",
            fix="Set a threshold on shaped rewards; an attempt that was not judged abstains.",
        )


def _chunks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
