"""From the rewards of a generation batch to verified labels, truncated completions apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.integrations.trl.config import LabelRule


class Judged(NamedTuple):
    """All rows of a generation batch, over all processes, groups contiguous."""

    labels: Tensor
    """+1, −1 or 0 (abstain), int8 (N,)."""
    truncated: Tensor
    """bool (N,)."""

    def outcomes(self) -> list[str]:
        """Return the outcome of each row in words.

        Example:
            >>> Judged(torch.tensor([1, 0]), torch.tensor([False, True])).outcomes()
            ['success', 'unscored']
        """
        words = {1: Outcome.SUCCESS, -1: Outcome.FAILURE, 0: Outcome.UNSCORED}
        return [words[label].value for label in self.labels.tolist()]


def require_reward(rule: LabelRule, *, names: Sequence[str]) -> None:
    """Refuse a rule for a reward function that the trainer does not have.

    Raises:
        BadInput: If `rule.reward` is not among the names, or is there twice.
    """
    if list(names).count(rule.reward) != 1:
        raise BadInput(
            f"one of the reward functions ({', '.join(names)}), once",
            got=f'"{rule.reward}"',
            where="outcomes.labels.reward",
            fix="Name the reward function whose value says whether an answer is right.",
        )


def labels_of_rewards(rewards: Tensor, rule: LabelRule) -> Tensor:
    """Return the label of each reward, int8 (N,).

    Args:
        rewards: Values of the rule's reward function, (N,); NaN where it gave None.
        rule: What the values mean.

    Raises:
        BadInput: If a value lies between failure and success and the rule refuses that.

    Example:
        >>> rule = LabelRule(reward="correct", success=1, failure=0)
        >>> labels_of_rewards(torch.tensor([1.0, 0.0, torch.nan]), rule).tolist()
        [1, -1, 0]
    """
    labels = (rewards >= rule.success).to(torch.int8) - (rewards <= rule.failure).to(torch.int8)
    undecided = (labels == 0) & ~rewards.isnan()
    if rule.between == "refuse" and bool(undecided.any()):
        raise BadInput(
            f"rewards of at least {rule.success:g} (success) or at most {rule.failure:g} (failure)",
            got=f"{float(rewards[undecided][0]):g} ({int(undecided.sum())} of {len(rewards)} rows)",
            where=f"reward {rule.reward}",
            fix='Move labels.success or labels.failure, return None for "not judged", or set '
            'between="abstain".',
        )
    return labels


def judge(rewards: Tensor, *, truncated: Tensor, rule: LabelRule) -> Judged:
    """Return labels in which truncated rows are treated as the rule says.

    Example:
        >>> rule = LabelRule(reward="correct", success=1, failure=0)
        >>> judge(torch.zeros(2), truncated=torch.tensor([True, False]), rule=rule).labels.tolist()
        [0, -1]
    """
    labels = labels_of_rewards(rewards, rule)
    if rule.truncated_as == "abstain":
        labels = labels * ~truncated
    return Judged(labels, truncated)


def require_some_label(judged: Judged, *, rule: LabelRule) -> None:
    """Refuse a first batch in which nothing at all is verified.

    Raises:
        BadInput: If every row abstains.
    """
    if bool((judged.labels != 0).any()):
        return
    n, n_cut = len(judged.labels), int(judged.truncated.sum())
    raise BadInput(
        "at least one verified success or failure in the first batch",
        got=f"{n} completions without a label, {n_cut} of them truncated",
        where=f"reward {rule.reward}",
        fix="Return the success and failure values (None only where nobody can judge); where most "
        "are truncated, raise max_completion_length.",
    )


def require_whole_groups(prompts: Sequence[object], *, group_size: int, n_rows: int) -> None:
    """Refuse rows that are not groups of equal size, one after another.

    Args:
        prompts: What each row of this process answers, as it stands in the data set.
        group_size: Rows a group.
        n_rows: Rows over all processes.

    Raises:
        BadInput: If sizes are mixed, or a group holds different prompts.
    """
    fix = (
        "Let the trainer's own sampler repeat prompts, or have rollout_func return num_generations "
    )
    if n_rows % group_size:
        raise BadInput(
            f"groups of {group_size} completions (num_generations)",
            got=f"{n_rows} completions, which leaves {n_rows % group_size}",
            where="generation batch",
            fix=fix + "completions for every prompt.",
        )
    if len(prompts) % group_size:  # groups reach over processes: the sampler has them in order
        return
    for start in range(0, len(prompts), group_size):
        if any(other != prompts[start] for other in prompts[start + 1 : start + group_size]):
            raise BadInput(
                f"{group_size} completions (num_generations) of one prompt after another",
                got=f"another prompt within rows {start} to {start + group_size - 1}",
                where="generation batch",
                fix=fix + "completions for every prompt.",
            )
