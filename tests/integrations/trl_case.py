"""A GRPOTrainer on the shared batch or on a small task, offline and in under a second."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from same_batch import GROUP_SIZE, N_TOKENS, RESPONSE_LENGTH, SameBatch, tiny_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig

from twiceshy.integrations.trl import LabelRule, ObjectiveConfig, OutcomeConfig, OutcomeGRPOTrainer

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # rollout_func puts the shared batch in

quiet = pytest.mark.filterwarnings("ignore::FutureWarning")
"""For whole modules: TRL calls names that transformers renamed."""

RULE = LabelRule(reward="verdict", success=1, failure=0, truncated_as="as_judged")
PROMPTS = [f"t{i} t{i + 1} t5" for i in range(1, 17)]


def tokenizer() -> Any:
    """The 23 tokens of the shared batch as words; 0 is padding, 22 the end."""
    names = {f"t{i}": i for i in range(N_TOKENS)}
    inner = Tokenizer(models.WordLevel(names, unk_token="t1"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="t0", eos_token="t22", padding_side="left"
    )


def arguments(folder: Path, **changed: Any) -> Any:
    plain: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 16,
        "num_generations": GROUP_SIZE,
        "max_completion_length": RESPONSE_LENGTH,
        "learning_rate": 1e-2,
        "max_steps": 2,
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "seed": 3,
    }
    return GRPOConfig(**(plain | changed))


def verdict(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float | None]:
    """Right when the sum of the token ids is even: about half of what a random model says."""
    return [float(sum(ids) % 2 == 0) for ids in completion_ids]


def outcomes(name: str = "nsr", **changed: Any) -> OutcomeConfig:
    """Settings whose objective options may be given under their own names."""
    mine = ("options", "all_wrong", "credit", "credit_options", "guards", "denominator",
            "loss_options", "schedules")  # fmt: skip
    objective = {key: changed.pop(key) for key in mine if key in changed}
    if "own" in changed:
        objective["loss"] = changed.pop("own")
        changed["loss"] = "ours"
    return OutcomeConfig(
        labels=changed.pop("labels", RULE),
        objective=ObjectiveConfig(name=name, **objective),
        **changed,
    )


def trainer_of(
    folder: Path,
    *,
    outcomes: OutcomeConfig | None,
    reward: Callable[..., Any] = verdict,
    cls: type | None = None,
    model: Any = None,
    more: dict[str, Any] | None = None,
    **changed: Any,
) -> Any:
    """Return a trainer; without `outcomes`, that of TRL itself."""
    from trl import GRPOTrainer

    reward.__name__ = "verdict"
    given: dict[str, Any] = {"train_dataset": Dataset.from_dict({"prompt": PROMPTS})}
    given |= ({} if outcomes is None else {"outcomes": outcomes}) | (more or {})
    made = (cls or (GRPOTrainer if outcomes is None else OutcomeGRPOTrainer))(
        model=model or tiny_model(),
        reward_funcs=[reward],
        args=arguments(folder, **changed),
        processing_class=tokenizer(),
        **given,
    )
    made.current_gradient_accumulation_steps = 1
    return made


def on_batch(folder: Path, batch: SameBatch, *, outcomes: OutcomeConfig, **changed: Any) -> Any:
    """Return a trainer whose completions and rewards are those of the shared batch."""
    lengths = batch.mask.sum(dim=1).tolist()

    def cut(rows: torch.Tensor) -> list[list[int]]:
        return [row[:n] for row, n in zip(rows.tolist(), lengths, strict=True)]

    def rollout(prompts: Any, trainer: Any) -> dict[str, Any]:
        del prompts, trainer
        zeros = [[0.0] * n for n in lengths]
        return {
            "prompt_ids": batch.prompts.tolist(),
            "completion_ids": cut(batch.responses),
            "logprobs": zeros,
        }

    def reward(completion_ids: Any, **_: Any) -> list[float | None]:
        assert completion_ids == cut(batch.responses)
        return [None if label == 0 else float(label > 0) for label in batch.labels.tolist()]

    more = {"rollout_func": rollout}
    return trainer_of(folder, outcomes=outcomes, reward=reward, more=more, **changed)


def scored(trainer: Any, batch: SameBatch) -> dict[str, Any]:
    """Return TRL's batch of tensors for the shared batch, with the batch's own old log-probs."""
    trainer.model.train()
    rows = [{"prompt": PROMPTS[i]} for i in batch.group.tolist()]
    found = trainer._generate_and_score_completions(rows)
    assert torch.equal(found["completion_ids"], batch.responses)
    return found | {"old_per_token_logps": batch.old_logp}


def weight_gradient(trainer: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """Return d loss / d weights as one vector."""
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, inputs).backward()
    return torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()]).clone()
