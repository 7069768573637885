"""Checks at every training step that sound before accuracy falls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.stats import clustered_mean
from twiceshy.frontier.alarms import (
    LENGTH_RATIO,
    MIN_GROUPS,
    MODAL_WRONG_SHARE,
    Check,
    lone_success_share,
)
from twiceshy.frontier.groups import Tallies
from twiceshy.training.rollouts import Rollouts
from twiceshy.training.tasks import NO_ANSWER

SKIP_RISE = 0.2
"""Rise of the share of finished responses that skip the computation, since the first step. Ours."""
MIN_PAIRS = 100
"""Pairs of wrong answers from which their agreement is worth an alarm. Ours."""
REPETITION_RISE = 0.25
"""Rise of the chance that two wrong answers to one prompt agree, since the first step. Ours."""


def step_checks(
    rollouts: Rollouts,
    *,
    first_length: float | None,
    first_skips: float | None,
    first_repetition: float | None,
) -> list[Check]:
    """Return the checks of one step's rollouts.

    Args:
        rollouts: The step's rollouts.
        first_length: Median response length at the run's first step, tokens; None at that step.
        first_skips: Share of skipped computation at the run's first step; None at that step.
        first_repetition: `repetition` at the run's first step; None at that step or if undefined.
    """
    return [
        lone_success_share(tallies(rollouts)),
        length_drop(rollouts, first=first_length),
        modal_wrong(rollouts),
        repetition_rise(rollouts, first=first_repetition),
        skip_rise(rollouts, first=first_skips),
    ]


def tallies(rollouts: Rollouts) -> Tallies:
    """Return a step's groups as outcome counts; abstentions count as unscored."""
    labels = rollouts.labels_by_group
    right, wrong, rest = (((labels == value).sum(1)).astype(np.int64) for value in (1, -1, 0))
    names = np.arange(len(labels)).astype(object)
    policy = np.full(len(labels), "policy", dtype=object)
    return Tallies(names, policy, right, wrong, np.zeros_like(rest), rest, right, wrong)


def median_length(rollouts: Rollouts) -> float:
    """Return the median response length, tokens."""
    return float(np.median(rollouts.mask.sum(1).numpy()))


def skip_share(rollouts: Rollouts) -> float:
    """Return the share of responses that finish with less computation than asked."""
    return float(rollouts.verdicts.skipped.mean())


def repetition(rollouts: Rollouts) -> tuple[float | None, int]:
    """Return the chance that two wrong answers to one prompt are the same, and the pairs behind it.

    `Σ c(c−1) / Σ n(n−1)` over groups with n wrong answers, c of them the same. Unlike the share of
    the commonest answer it does not rise when there are fewer wrong answers.
    """
    wrong = (rollouts.labels.numpy() < 0) & (rollouts.verdicts.answers != NO_ANSWER)
    group, answer = rollouts.group.numpy()[wrong], rollouts.verdicts.answers[wrong]
    _, same = np.unique(np.stack([group, answer]), axis=1, return_counts=True)
    _, all_wrong = np.unique(group, return_counts=True)
    n_pairs = int((all_wrong * (all_wrong - 1)).sum())
    return (float((same * (same - 1)).sum()) / n_pairs if n_pairs else None), n_pairs // 2


def length_drop(rollouts: Rollouts, *, first: float | None) -> Check:
    """Median response length against that of the run's first step."""
    value = None if first is None else median_length(rollouts) / first
    n = len(rollouts.responses)
    return Check(
        "length_drop",
        value,
        n,
        LENGTH_RATIO,
        value is not None and n >= MIN_GROUPS and value <= LENGTH_RATIO,
        f"responses are {1.0 if value is None else value:.2f} times as long as at the first step",
        "length fell from 510.7 to 45.7 tokens before accuracy did (2605.28388); threshold ours",
        "alarm",
    )


def modal_wrong(rollouts: Rollouts) -> Check:
    """Share of the commonest wrong answer over all tasks, unless right ones are as uneven.

    It sounds when the lower 95 % limit of the share, clustered by prompt, reaches the threshold: a
    few prompts that are always got wrong in the same way are not a habit.
    """
    labels, answers = rollouts.labels.numpy(), rollouts.verdicts.answers
    is_wrong = (labels < 0) & (answers != NO_ANSWER)
    wrong = answers[is_wrong]
    n = len(wrong)
    answer, count = _commonest(wrong) if n else (NO_ANSWER, 0)
    share = clustered_mean(wrong == answer, rollouts.group.numpy()[is_wrong])
    low = share.value if share.low is None else share.low
    right = answers[labels > 0]
    usual = float((right == answer).mean()) if len(right) else 0.0
    return Check(
        "modal_wrong_answer",
        share.value,
        n,
        MODAL_WRONG_SHARE,
        low is not None and n >= MIN_GROUPS and low >= max(MODAL_WRONG_SHARE, 2 * usual),
        f"{count} of {n} wrong answers are the same",
        "answer repetition on over-hard samples (2605.28388); threshold ours",
    )


def repetition_rise(rollouts: Rollouts, *, first: float | None) -> Check:
    """Rise of the agreement of wrong answers to one prompt since the run's first step."""
    now, n_pairs = repetition(rollouts)
    value = None if first is None or now is None else now - first
    return Check(
        "answer_repetition",
        value,
        n_pairs,
        REPETITION_RISE,
        value is not None and n_pairs >= MIN_PAIRS and value >= REPETITION_RISE,
        f"two wrong answers to one prompt agree {now or 0:.0%} of the time,"
        f" {value or 0:+.2f} since the first step",
        "answer repetition on over-hard samples (2605.28388); threshold ours",
    )


def skip_rise(rollouts: Rollouts, *, first: float | None) -> Check:
    """Rise of skipped computation since the run's first step."""
    value = None if first is None else skip_share(rollouts) - first
    n = len(rollouts.responses)
    return Check(
        "skip_rise",
        value,
        n,
        SKIP_RISE,
        value is not None and n >= MIN_GROUPS and value >= SKIP_RISE,
        f"skipped computation rose by {value or 0:.2f} since the first step",
        "computation skipping on over-hard samples (2605.28388); threshold ours",
        "alarm",
    )


def _commonest(values: NDArray[np.int64]) -> tuple[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()]), int(counts.max())
