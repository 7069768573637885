"""What is checked before training starts: settings under which failures silently teach nothing.

    for finding in check_arguments(args, outcomes):
        print(finding.severity, finding.message, finding.fix)

A "trap" makes the trainer refuse to start (unless told otherwise), a "warning" is logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from twiceshy.errors import BadInput
from twiceshy.integrations.trl.config import OutcomeConfig
from twiceshy.objectives.group_advantages import asymre
from twiceshy.objectives.registry import find_objective

BY_TOKENS = ("dapo", "cispo", "vespo")
"""Loss types whose denominator is `num_items_in_batch`, which the plug can set."""
CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")


class Finding(NamedTuple):
    """One thing about the settings."""

    severity: Literal["trap", "warning"]
    where: str
    """The setting."""
    message: str
    """What it does to learning from failures."""
    fix: str
    """What to set."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message} {self.fix}"


class _Settings(NamedTuple):
    args: Any
    """A `GRPOConfig`, of any version."""
    outcomes: OutcomeConfig
    model: object

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self.args, name, default)

    @property
    def ratio_is_one(self) -> bool:
        """Whether every update is made by the policy that sampled, as TRL itself decides it."""
        every = self.args.steps_per_generation * self.args.num_iterations
        corrected = self.get("use_vllm") and self.get("vllm_importance_sampling_correction")
        return self.args.gradient_accumulation_steps % every == 0 and not corrected


def check_arguments(args: Any, outcomes: OutcomeConfig, *, model: object = None) -> list[Finding]:
    """Return everything about a `GRPOConfig` that keeps failures from teaching as they should.

    Args:
        args: The `GRPOConfig`.
        outcomes: What the plug is told.
        model: The model that the trainer will be given, where it matters: see `beta`.
    """
    settings = _Settings(args, outcomes, model)
    return [finding for check in _CHECKS for finding in check(settings)]


def refuse_traps(findings: list[Finding]) -> None:
    """Refuse to start when there is a trap among the findings.

    Raises:
        BadInput: Naming every trap.
    """
    traps = [finding for finding in findings if finding.severity == "trap"]
    if traps:
        raise BadInput(
            "settings under which failures can teach",
            got="; ".join(f"{trap.where} ({trap.message.rstrip('.')})" for trap in traps),
            where="GRPOConfig",
            fix=" ".join(trap.fix for trap in traps)
            + ' To start regardless: on_trap="warn" in OutcomeConfig.',
        )


def _ratio(settings: _Settings) -> Iterator[Finding]:
    if not settings.ratio_is_one:
        return
    fix = (
        "Set num_iterations=2, or steps_per_generation to twice gradient_accumulation_steps, for "
        "several updates a batch."
    )
    where = "steps_per_generation"
    guards = settings.outcomes.objective.guards
    if guards.needs_several_updates:
        said = "the ratio is always 1, so guards.drift and guards.llds do nothing."
        yield Finding("trap", where, said, fix)
        return
    said = "the ratio is always 1, so no clip ever acts and the push on failures has no bound."
    yield Finding("warning", where, said, fix)


def _cispo(settings: _Settings) -> Iterator[Finding]:
    high = settings.get("epsilon_high")
    bound = settings.args.epsilon if high is None else high
    if settings.args.loss_type == "cispo" and settings.outcomes.loss == "trl" and bound < 1:
        yield Finding(
            "trap",
            "epsilon_high",
            f"with cispo it is the largest ratio itself, and {bound:g} scales every gradient down "
            "to that.",
            "Set epsilon_high=5.0.",
        )


def _denominator(settings: _Settings) -> Iterator[Finding]:
    outcomes, kind = settings.outcomes, settings.args.loss_type
    ours = outcomes.loss == "ours"
    by_tokens = outcomes.objective.denominator == "tokens" if ours else kind in BY_TOKENS
    if outcomes.rows_counted == "with_advantage":
        if not by_tokens:
            where = "objective.denominator" if ours else "loss_type"
            yield Finding(
                "trap",
                where,
                "the denominator counts rows without an advantage, whatever rows_counted says.",
                'Set rows_counted="all"'
                + (
                    ', or denominator="tokens".'
                    if ours
                    else f", or loss_type to one of {', '.join(BY_TOKENS)}."
                ),
            )
        return
    if outcomes.objective.name in ("nsr", "psr"):
        other = "right" if outcomes.objective.name == "nsr" else "wrong"
        yield Finding(
            "warning",
            "rows_counted",
            f"{other} rows have no advantage and are counted in the denominator, so the step "
            "shrinks as they become more.",
            'Set rows_counted="with_advantage" to leave them out.',
        )


