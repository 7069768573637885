"""Advantages of this package as verl's estimators: one thin function for all of them.

    algorithm.adv_estimator=twiceshy_w_reinforce +algorithm.twiceshy.lambda_pos=0.1

Options are read from the node `algorithm.twiceshy`: those of the objective, and those below.

- success, failure: rewards that are a verified success and failure; 1 and −1.
- group_size: sessions a prompt must have; not given: each group as it is.
- all_wrong, strength: what to do with all-wrong groups (as_is, constant, drop, ngrpo).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast, get_args

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.integrations.verl.rewards import labels_of_rewards
from twiceshy.integrations.verl.rows import Sessions, check_sizes, sessions_of
from twiceshy.objectives.all_wrong import AllWrong
from twiceshy.objectives.checks import require_choice
from twiceshy.objectives.registry import OBJECTIVES, bind_objective, find_objective

PREFIX = "twiceshy_"
ESTIMATORS = tuple(
    PREFIX + name for name, objective in OBJECTIVES.items() if not objective.needs_luck
)
"""Names to give as `algorithm.adv_estimator`. None is one of verl's own, and none can become so."""

_NEEDS_LOGP = ("lens", "entropy_graded")
"""Choices for all-wrong groups that read log-probabilities, which verl hands to no estimator."""


def estimate(
    name: str,
    *,
    token_level_rewards: Tensor,
    response_mask: Tensor,
    index: Sequence[object],
    config: Mapping[str, Any] | None = None,
    **unused: object,
) -> tuple[Tensor, Tensor]:
    """Return advantages and returns as verl asks for them.

    Labels come from the rewards, a session (not a row) enters its group's statistics, and a session
    of k outputs gives each 1/k of its advantage, so that it weighs as much as one of one output.

    Source: `objectives`, under the name without "twiceshy_". Differs: a group with one session left
    gives 0 in an objective that compares, instead of stopping the run; all groups of one stop it.

    Args:
        name: Of the estimator, with or without the prefix.
        token_level_rewards: Reward on the last response token, (N, T).
        response_mask: Response tokens, 0 or 1, (N, T).
        index: An id a row; see `rows.sessions_of`.
        config: verl's node `algorithm`.
        unused: What else verl may hand over.

    Returns:
        Advantages (N, T), 0 off the mask, and the same once more.

    Raises:
        BadInput: If the rewards are not labels, a row is there twice, an option is unknown, or the
            configuration deletes all-wrong groups that this objective learns from.

    Example:
        >>> advantages, _ = estimate(
        ...     "twiceshy_nsr", token_level_rewards=torch.tensor([[0.0, 1.0], [-1.0, 0.0]]),
        ...     response_mask=torch.tensor([[1, 1], [1, 0]]), index=["task", "task"])
        >>> advantages.tolist()
        [[0.0, 0.0], [-1.0, 0.0]]
    """
    del unused
    node = config if config is not None else {}
    options = dict(node.get("twiceshy") or {})
    coding = {key: float(options.pop(key)) for key in ("success", "failure") if key in options}
    group_size = options.pop("group_size", None)
    with torch.no_grad():
        _check_node(node)
        empty = ~response_mask.bool().any(dim=1).cpu()
        rewards = token_level_rewards.sum(dim=-1).cpu()
        labels = labels_of_rewards(rewards, empty=empty, **coding)
        padding = empty & (rewards == 0)
        sessions = sessions_of(index, padding=padding)
        counted = ~padding[sessions.last]
        check_sizes(sessions, counted, group_size=group_size)
        of_session = _advantages(
            name.removeprefix(PREFIX), labels[sessions.last], sessions, counted, options, node
        )
        of_row = (of_session / sessions.n_outputs)[sessions.of_row, None]
        weights = of_row.to(token_level_rewards)
        advantages = torch.where(response_mask.bool(), weights, torch.zeros_like(weights))
    return advantages, advantages


def estimator(name: str) -> Callable[..., tuple[Tensor, Tensor]]:
    """Return `estimate` for one name, in a form that verl can register and print."""
    bound = partial(estimate, name)
    bound.__doc__ = find_objective(name.removeprefix(PREFIX)).summary
    return bound


def _advantages(
    name: str,
    labels: Tensor,
    sessions: Sessions,
    counted: Tensor,
    options: Mapping[str, Any],
    node: Mapping[str, Any],
) -> Tensor:
    """Return the advantage of each session, (S,)."""
    sizes = torch.bincount(sessions.group)[sessions.group]
    objective = find_objective(name)
    usable = counted & (sizes > 1) if objective.compares else counted
    if not bool(usable.any()) and bool(counted.any()):
        raise BadInput(
            f"at least two sessions a prompt, for {name} compares them",
            got="one for every prompt",
            where="actor_rollout_ref.rollout.n",
            fix="Set actor_rollout_ref.rollout.n=8, or take twiceshy_nsr or twiceshy_w_reinforce.",
        )
    advantages = torch.zeros(len(labels))
    if bool(usable.any()):
        bound = _bound(name, options, group_size=int(sizes[usable].max()))
        _check_filter(bound, node, name=name)
        advantages[usable] = bound(labels[usable], sessions.group[usable])
    return advantages


def _bound(name: str, options: Mapping[str, Any], *, group_size: int) -> partial[Tensor]:
    own = dict(options)
    all_wrong = str(own.pop("all_wrong", "as_is"))
    strength = float(own.pop("strength", 1.0))
    where = "algorithm.twiceshy.all_wrong"
    require_choice(all_wrong, known=get_args(AllWrong), where=where)
    if all_wrong in _NEEDS_LOGP:
        raise BadInput(
            "a choice that needs no log-probabilities (as_is, constant, drop, ngrpo)",
            got=all_wrong,
            where=where,
            fix="verl hands an estimator none; TRL and the embedded loop do.",
        )
    return bind_objective(
        name,
        group_size=group_size,
        options=own,
        all_wrong=cast("AllWrong", all_wrong),
        strength=strength,
    )


def _check_node(node: Mapping[str, Any]) -> None:
    if node.get("use_kl_in_reward"):
        raise BadInput(
            "rewards that are labels",
            got="rewards less a KL penalty",
            where="algorithm.use_kl_in_reward",
            fix="Set it to False, and actor_rollout_ref.actor.use_kl_loss=True for a KL term.",
        )


def _check_filter(bound: partial[Tensor], node: Mapping[str, Any], *, name: str) -> None:
    """Refuse a filter that deletes groups this objective would learn from."""
    if not (node.get("filter_groups") or {}).get("enable"):
        return
    all_wrong = torch.full((2,), -1, dtype=torch.int8)
    if bool((bound(all_wrong, torch.zeros(2, dtype=torch.int64)) != 0).any()):
        raise BadInput(
            f"all-wrong groups, from which {name} learns",
            got="a filter that deletes them",
            where="algorithm.filter_groups.enable",
            fix="Set it to False; to drop all-right groups only, use the sampler "
            "pkg://twiceshy.integrations.verl.sampler.",
        )
