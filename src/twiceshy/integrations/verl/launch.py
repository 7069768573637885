"""What a verl command line would silently do to failures, said before it is launched.

Overrides are read as hydra writes them (`algorithm.adv_estimator=twiceshy_nsr`); a key that is not
there has verl's default. Nothing of verl is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Severity
from twiceshy.integrations.verl.estimators import ESTIMATORS, PREFIX
from twiceshy.objectives.checks import unknown_name
from twiceshy.objectives.registry import find_objective

_MANAGER = "pkg://twiceshy.integrations.verl.reward_manager"
_FILTER = "algorithm.filter_groups.enable"
_SAMPLER = "trainer.v1.sampler.custom_sampler.name"


class Finding(NamedTuple):
    """One thing to know before a launch."""

    severity: Severity
    """"alarm" where failures would be lost or the run would stop."""
    where: str
    """The key."""
    message: str
    """What happens and what to set."""


def check_overrides(overrides: Sequence[str]) -> list[Finding]:
    """Return what is wrong with a command line, the worst first.

    Args:
        overrides: `key=value` as given to verl; a leading "+" or "++" is allowed.

    Raises:
        BadInput: If one is not of that form, or the estimator has a near miss of a name.

    Example:
        >>> found = check_overrides(["algorithm.adv_estimator=twiceshy_nsr",
        ...                          "algorithm.filter_groups.enable=True",
        ...                          "+algorithm.twiceshy.failure=0"])
        >>> [(each.severity, each.where) for each in found][:1]
        [('alarm', 'algorithm.filter_groups.enable')]
    """
    given = _read(overrides)
    name = given.get("algorithm.adv_estimator", "gae")
    if not name.startswith(PREFIX):
        message = (
            f"is {name}: nothing of twiceshy is used. Set it to one of {', '.join(ESTIMATORS)}."
        )
        return [Finding("warning", "algorithm.adv_estimator", message)]
    if name not in ESTIMATORS:
        raise unknown_name(name, known=ESTIMATORS, where="algorithm.adv_estimator")
    found = [
        *_on_groups(given, name.removeprefix(PREFIX)),
        *_on_rewards(given),
        *_on_sampler(given),
        *_on_updates(given),
    ]
    return sorted(found, key=lambda each: ("alarm", "warning", "info").index(each.severity))


def _read(overrides: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for each in overrides:
        key, equals, value = each.partition("=")
        if not equals or not key.strip("+~ "):
            raise BadInput("key=value, as verl takes it", got=each, where="overrides")
        given[key.lstrip("+~")] = value.strip("'\"")
    return given


def _on(given: Mapping[str, str], key: str, *, default: bool = False) -> bool:
    return given.get(key, str(default)).lower() in ("true", "1", "yes", "on")


def _on_groups(given: Mapping[str, str], name: str) -> list[Finding]:
    found: list[Finding] = []
    objective = find_objective(name)
    if _on(given, _FILTER):
        lost = not objective.compares  # those that compare give such a group 0 anyway
        found.append(
            Finding(
                "alarm" if lost else "warning",
                _FILTER,
                "deletes all-wrong groups together with all-right ones. Set it to False; to drop "
                "all-right groups only, use the sampler of twiceshy.",
            )
        )
    n = given.get("actor_rollout_ref.rollout.n", "1")
    if objective.compares and n.isdecimal() and int(n) < 2:
        key = "actor_rollout_ref.rollout.n"
        found.append(Finding("alarm", key, f"is {n}, and {name} compares attempts. Set it to 8."))
    return found


def _on_rewards(given: Mapping[str, str]) -> list[Finding]:
    found: list[Finding] = []
    managed = given.get("reward.reward_manager.module.path") == _MANAGER
    if not managed and "algorithm.twiceshy.failure" not in given:
        found.append(
            Finding(
                "alarm",
                "reward.reward_manager",
                "a plain scorer's 0 is not a label, and the first batch with one stops the run. "
                f"Set reward.reward_manager.source=importlib, .module.path={_MANAGER} and "
                ".name=OutcomeRewardManager; or +algorithm.twiceshy.failure=0 where 0 is always "
                "the policy's failure.",
            )
        )
    if managed and given.get("reward.reward_manager.source") != "importlib":
        key = "reward.reward_manager.source"
        found.append(Finding("alarm", key, "is not importlib: the manager is not loaded. Set it."))
    if _on(given, "algorithm.use_kl_in_reward"):
        message = (
            "makes rewards that are no labels. Set it to False, and "
            "actor_rollout_ref.actor.use_kl_loss=True for a KL term."
        )
        found.append(Finding("alarm", "algorithm.use_kl_in_reward", message))
    return found


def _on_sampler(given: Mapping[str, str]) -> list[Finding]:
    name, mode = given.get(_SAMPLER), given.get("trainer.v1.trainer_mode", "sync")
    if name not in ("KeepAllWrong", "KeepAllWrongAsync"):
        return []
    found: list[Finding] = []
    if (name == "KeepAllWrong") != (mode == "sync"):
        message = f"is {name} with trainer_mode {mode}. Set it to KeepAllWrong with sync only."
        found.append(Finding("alarm", _SAMPLER, message))
    elif mode == "sync" and given.get("data.gen_batch_size") != "1":
        message = "is not 1, and a dropped prompt is replaced by one. Set it to 1."
        found.append(Finding("alarm", "data.gen_batch_size", message))
    size = "trainer.v1.sampler.sampler_kwargs.train_batch_size"
    if mode == "sync" and size not in given:
        found.append(Finding("alarm", size, "is missing. Set it to data.train_batch_size."))
    return found


def _on_updates(given: Mapping[str, str]) -> list[Finding]:
    """Say where the ratio is never off 1, so that nothing bounds the push on a failure."""
    batch = given.get("data.train_batch_size")
    mini = given.get("actor_rollout_ref.actor.ppo_mini_batch_size")
    epochs = given.get("actor_rollout_ref.actor.ppo_epochs", "1")
    if batch is None or batch != mini or epochs != "1":
        return []
    message = (
        f"is the whole batch ({batch}) and there is one epoch: the ratio is exactly 1 and no clip "
        "ever acts. Set it to a quarter of data.train_batch_size, or leave it on purpose."
    )
    return [Finding("warning", "actor_rollout_ref.actor.ppo_mini_batch_size", message)]