def _filters(settings: _Settings) -> Iterator[Finding]:
    if settings.get("num_remains_in_group") is not None:
        yield Finding(
            "trap",
            "num_remains_in_group",
            "completions are filtered by their reward before the plug sees them.",
            "Leave it out, and use a gate, which decides from earlier visits.",
        )
    threshold = settings.get("off_policy_mask_threshold")
    if threshold is not None:
        ours = settings.outcomes.loss == "ours"
        said = (
            'it is not looked at with loss "ours".'
            if ours
            else "it drops failures only: those the policy has moved away from."
        )
        yield Finding(
            "trap" if ours else "warning",
            "off_policy_mask_threshold",
            said,
            "Use guards.drift." if ours else "Leave it out to keep them.",
        )
    if settings.get("top_entropy_quantile", 1.0) < 1:
        ours = settings.outcomes.loss == "ours"
        yield Finding(
            "trap" if ours else "warning",
            "top_entropy_quantile",
            'it is not looked at with loss "ours".'
            if ours
            else "it drops low-entropy tokens of failures as well.",
            'Use credit="top_entropy" in the objective.',
        )


def _truncated(settings: _Settings) -> Iterator[Finding]:
    if settings.outcomes.labels.truncated_as == "abstain":
        return
    if settings.get("mask_truncated_completions"):
        yield Finding(
            "trap",
            "mask_truncated_completions",
            "truncated completions count as judged in their group and have no token to learn from.",
            'Set labels.truncated_as="abstain", or mask_truncated_completions=False.',
        )
    else:
        yield Finding(
            "warning",
            "labels.truncated_as",
            "a completion cut at max_completion_length is mostly judged wrong, whatever it was "
            "about to say.",
            'Set labels.truncated_as="abstain".',
        )


def _rewards(settings: _Settings) -> Iterator[Finding]:
    plain = {
        "scale_rewards": "group",
        "multi_objective_aggregation": "sum_then_normalize",
        "reward_weights": None,
    }
    changed = [name for name, usual in plain.items() if settings.get(name, usual) != usual]
    if changed:
        yield Finding(
            "warning",
            ", ".join(changed),
            "advantages come from labels, so this changes only what TRL logs of rewards.",
            "Choose the objective instead (dr_grpo does not divide by the deviation).",
        )


def _all_wrong(settings: _Settings) -> Iterator[Finding]:
    objective = settings.outcomes.objective
    if objective.all_wrong not in ("as_is", "drop"):
        return
    known = find_objective(objective.name)
    if known.advantages is asymre and objective.all_wrong == "as_is":
        yield Finding(
            "warning",
            "objective.all_wrong",
            "asymre pushes every attempt of an all-wrong group up.",
            'Set all_wrong="drop" or "constant".',
        )
    elif (known.compares and objective.name != "ngrpo") or objective.all_wrong == "drop":
        yield Finding(
            "warning",
            "objective.all_wrong",
            f"all-wrong groups teach nothing under {objective.name} with "
            f'all_wrong="{objective.all_wrong}".',
            'Set all_wrong="ngrpo" or "constant" to learn from them.',
        )


def _bound(settings: _Settings) -> Iterator[Finding]:
    args, outcomes = settings.args, settings.outcomes
    clipped = outcomes.loss == "trl" and args.loss_type in CLIPPED
    if clipped and settings.get("delta") is None and not settings.ratio_is_one:
        yield Finding(
            "warning",
            "delta",
            "a failure whose ratio rises is pushed down in proportion to it, without a bound.",
            "Set delta=3.0 (verl's default) for one.",
        )
    if outcomes.loss == "trl" and args.loss_type in ("grpo", "sapo"):
        yield Finding(
            "warning",
            "loss_type",
            "a sequence is averaged over its own tokens, so a token of a long wrong answer is "
            "punished less.",
            "dapo and dr_grpo weigh every token alike.",
        )


def _engine(settings: _Settings) -> Iterator[Finding]:
    if settings.get("use_liger_kernel") and _liger_has_a_loss():
        yield Finding(
            "trap",
            "use_liger_kernel",
            "in this version of TRL it replaces the loss by a fixed one.",
            "Leave it out.",
        )
    config = getattr(settings.model, "config", None)
    path = getattr(config, "_name_or_path", "")
    is_adapter = hasattr(settings.model, "peft_config")
    if settings.get("beta") and config is not None and not path and not is_adapter:
        yield Finding(
            "trap",
            "beta",
            "the reference model is loaded anew by the model's path, and this model has none.",
            "Save it and pass the path, use adapters, or set beta=0.",
        )
    if settings.get("bf16") and settings.get("use_cpu"):
        yield Finding(
            "warning",
            "bf16",
            "bfloat16, TRL's default, is several times slower than float32 on most CPUs.",
            "Set bf16=False.",
        )


def _liger_has_a_loss() -> bool:
    from trl import GRPOTrainer

    return hasattr(GRPOTrainer, "compute_liger_loss")


_CHECKS: tuple[Callable[[_Settings], Iterator[Finding]], ...] = (
    _ratio,
    _cispo,
    _denominator,
    _filters,
    _truncated,
    _rewards,
    _all_wrong,
    _bound,
    _engine,
)
