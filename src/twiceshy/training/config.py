"""One run as a file: typed, frozen, and refusing every key that would do nothing.

[task]
name = "chain"
medium = 0.1
over_budget = 0.9

[rl]
n_steps = 50

[objective]
name = "w_reinforce"
options = { lambda_pos = 0.1 }

[gate]
kind = "frontier"
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import torch

from twiceshy.errors import BadInput
from twiceshy.objectives.all_wrong import AllWrong
from twiceshy.objectives.denominator import Denominator, DenominatorKind, denominator_of
from twiceshy.objectives.registry import bind_credit, find_objective
from twiceshy.training.binding import LABEL_LOSSES, bound_advantages, bound_loss, tried
from twiceshy.training.curriculum import Curriculum, KnowsLuck
from twiceshy.training.evaluation import EvaluationConfig
from twiceshy.training.gates import Gate, NoGate, gate_curriculum
from twiceshy.training.guarding import GuardConfig
from twiceshy.training.hf import HfConfig
from twiceshy.training.loop import RlConfig
from twiceshy.training.policy import PolicyConfig
from twiceshy.training.scheduling import Schedule
from twiceshy.training.sft import SftConfig, sft_recipe
from twiceshy.training.stopping import StopConfig
from twiceshy.training.tasks import Chain, Change, Countdown, ReasoningGym
from twiceshy.training.tasks.text import require_words
from twiceshy.training.update import StepObjective, per_drawn_token

AnyTask = Countdown | Change | Chain | ReasoningGym
AnyModel = PolicyConfig | HfConfig
Option = int | float | str
C = TypeVar("C", bound=msgspec.Struct)


class ObjectiveConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is maximised, by the names of `objectives.registry`.

    The defaults come from `experiments/negative-reinforcement`: after the same rollouts GRPO had
    more pass@1 than W-REINFORCE, and punishing failures over several updates a batch needs a
    clipped ratio, which changes nothing where a batch makes one update.

    Attributes:
        name: From labels to advantages.
        options: Its options.
        schedules: Options that change during the run, by their names.
        all_wrong: What to do with a group whose scored attempts all failed.
        all_wrong_strength: Its scale, 0 to 1, for the choices that penalise.
        loss: From log-probabilities and advantages to a loss. "unlikelihood", "npo" and "kto" take
            the label instead and go with the name "reinforce".
        loss_options: Its options.
        guards: What is kept out of the loss, and added to it.
        credit: Spreads advantages over tokens.
        credit_options: Its options.
        denominator: "budget" divides by rollouts times the budget, whatever was drawn.
    """

    name: str = "grpo"
    options: dict[str, Option] = {}
    schedules: dict[str, Schedule] = {}
    all_wrong: AllWrong = "as_is"
    all_wrong_strength: float = 1.0
    loss: str = "ppo_clip"
    loss_options: dict[str, Option] = {}
    guards: GuardConfig = GuardConfig()
    credit: str = "uniform"
    credit_options: dict[str, int | float] = {}
    denominator: Literal["budget", "tokens", "sequences"] = "budget"


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run, from an untrained policy to its evaluation.

    Attributes:
        task: Source of prompts, and verifier.
        model: Size of the policy; or, with kind "hf", where to find a language model.
        sft: How the base policy is made; None: the task's usual recipe.
        rl: The loop.
        objective: What is maximised.
        gate: Which prompts are visited and which groups learned from.
        evaluation: How it is measured.
        evaluation_task: Task it is measured on; None: `task`. It has to share its symbols.
        stop: Limits at which the run stops by itself.
        base: Where it starts: the name of a base policy that ships, a file of `save_policy`, or
            "none" for one made by `sft` first. None: the one that ships for the task; without one,
            or with `model` or `sft` given, as "none".
        seed: Seed of everything random.
    """

    task: AnyTask = Countdown()
    model: AnyModel = PolicyConfig()
    sft: SftConfig | None = None
    rl: RlConfig = RlConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    gate: Gate = NoGate()
    evaluation: EvaluationConfig = EvaluationConfig()
    evaluation_task: AnyTask | None = None
    stop: StopConfig = StopConfig()
    base: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.model, HfConfig):
            require_words(self.task)
            if self.sft is not None:
                raise BadInput("no [sft] with a language model, which is taken as it is")
        if self.base not in (None, "none") and self.makes_its_base:
            raise BadInput(
                "no [model] and no [sft], which are for a base policy that is made first",
                got=f"base = {self.base!r} as well",
                where="base",
                fix='Leave them out, or set base = "none".',
            )
        objective = step_objective(self.objective, group_size=self.rl.group_size)
        several = self.rl.update.n_minibatches * self.rl.update.n_epochs > 1
        if self.objective.guards.needs_several_updates and not several:
            raise BadInput(
                "several updates a step with guards.drift or guards.llds, which do nothing to the "
                "policy that sampled",
                got="one",
                where="objective.guards",
                fix="Set rl.update.n_minibatches to 2 or more.",
            )
        curriculum = self.curriculum()
        if objective.needs_luck and not isinstance(curriculum, KnowsLuck):
            raise BadInput(
                "the frontier gate, which knows how likely luck is",
                got=f"objective {self.objective.name} without it",
                where="gate.kind",
                fix='Set kind = "frontier" in [gate].',
            )
        other = self.evaluation_task
        if other is not None and other.symbols != self.task.symbols:
            raise BadInput(
                "an evaluation task of the same kind as the task", where="evaluation_task"
            )

    def curriculum(self) -> Curriculum:
        """Return a new curriculum as the gate describes it.

        Raises:
            BadInput: If the gate needs a rate of undeserved reward and there is none.
        """
        rate = self.task.guess_rate
        return gate_curriculum(
            self.gate, n_pool=self.rl.n_prompts, group_size=self.rl.group_size, guess_rate=rate
        )

    @property
    def makes_its_base(self) -> bool:
        """Whether the size or the training of a base policy of its own is described."""
        return self.sft is not None or self.model != PolicyConfig()

    @property
    def base_recipe(self) -> SftConfig | None:
        """How the base policy is made; None: a language model is taken as it is."""
        if isinstance(self.model, HfConfig):
            return None
        return sft_recipe(self.task) if self.sft is None else self.sft


def step_objective(config: ObjectiveConfig, *, group_size: int) -> StepObjective:
    """Return the functions that a config names.

    Raises:
        BadInput: If a name or option is unknown, an option is out of range, or groups of this size
            cannot be compared.

    Example:
        >>> step_objective(ObjectiveConfig(name="nsr"), group_size=8).advantages(
        ...     torch.tensor([1, -1]), torch.tensor([0, 0])).tolist()
        [0.0, -1.0]
    """
    kind, guards = config.denominator, config.guards
    bound = bound_advantages(
        config.name,
        group_size=group_size,
        options=config.options,
        schedules=config.schedules,
        all_wrong=config.all_wrong,
        strength=config.all_wrong_strength,
    )
    credit = bind_credit(config.credit, options=config.credit_options)
    loss = bound_loss(config.loss, options=config.loss_options)
    if config.loss in LABEL_LOSSES:
        _require_labels(config)
    objective = StepObjective(
        name=msgspec.json.encode(config).decode(),
        advantages=bound.advantages,
        loss=loss,
        denominator=per_drawn_token if kind == "budget" else _Counted(kind),
        takes=bound.takes,
        credit=None if config.credit == "uniform" else credit,
        guards=None if guards.is_off else guards,
        needs_reference=bool(config.loss in LABEL_LOSSES and LABEL_LOSSES[config.loss].takes),
        reads_every_row=guards.llds is not None,
        needs_luck=find_objective(config.name).needs_luck,
    )
    return tried(objective, group_size=group_size)


def _require_labels(config: ObjectiveConfig) -> None:
    """Refuse what a loss of labels would not look at: weights, token credit, penalties."""
    plain = (config.name, config.options, config.schedules, config.credit)
    if plain != ("reinforce", {}, {}, "uniform") or config.all_wrong not in ("as_is", "drop"):
        raise BadInput(
            'objective.name = "reinforce" without options, schedules, credit or penalties, which a '
            "loss of labels does not look at",
            got=config.name,
            where=f"loss {config.loss}",
            fix="Give weights in objective.loss_options.",
        )


class _Counted(msgspec.Struct, frozen=True):
    """The denominator of a minibatch by what is counted in it."""

    kind: DenominatorKind

    def __call__(self, mask: torch.Tensor) -> Denominator:
        return denominator_of(mask, kind=self.kind)


def load_config(path: Path, *, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the run that a TOML file describes.

    Raises:
        BadInput: As `parse_config`; or when the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("a TOML file that can be read", got=str(error), where=str(path)) from error
    return parse_config(text, where=str(path), overrides=overrides)


def parse_config(text: str, *, where: str = "config", overrides: Sequence[str] = ()) -> RunConfig:
    r"""Return the run that a TOML text describes; keys that are left out keep their defaults.

    Args:
        text: TOML.
        where: What to call it in errors.
        overrides: More lines of TOML with dotted keys, which win: `rl.n_steps = 50`.

    Raises:
        BadInput: When it is not TOML, a key is unknown (with near matches), or a value is wrong.

    Example:
        >>> parse_config("[rl]\nn_steps = 5", overrides=["rl.group_size = 4"]).rl.group_size
        4
        >>> parse_config("[rl]\nn_step = 5")
        Traceback (most recent call last):
        twiceshy.errors.BadInput: config: expected a known key, got rl.n_step. Did you mean n_steps?
    """
    raw = _toml(text, where=where)
    for line in overrides:
        raw = _merged(raw, _toml(line, where=f"override {line!r}"))
    _name_default_model(raw)
    return config_of(raw, RunConfig, where=where)


def config_of(raw: dict[str, Any], kind: type[C], *, where: str) -> C:
    """Return plain values as a config of one kind.

    Args:
        raw: As read from a file.
        kind: A struct of settings.
        where: What to call it in errors.

    Raises:
        BadInput: A key is unknown (with near matches), or a value is wrong.

    Example:
        >>> config_of({"n_steps": 5}, RlConfig, where="rl").n_steps
        5
    """
    _refuse_unknown(raw, kind, path="", where=where)
    try:
        return msgspec.convert(raw, kind, strict=True)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, BadInput):
            raise error.__cause__ from None
        raise BadInput("a valid config", got=str(error), where=where) from error


def dump_config(config: RunConfig) -> dict[str, Any]:
    """Return a config as plain values, every default filled in, for a manifest."""
    return msgspec.to_builtins(config)


def _name_default_model(raw: dict[str, Any]) -> None:
    """Fill in the kind of a `[model]` that says none."""
    model = raw.get("model")
    if isinstance(model, dict):
        raw["model"] = {"kind": "tiny", **model}


def _toml(text: str, *, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput("TOML", got=str(error), where=where) from error


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merged(old, value) if both else value
    return merged


def _refuse_unknown(raw: dict[str, Any], struct: Any, *, path: str, where: str) -> None:
    """Refuse keys that the struct (or, for a tagged union, the named member) does not have."""
    hints = get_type_hints(struct)
    tag = struct.__struct_config__.tag_field
    known = [*struct.__struct_fields__, *([tag] if tag else [])]
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=2, cutoff=0.5)
            fix = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
            raise BadInput("a known key", got=path + key, where=where, fix=fix)
        if isinstance(value, dict) and key in hints:
            inner = _struct_of(hints[key], value, path=path + key, where=where)
            if inner is not None:
                _refuse_unknown(value, inner, path=f"{path}{key}.", where=where)


def _struct_of(hint: Any, value: dict[str, Any], *, path: str, where: str) -> Any:
    """Return the struct that a value of this type must be; None where it is not a struct."""
    members = get_args(hint) if get_origin(hint) is not dict else ()
    structs = [
        m for m in (members or (hint,)) if isinstance(m, type) and issubclass(m, msgspec.Struct)
    ]
    if len(structs) < 2:
        return structs[0] if structs else None
    by_tag = {struct.__struct_config__.tag: struct for struct in structs}
    field = structs[0].__struct_config__.tag_field or "name"
    name = value.get(field)
    if name not in by_tag:
        near = difflib.get_close_matches(str(name), [str(known) for known in by_tag], n=1)
        fix = f"Did you mean {near[0]}?" if near else ""
        names = ", ".join(str(known) for known in by_tag)
        raise BadInput(f"a {field} among {names}", got=str(name), where=f"{where}: {path}", fix=fix)
    return by_tag[name]
