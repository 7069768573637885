"""The plug: four methods of GRPOTrainer, overridden around what they did before.

1. `_calculate_rewards` keeps the labels of the batch,
2. `_generate_and_score_completions` puts our advantages in place of TRL's,
3. `_get_per_token_logps_and_entropies` keeps the log-probs of the update, and
4. `_compute_loss` puts our loss in place of TRL's where that was asked for, and measures by sign.

Beside these, `log` adds the measurements and `_get_train_sampler` lets a gate choose prompts.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import torch
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.integrations.trl.advantages import Local, batch_advantages, local_advantages
from twiceshy.integrations.trl.config import OutcomeConfig
from twiceshy.integrations.trl.gating import PromptGate
from twiceshy.integrations.trl.labels import (
    Judged,
    judge,
    require_reward,
    require_some_label,
    require_whole_groups,
)
from twiceshy.integrations.trl.losses import own_loss
from twiceshy.integrations.trl.measuring import Measured
from twiceshy.integrations.trl.startup import check_arguments, refuse_traps
from twiceshy.integrations.trl.tables import rewrite_logs
from twiceshy.objectives.groups import group_states
from twiceshy.training.config import step_objective

LOGGER = logging.getLogger(__name__)

LABELS, ALL_WRONG, TRUNCATED = "outcome_labels", "outcome_all_wrong", "outcome_truncated"
"""What is added to TRL's batch; its loss passes over what it does not know."""


class _Generated(NamedTuple):
    """A generation batch between the two methods that see it."""

    judged: Judged
    rows: Tensor | None
    """Row of the gate's pool that each completion answers, (N,)."""


