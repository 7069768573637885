"""Learn from failures in TRL, offline and on a CPU: a tiny random Llama, two steps, NSR.

    python examples/trl_tiny.py            # needs pip install "twiceshy[trl]"

What is different from any other GRPO script is marked with an arrow. The model is random and knows
nothing, so nearly all its answers are wrong. Plain GRPO has no gradient there; this has.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig

from twiceshy.integrations.trl import (  # ←
    LabelRule,
    ObjectiveConfig,
    OutcomeConfig,
    OutcomeGRPOTrainer,
    StepMetrics,
)


def byte_tokenizer() -> Any:
    """Every byte is a token, and two more: padding and end. Made in memory."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = {symbol: i for i, symbol in enumerate(["<pad>", "<end>", *symbols])}
    inner = Tokenizer(models.BPE(vocab=names, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )


def tiny_llama(n_tokens: int) -> Any:
    """A Llama of about a tenth of a million random weights."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=n_tokens, pad_token_id=0, eos_token_id=1, **sizes, **heads)
    ).float()


def correct(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """1 for a right answer, 0 for a wrong one. None would say: nobody can judge this."""
    pairs = zip(completions, answer, strict=True)
    return [float(completion.startswith(right)) for completion, right in pairs]


def run(folder: str, *, steps: int = 2) -> Any:
    torch.set_num_threads(1)
    sums = [(a, b) for a in range(5) for b in range(5)]
    tokenizer = byte_tokenizer()
    trainer = OutcomeGRPOTrainer(  # ← in place of GRPOTrainer
        model=tiny_llama(len(tokenizer)),
        reward_funcs=[correct],
        args=GRPOConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=8,
            steps_per_generation=2,  # two updates a batch, so that the ratio leaves 1
            num_generations=8,
            max_completion_length=8,
            learning_rate=1e-3,
            delta=3.0,  # a bound on the push of a failure
            log_completions=True,
            num_completions_to_print=2,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            bf16=False,
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(
            {"prompt": [f"{a}+{b}=" for a, b in sums], "answer": [str(a + b) for a, b in sums]}
        ),
        processing_class=tokenizer,
        callbacks=[StepMetrics(f"{folder}/metrics.jsonl")],  # ←
        outcomes=OutcomeConfig(  # ←
            labels=LabelRule(
                reward="correct", success=1, failure=0, truncated_as="as_judged"
            ),  # the model never ends its answer in 8 tokens, and the first one is judged
            objective=ObjectiveConfig(name="nsr"),
            rows_counted="with_advantage",
        ),
    )
    trainer.train()
    return trainer


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        where = sys.argv[1] if len(sys.argv) > 1 else temporary
        for line in run(where).state.log_history[:-1]:
            shown = (
                "grad_norm",
                "twiceshy/n_right",
                "twiceshy/n_wrong",
                "twiceshy/wrong/logp_change",
            )
            print({name: line.get(name) for name in shown})
