"""SFT, SDFT and SDPO trainers of TRL on a model that says words of doubt, offline, in seconds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import SFTConfig, SFTTrainer
from trl.experimental.sdft import SDFTConfig, SDFTTrainer
from trl.experimental.sdpo import SDPOConfig, SDPOTrainer

quiet = pytest.mark.filterwarnings("ignore::FutureWarning")
"""For whole modules: TRL calls names that transformers renamed."""
PAD, END, UNKNOWN, USER, ASSISTANT = "<pad>", "<end>", "<unk>", "<user>", "<assistant>"
WORDS = (  # noqa: SIM905
    "wait maybe check alternatively perhaps verify so the sum of two and is that four it was for "
    "are with this be we you have not from which one three mind carry add add: hint solution"
).split()
TEMPLATE = (
    "{% for each in messages %}<{{ each['role'] }}> {{ each['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
LIMIT = 12
"""Tokens of a completion."""


def tokenizer() -> Any:
    names = [PAD, END, UNKNOWN, USER, ASSISTANT, *dict.fromkeys(WORDS)]
    inner = Tokenizer(models.WordLevel({x: i for i, x in enumerate(names)}, unk_token=UNKNOWN))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[USER, ASSISTANT],
        padding_side="left",
        chat_template=TEMPLATE,
    )


def saved_model(folder: Path) -> str:
    """Write a Llama of a few thousand weights, the same each time, with its tokenizer."""
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128,
        initializer_range=0.3, pad_token_id=words.pad_token_id, eos_token_id=words.eos_token_id,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return str(folder)


def _plain(folder: Path, changed: dict[str, Any]) -> dict[str, Any]:
    plain = {
        "output_dir": str(folder / "out"), "per_device_train_batch_size": 8, "max_steps": 2,
        "learning_rate": 1e-2, "bf16": False, "use_cpu": True, "gradient_checkpointing": False,
        "report_to": "none", "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True,
        "seed": 3, "model_init_kwargs": {"dtype": "float32"},
    }  # fmt: skip
    return plain | changed


def sft(folder: Path, dataset: Any, **changed: Any) -> Any:
    args = SFTConfig(**_plain(folder, {"max_length": 64, **changed}))
    model = saved_model(folder / "model")
    return SFTTrainer(model=model, args=args, train_dataset=dataset, processing_class=tokenizer())


def sdft(folder: Path, dataset: Any, *callbacks: TrainerCallback, **changed: Any) -> Any:
    sizes = {"num_generations": 1, "max_completion_length": LIMIT,
             "distillation_mode": "full_logits"}  # fmt: skip
    return SDFTTrainer(
        model=saved_model(folder / "model"),
        args=SDFTConfig(**_plain(folder, sizes | changed)),
        train_dataset=dataset,
        processing_class=tokenizer(),
        callbacks=list(callbacks),
    )


def sdpo(folder: Path, dataset: Any, *callbacks: TrainerCallback, **changed: Any) -> Any:
    """Nothing is ever right, so only feedback can teach."""

    def nothing(completions: Any, **_: Any) -> list[float]:
        return [0.0] * len(completions)

    sizes = {"num_generations": 2, "max_completion_length": LIMIT, "teacher_model_kind": "live",
             "include_environment_feedback": True, "distillation_mode": "full_logits"}  # fmt: skip
    return SDPOTrainer(
        model=saved_model(folder / "model"),
        args=SDPOConfig(**_plain(folder, sizes | changed)),
        reward_funcs=[nothing],
        train_dataset=dataset,
        processing_class=tokenizer(),
        callbacks=list(callbacks),
    )


class Handed(TrainerCallback):
    """Keeps what the trainer hands over, and the student's weights at that moment."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Any]] = []

    def on_self_distillation_batch_prepared(self, **given: Any) -> None:
        tensors = {name: x.clone() for name, x in given.items() if isinstance(x, torch.Tensor)}
        weights = {name: x.clone() for name, x in given["model"].state_dict().items()}
        self.batches.append({**tensors, "weights": weights, "step": given["state"].global_step})


def completions(batch: dict[str, Any]) -> list[list[int]]:
    """Cut each row after its first end token, or at its padding: what was sampled."""
    words = tokenizer()
    found = []
    for row in batch["completion_ids"].tolist():
        end = row.index(words.eos_token_id) + 1 if words.eos_token_id in row else len(row)
        found.append(row[:end])
    return found