class OutcomeMixin:
    """Put in front of `trl.GRPOTrainer`, or of a subclass of it, in a class of your own.

    Takes what that class takes, and `outcomes`.

    Raises:
        BadInput: If the class behind is not a GRPOTrainer, the settings hold a trap, the rule's
            reward function is not there, or an option is out of range.
    """

    def __init__(self, *args: Any, outcomes: OutcomeConfig, **named: Any) -> None:
        _require_grpo(type(self))
        settings = named.get("args", args[2] if len(args) > 2 else None)
        if settings is None:
            raise BadInput("a GRPOConfig as args", got="none", where=type(self).__name__)
        self.outcomes = outcomes
        self.findings = check_arguments(
            settings, outcomes, model=named.get("model", args[0] if args else None)
        )
        if outcomes.on_trap == "refuse":
            refuse_traps(self.findings)
        for finding in self.findings:
            LOGGER.warning("%s", finding)
        self.objective = step_objective(outcomes.objective, group_size=settings.num_generations)
        self._measured: dict[str, Measured] = {"train": Measured(), "eval": Measured()}
        self._generated: _Generated | None = None
        self._tokens: tuple[Tensor, Tensor] | None = None
        self._n_batches = 0
        super().__init__(*args, **named)
        require_reward(outcomes.labels, names=self._of_trl.reward_func_names)
        self._gate = PromptGate.of(self._of_trl, outcomes=outcomes, objective=self.objective)

    @property
    def _of_trl(self) -> Any:
        """The same object, as the trainer it is a part of."""
        return self

    @property
    def _mode(self) -> str:
        return "train" if self._of_trl.model.training else "eval"

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: Any, completions: Any, completion_ids: Any
    ) -> Tensor:
        """Return TRL's rewards, and keep the labels that they stand for."""
        trainer, rule = self._of_trl, self.outcomes.labels
        rewards = super()._calculate_rewards(  # pyrefly: ignore[missing-attribute]
            inputs, prompts, completions, completion_ids
        )
        asked = [each.get("prompt") for each in inputs]
        require_whole_groups(asked, group_size=self._group_size, n_rows=len(rewards))
        ends = _end_tokens(trainer)
        cut = [not ids or int(ids[-1]) not in ends for ids in completion_ids]
        truncated = trainer.accelerator.gather(torch.tensor(cut, device=rewards.device))
        column = rewards[:, list(trainer.reward_func_names).index(rule.reward)]
        judged = judge(column, truncated=truncated, rule=rule)
        if self._n_batches == 0 and self._mode == "train":
            require_some_label(judged, rule=rule)
        rows = self._gate.rows(asked) if self._mode == "train" and self._gate else None
        if rows is not None:
            rows = trainer.accelerator.gather(rows.to(rewards.device))
        self._generated = _Generated(judged, rows)
        return rewards

    @property
    def _group_size(self) -> int:
        trainer = self._of_trl
        is_train = self._mode == "train"
        return trainer.num_generations if is_train else trainer.num_generations_eval

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return TRL's batch with our advantages in it."""
        batch = super()._generate_and_score_completions(inputs)  # pyrefly: ignore[missing-attribute]
        trainer, mode, generated = self._of_trl, self._mode, self._generated
        assert generated is not None, "TRL scored a batch without calling _calculate_rewards"
        judged, n = generated.judged, len(batch["advantages"])
        _require_all_rows(n, of=len(inputs))
        local = Local(trainer, batch)
        group = torch.arange(len(judged.labels), device=judged.labels.device) // self._group_size
        counted, p_lucky = judged.labels, None
        if self._gate is not None and generated.rows is not None:
            learned, p_lucky = self._gate.observe(
                generated.rows, judged.labels, size=self._group_size
            )
            counted = counted * learned
            self._measured[mode].gated(learned, size=self._group_size)
        advantages = batch_advantages(
            self.objective, counted, group, local=local, step=trainer.state.global_step,
            p_lucky=p_lucky,
        )  # fmt: skip
        batch["advantages"] = local_advantages(self.objective, advantages, local=local)
        if self.outcomes.rows_counted == "with_advantage":
            batch["num_items_in_batch"] = local.tokens_with(batch["advantages"])
        mine = local.slice_of(len(judged.labels))
        batch[LABELS], batch[TRUNCATED] = judged.labels[mine], judged.truncated[mine]
        batch[ALL_WRONG] = group_states(judged.labels, group).all_wrong[mine]
        rewrite_logs(trainer._logs, judged=judged, advantages=local.means(batch["advantages"]))
        self._measured[mode].judged(judged, size=self._group_size)
        self._n_batches += mode == "train"
        return batch

    def _get_per_token_logps_and_entropies(self, *args: Any, **named: Any) -> Any:
        """Return what TRL computes, and keep it for the loss."""
        found = super()._get_per_token_logps_and_entropies(  # pyrefly: ignore[missing-attribute]
            *args, **named
        )
        self._tokens = found[:2]
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """Return TRL's loss, or ours with what else TRL adds to its own."""
        ours = self.outcomes.loss == "ours"
        given = {**inputs, "advantages": torch.zeros_like(inputs["advantages"])} if ours else inputs
        value = super()._compute_loss(model, given)  # pyrefly: ignore[missing-attribute]
        assert self._tokens is not None, "TRL computed a loss without log-probs"
        logp, entropy = self._tokens
        self._tokens = None
        trainer, measured = self._of_trl, self._measured[self._mode]
        if ours:
            loss = own_loss(
                trainer, inputs, logp=logp, labels=inputs[LABELS], objective=self.objective
            )
            value = value + loss.value
            measured.loss(loss.metrics)
        measured.update(
            value, inputs, logp=logp, entropy=entropy, labels=inputs[LABELS],
            all_wrong=inputs[ALL_WRONG], truncated=inputs[TRUNCATED],
        )  # fmt: skip
        return value

    def _get_train_sampler(self, *args: Any, **named: Any) -> Any:
        """Return TRL's sampler, or one that asks the gate."""
        usual = super()._get_train_sampler(*args, **named)  # pyrefly: ignore[missing-attribute]
        return self._gate.sampler(usual) if self._gate else usual

    def log(self, logs: dict[str, Any], *args: Any, **named: Any) -> None:
        """Log what TRL logs, and what happened by sign and by state of the group."""
        mode, trainer = self._mode, self._of_trl
        parts = trainer.args.gradient_accumulation_steps if mode == "train" else 1
        found = self._measured[mode].taken(trainer.accelerator, parts=parts)
        prefix = "eval_" if mode == "eval" else ""
        logs |= {f"{prefix}{name}": value for name, value in found.items()}
        super().log(logs, *args, **named)  # pyrefly: ignore[missing-attribute]


def _require_grpo(cls: type) -> None:
    from trl import GRPOTrainer

    if not issubclass(cls, GRPOTrainer):
        raise BadInput(
            "a class with trl.GRPOTrainer behind OutcomeMixin",
            got=" → ".join(each.__name__ for each in cls.__mro__[1:3]),
            where=cls.__name__,
            fix="AsyncGRPOTrainer and RLOOTrainer compute advantages elsewhere and cannot take it.",
        )


def _require_all_rows(n: int, *, of: int) -> None:
    if n != of:
        raise BadInput(
            f"all {of} completions of the batch",
            got=f"{n}: a filter dropped some",
            where="_generate_and_score_completions",
            fix="Filters by the spread of rewards delete all-wrong groups. Take the filter out of "
            "the class behind OutcomeMixin, and use a gate.",
        )


def _end_tokens(trainer: Any) -> set[int]:
    """Return the tokens that end a completion, as TRL has them for the same purpose."""
    tokenizer = getattr(trainer, "_tokenizer", None) or trainer.processing_class
    ends = getattr(trainer, "eos_token_ids", None) or [tokenizer.eos_token_id]
    return {*ends, tokenizer.pad_token_id}
