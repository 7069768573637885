"""Where a run starts: a base policy that ships, one in a file, or one that is made first."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from twiceshy.errors import BadInput
from twiceshy.training.base import base_policies, base_policy
from twiceshy.training.checkpoint import load_policy, save_policy
from twiceshy.training.config import RunConfig
from twiceshy.training.hf import HfConfig, HfPolicy, load_model, text_task
from twiceshy.training.policy import PolicyConfig, TinyPolicy
from twiceshy.training.sft import SftStep, fine_tune, sft_recipe, untrained
from twiceshy.training.tasks import Task
from twiceshy.training.tasks.text import require_words

BASE_FILE = "base.pt"
MADE = "none"
"""As `RunConfig.base`: the policy is made first."""

_USUAL = {"countdown": "countdown-weak", "change": "change-weak", "chain": "chain"}
"""The base policy of each task when none is named: the weaker one, which leaves most to learn."""


class Start(NamedTuple):
    """A policy to train, in place."""

    policy: TinyPolicy | HfPolicy
    origin: str
    """Where it came from, in words."""
    task: Task
    """As the policy reads it."""
    evaluation_task: Task | None
    """Likewise."""


def task_name(task: Task) -> str:
    """Return a task's name in a config; the dataset's for a reasoning-gym task.

    Example:
        >>> from twiceshy.training.tasks import Chain
        >>> task_name(Chain())
        'chain'
    """
    named = msgspec.to_builtins(task)
    return str(named.get("dataset", named["name"]))


def chosen_base(config: RunConfig) -> str:
    """Return the name or file of a run's base policy, or "none" for one that is made first.

    Raises:
        BadInput: When it is neither a name that ships nor a file.

    Example:
        >>> chosen_base(RunConfig())
        'countdown-weak'
    """
    asked = config.base
    if asked is None:
        return MADE if config.makes_its_base else _usual(config.task)
    names = [MADE, *(card.name for card in base_policies())]
    if asked not in names and not Path(asked).is_file():
        near = difflib.get_close_matches(asked, names, n=2)
        raise BadInput(
            f"one of {', '.join(names)}, or the file of a policy",
            got=repr(asked),
            where="base",
            fix=f"Did you mean {' or '.join(near)}?" if near else "",
        )
    return asked


def starting_policy(
    config: RunConfig, *, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Start:
    """Return the policy that a run starts from.

    One that is made first is kept in the folder, where the next call finds it.

    Args:
        config: The run.
        folder: The run's.
        progress: Called with (steps done, steps in all) while a policy is made.

    Raises:
        BadInput: When there is no such policy, or it does not fit the task.
    """
    if isinstance(config.model, HfConfig):
        return _loaded(config, config.model)
    base = chosen_base(config)
    if base == MADE:
        return _started(config, *_made(config, config.model, folder, progress))
    if base in {card.name for card in base_policies()}:
        found, task, origin = *_shipped(base), f"{base}, which ships with the package"
    else:
        saved = load_policy(Path(base))
        found, task, origin = saved.policy, saved.about.get("task"), f"the file {base}"
    _require_fit(found, task=task, config=config, base=base)
    return _started(config, found, origin)


def _started(config: RunConfig, policy: TinyPolicy, origin: str) -> Start:
    return Start(policy, origin, config.task, config.evaluation_task)


def _loaded(config: RunConfig, model: HfConfig) -> Start:
    other = config.evaluation_task
    return Start(
        load_model(model, seed=config.seed),
        f"the language model {model.path}",
        text_task(require_words(config.task), model),
        None if other is None else text_task(require_words(other), model),
    )


def _usual(task: Task) -> str:
    name = _USUAL.get(task_name(task), MADE)
    if name == MADE:
        return MADE
    card = next(card for card in base_policies() if card.name == name)
    fits = _size(card.task) == _size(task)
    return name if fits else MADE


def _shipped(name: str) -> tuple[TinyPolicy, str]:
    policy, card = base_policy(name)
    return policy, task_name(card.task)


def _size(task: Task) -> tuple[int, int]:
    """Return the symbols and the tokens that a policy for this task must know."""
    return len(task.symbols), task.prompt_length + task.response_length


def _require_fit(policy: TinyPolicy, *, task: str | None, config: RunConfig, base: str) -> None:
    wanted, size = task_name(config.task), _size(config.task)
    if task in (None, wanted) and (policy.n_tokens, policy.max_length) == size:
        return
    raise BadInput(
        f"a policy for the task {wanted}: {size[0]} symbols and {size[1]} tokens",
        got=f"one for {task or 'an unnamed task'}: {policy.n_tokens} and {policy.max_length}",
        where=f"base {base}",
        fix='Take another, or base = "none" to make one first.',
    )


def _made(
    config: RunConfig,
    model: PolicyConfig,
    folder: Path,
    progress: Callable[[int, int], None] | None,
) -> tuple[TinyPolicy, str]:
    path, recipe = folder / BASE_FILE, config.base_recipe or sft_recipe(config.task)
    parts = (config.task, model, recipe, config.seed)
    identity = msgspec.json.encode(parts).decode()
    origin = f"a policy made by {recipe.n_steps} steps of supervised training"
    if path.exists():
        saved = load_policy(path)
        if saved.about.get("recipe") == identity:
            return saved.policy, origin

    def told(step: SftStep) -> None:
        if progress is not None:
            progress(step.step + 1, recipe.n_steps)

    policy = untrained(config.task, config=model, seed=config.seed)
    fine_tune(policy, config.task, config=recipe, seed=config.seed, progress=told)
    folder.mkdir(parents=True, exist_ok=True)
    save_policy(path, policy, about={"task": task_name(config.task), "recipe": identity})
    return policy, origin
