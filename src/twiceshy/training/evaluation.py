"""What a policy can do: unbiased pass@k, entropy, distinct right answers, and how it fails."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import pass_curve
from twiceshy.training.policy import Policy
from twiceshy.training.rollouts import Rollouts, TruncatedAs, roll_out
from twiceshy.training.streams import row_hashes
from twiceshy.training.tasks import FAULTS, Split, Task, Tokens

_ROWS_AT_A_TIME = 8192


class EvaluationConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to evaluate during training.

    Attributes:
        every: Steps between evaluations; the base and the last step are always evaluated.
        n_prompts: Prompts of the split, the same at every evaluation.
        n_samples: Responses a prompt.
        ks: Values of k for pass@k, at most `n_samples`.
        split: Where the prompts are from.
        seed: Seed of the prompts and draws; one seed for all runs pairs them.
    """

    every: int = 10
    n_prompts: int = 200
    n_samples: int = 256
    ks: tuple[int, ...] = (1, 8, 64, 256)
    split: Split = "test"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.every < 1 or self.n_prompts < 1 or self.n_samples < 1:
            raise BadInput("every, n_prompts and n_samples of at least 1", where="evaluation")
        if not self.ks or min(self.ks) < 1 or max(self.ks) > self.n_samples:
            raise BadInput(
                f"ks of 1 to n_samples = {self.n_samples}",
                got=str(list(self.ks)),
                where="evaluation.ks",
            )


class PassPoint(msgspec.Struct, frozen=True, kw_only=True):
    """pass@k at one k, with the interval over prompts."""

    k: int
    estimate: float | None
    """None: no prompt has k verified responses."""
    low: float | None
    high: float | None
    n_prompts: int
    """Prompts with at least k verified responses."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation of one policy."""

    pass_at: tuple[PassPoint, ...]
    entropy: float | None
    """Mean over drawn tokens, nats; None when nothing was drawn."""
    distinct: float | None
    """Different right responses a prompt, mean over prompts, out of `n_samples`."""
    skip_rate: float | None
    """Share of responses that finish with less computation than asked."""
    mean_length: float | None
    """Tokens a response."""
    n_prompts: int
    n_samples: int
    n_abstained: int
    """Responses that were not verified."""
    faults: dict[str, int]
    """Responses by fault; "none" are right."""
    n_right: tuple[int, ...]
    """Verified successes a prompt, in the order of the prompts: for paired comparisons."""
    n_scored: tuple[int, ...]
    """Verified responses a prompt."""

    @property
    def pass_at_one(self) -> float | None:
        """pass@1; None where it is undefined or was not evaluated."""
        return next((point.estimate for point in self.pass_at if point.k == 1), None)

    def at(self, k: int) -> float | None:
        """Return pass@k.

        Raises:
            BadInput: When k was not evaluated.
        """
        for point in self.pass_at:
            if point.k == k:
                return point.estimate
        raise BadInput(f"k among {[point.k for point in self.pass_at]}", got=str(k), where="k")


def evaluate(
    policy: Policy,
    task: Task,
    prompts: Tokens,
    *,
    n_samples: int,
    ks: tuple[int, ...],
    seed: int,
    truncated_as: TruncatedAs = "as_judged",
) -> Evaluation:
    """Evaluate a policy on prompts.

    pass@k is `evidence.stats.pass_curve`'s. A response cut by the budget counts as a failure here
    unless told otherwise: whoever asks for an answer did not get one.

    Args:
        policy: The policy.
        task: Whose prompts these are.
        prompts: Shape (P, prompt length).
        n_samples: Responses a prompt.
        ks: Values of k.
        seed: Seed of the draws; the same draws for the same seed, whatever the policy.
        truncated_as: What a cut response counts as.
    """
    n_at_once = max(1, _ROWS_AT_A_TIME // n_samples)
    parts = [
        _summary(
            roll_out(
                policy,
                task,
                prompts[start : start + n_at_once],
                group_size=n_samples,
                seed=seed,
                purpose="evaluate",
                step=start,
                truncated_as=truncated_as,
            )
        )
        for start in range(0, len(prompts), n_at_once)
    ]
    right = np.concatenate([part.right for part in parts])
    scored = np.concatenate([part.scored for part in parts])
    n, n_tokens = len(prompts) * n_samples, sum(part.n_tokens for part in parts)
    counts = np.sum([part.faults for part in parts], axis=0)
    return Evaluation(
        pass_at=_points(scored, right, ks=ks),
        entropy=sum(part.entropy for part in parts) / n_tokens if n_tokens else None,
        distinct=float(np.concatenate([part.distinct for part in parts]).mean()) if n else None,
        skip_rate=sum(part.n_skipped for part in parts) / n if n else None,
        mean_length=n_tokens / n if n else None,
        n_prompts=len(prompts),
        n_samples=n_samples,
        n_abstained=n - int(scored.sum()),
        faults={fault.value: int(c) for fault, c in zip(FAULTS, counts, strict=True) if c},
        n_right=tuple(right.tolist()),
        n_scored=tuple(scored.tolist()),
    )


class _Summary(msgspec.Struct, frozen=True):
    """Sums over some of the prompts."""

    right: NDArray[np.int64]
    scored: NDArray[np.int64]
    distinct: NDArray[np.int64]
    faults: NDArray[np.int64]
    entropy: float
    n_tokens: int
    n_skipped: int


def _summary(rollouts: Rollouts) -> _Summary:
    labels, mask = rollouts.labels_by_group, rollouts.mask
    return _Summary(
        (labels > 0).sum(1),
        (labels != 0).sum(1),
        distinct_right(rollouts),
        np.bincount(rollouts.verdicts.faults, minlength=len(FAULTS)),
        float((rollouts.entropy * mask).sum(dtype=rollouts.entropy.double().dtype)),
        int(mask.sum()),
        int(rollouts.verdicts.skipped.sum()),
    )


def distinct_right(rollouts: Rollouts) -> NDArray[np.int64]:
    """Return how many different right responses each group has, shape (P,)."""
    right = rollouts.labels.numpy() > 0
    text = (rollouts.responses * rollouts.mask).numpy()[right]
    pairs = np.stack([rollouts.group.numpy()[right].astype(np.uint64), row_hashes(text)], axis=1)
    groups = np.unique(pairs, axis=0)[:, 0].astype(np.int64)
    return np.bincount(groups, minlength=len(rollouts.prompts))


def _points(
    scored: NDArray[np.int64], right: NDArray[np.int64], *, ks: tuple[int, ...]
) -> tuple[PassPoint, ...]:
    curve = pass_curve(scored, right, metric="pass@k", max_k=max(ks))
    return tuple(
        PassPoint(k=k, estimate=rate.estimate, low=rate.low, high=rate.high, n_prompts=rate.n_tasks)
        for k, rate in ((k, curve[k - 1]) for k in ks)
    )
