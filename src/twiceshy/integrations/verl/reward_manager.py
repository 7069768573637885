"""A reward manager for verl that keeps failed, broken and unscored apart.

    reward.reward_manager.source=importlib
    reward.reward_manager.name=OutcomeRewardManager
    reward.reward_manager.module.path=pkg://twiceshy.integrations.verl.reward_manager

It is verl's own `naive` manager around a scoring function that cannot fail: what the function
returned or raised becomes an outcome (`scoring.scored`). This module imports verl.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, get_args

from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.utils.reward_score import default_compute_score

from twiceshy.errors import BadInput
from twiceshy.integrations.verl.scoring import failed, scored
from twiceshy.objectives.checks import require_choice
from twiceshy.objectives.labels import TruncatedAs

_log = logging.getLogger(__name__)


class OutcomeRewardManager(NaiveRewardManager):
    """Scores one response; the result says success, failure, broken or unscored, and why.

    A response that fills `rollout.response_length` without an end token abstains, unless
    `+reward.reward_kwargs.truncated_as=as_judged`.

    Raises:
        BadInput: If `truncated_as` is neither of its values.
    """

    def __init__(
        self, config: Any, tokenizer: Any, compute_score: Callable[..., Any] | None, **router: Any
    ) -> None:
        super().__init__(
            config, tokenizer, guarded(compute_score or default_compute_score), **router
        )
        options = config.reward.get("reward_kwargs") or {}
        self.truncated_as = str(options.get("truncated_as", "abstain"))
        where = "reward.reward_kwargs.truncated_as"
        require_choice(self.truncated_as, known=get_args(TruncatedAs), where=where)
        self.end_token: int | None = getattr(tokenizer, "eos_token_id", None)
        self.limit = int(config.actor_rollout_ref.rollout.response_length)

    async def run_single(self, data: Any) -> dict[str, Any]:
        """Return `reward_score` and `reward_extra_info` of the last sequence."""
        result = await super().run_single(data)
        if self.truncated_as == "abstain" and self._is_cut(data):
            extra = scored(result["reward_extra_info"], truncated=True)
            result = {"reward_score": extra["score"], "reward_extra_info": extra}
        return result

    def _is_cut(self, data: Any) -> bool:
        item = data[-1:][0]
        responses = item.batch["responses"]
        n = int(item.batch["attention_mask"][-responses.shape[-1] :].sum())
        return n >= self.limit and int(responses[n - 1]) != self.end_token


def guarded(scorer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a scorer (a coroutine where it was one) that returns an outcome, come what may."""
    if inspect.iscoroutinefunction(scorer):

        async def judge_later(**asked: Any) -> dict[str, Any]:
            try:
                result = await scorer(**asked)
            except Exception as error:  # noqa: BLE001 - recorded as a broken attempt
                return _broke(error)
            return scored(result)

        return judge_later

    def judge(**asked: Any) -> dict[str, Any]:
        try:
            result = scorer(**asked)
        except Exception as error:  # noqa: BLE001 - recorded as a broken attempt
            return _broke(error)
        return scored(result)

    return judge


def _broke(error: Exception) -> dict[str, Any]:
    """Record what a scorer raised; the world's fault, unless it is a mistake of the run's."""
    if isinstance(error, BadInput | NotImplementedError):  # no scorer for this data source
        raise error
    _log.warning("twiceshy: the scorer raised %s: %s", type(error).__name__, error)
    return failed(error)
