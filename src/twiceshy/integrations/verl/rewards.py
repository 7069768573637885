"""From the rewards that verl hands to an estimator to verified labels.

An estimator sees one number a row, so the number has to say which of four things happened. The
reward manager of this package writes 1 (success), −1 (failure), and two small numbers that no
scorer gives (`UNSCORED`, `BROKEN`: see `attempts.readers.verl`); they leave verl's own mean reward
as good as unmoved. A plain scorer's 0 is refused until the run says what it means.
"""

from __future__ import annotations

import torch
from torch import Tensor

from twiceshy.attempts.readers.verl import BROKEN_SCORE, UNSCORED_SCORE
from twiceshy.errors import BadInput

FIX = (
    "Use the reward manager of twiceshy (reward.reward_manager.source=importlib, .module.path="
    "pkg://twiceshy.integrations.verl.reward_manager, .name=OutcomeRewardManager), or, for a "
    "scorer of 1 and 0 in which 0 is always the policy's failure, +algorithm.twiceshy.failure=0."
)


def labels_of_rewards(
    rewards: Tensor, *, empty: Tensor, success: float = 1.0, failure: float = -1.0
) -> Tensor:
    """Return +1, −1 or 0 (abstain) for each row's reward, int8 (N,).

    Args:
        rewards: One reward a row, (N,). NaN and the two marks of an attempt that was not judged
            abstain.
        empty: Rows without a response token, bool (N,); with a reward of 0 they are verl's padding
            and abstain.
        success: The reward that is a verified success.
        failure: The reward that is a verified failure.

    Raises:
        BadInput: If a reward is none of these: it carries no label.

    Example:
        >>> rewards = torch.tensor([1.0, -1.0, BROKEN_SCORE])
        >>> labels_of_rewards(rewards, empty=torch.zeros(3, dtype=torch.bool)).tolist()
        [1, -1, 0]
    """
    if success == failure:
        raise BadInput("a success that is not a failure", got=f"{success:g} for both", fix=FIX)
    right, wrong = rewards == success, rewards == failure
    padding = empty & (rewards == 0)
    idle = rewards.isnan() | (rewards == UNSCORED_SCORE) | (rewards == BROKEN_SCORE) | padding
    strange = ~(right | wrong | idle)
    if bool(strange.any()):
        row = int(strange.nonzero()[0])
        raise BadInput(
            f"rewards that are labels: {success:g} (success), {failure:g} (failure)",
            got=f"{float(rewards[row]):g} in row {row} ({int(strange.sum())} of {len(rewards)})",
            where="token_level_rewards",
            fix=FIX,
        )
    return (right.to(torch.int8) - wrong.to(torch.int8)) * ~padding
