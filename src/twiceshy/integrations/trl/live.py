"""Three tiny trainings of four updates each: TRL's own, ours with its advantages, ours with NSR.

Ours has to make the same numbers as TRL's where both are asked for GRPO, and other numbers where it
is asked for something else: a version of TRL that no longer calls what the plug overrides passes
the first and fails the second. Run as a program it prints what they came to as JSON on its last
line; a random model of some thousand weights, no network, a CPU, seconds.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from typing import Any

N_STEPS, GROUP, N_NEW = 4, 8, 6
SEED = 7
TRL_EPSILON = 1e-4
"""What TRL adds to the deviation of a group."""
METHODS = (
    "_calculate_rewards",
    "_generate_and_score_completions",
    "_get_per_token_logps_and_entropies",
    "_compute_loss",
    "_get_train_sampler",
    "log",
)
"""Of GRPOTrainer, overridden by the plug."""


def trained() -> dict[str, Any]:
    """Return what each training came to.

    Returns:
        `trl`, `torch`: versions; `missing`: methods that this TRL does not have; and, where it has
        them all, `runs`: by name ("trl", "grpo", "nsr") the `loss` and the `grad_norm` of each
        step, the `weights`' absolute sum at the end, and the attempts that the plug saw when they
        were judged (`n_judged`) and in the loss (`n_learned`); None without it.
    """
    import torch
    import trl

    missing = [name for name in METHODS if not hasattr(trl.GRPOTrainer, name)]
    found = {"trl": trl.__version__, "torch": torch.__version__, "missing": missing}
    if missing:
        return found
    torch.set_num_threads(1)
    return found | {"runs": {name: _run(name) for name in ("trl", "grpo", "nsr")}}


def even(completion_ids: list[list[int]], **_: Any) -> list[float | None]:
    """Return 1 where the token ids add up to an even number: for about half of all."""
    return [float(sum(ids) % 2 == 0) for ids in completion_ids]


def _run(name: str) -> dict[str, Any]:
    from transformers import PrinterCallback

    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(name, folder)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    steps = [line for line in trainer.state.log_history if "loss" in line]
    return {
        "loss": [line["loss"] for line in steps],
        "grad_norm": [float(line["grad_norm"]) for line in steps],
        "weights": sum(float(w.detach().double().abs().sum()) for w in trainer.model.parameters()),
        "n_judged": _total(steps, "n_right", "n_wrong"),
        "n_learned": _total(steps, "right/n_rows", "wrong/n_rows"),
    }


def _total(steps: list[dict[str, Any]], *names: str) -> float | None:
    """Return the sum of some of the plug's measurements; None where it has logged none."""
    found = [line.get(f"twiceshy/{name}") for line in steps for name in names]
    told = [each for each in found if each is not None]
    return sum(told) if told else None


def _trainer(name: str, folder: str) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from twiceshy.integrations.trl import (
        LabelRule,
        ObjectiveConfig,
        OutcomeConfig,
        OutcomeGRPOTrainer,
    )

    cls: type = GRPOTrainer
    given: dict[str, Any] = {}
    if name != "trl":
        cls = OutcomeGRPOTrainer
        given["outcomes"] = OutcomeConfig(
            labels=LabelRule(reward="even", success=1, failure=0, truncated_as="as_judged"),
            objective=ObjectiveConfig(
                name=name, options={"epsilon": TRL_EPSILON} if name == "grpo" else {}
            ),
        )
    return cls(
        model=_model(),
        reward_funcs=[even],
        args=GRPOConfig(
            output_dir=folder,
            max_steps=N_STEPS,
            steps_per_generation=2,  # two updates a batch, so that the ratio leaves 1
            per_device_train_batch_size=2 * GROUP,
            num_generations=GROUP,
            max_completion_length=N_NEW,
            learning_rate=1e-2,
            logging_steps=1,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            seed=SEED,
        ),
        train_dataset=Dataset.from_dict({"prompt": [f"{n}+{n + 1}=" for n in range(8)]}),
        processing_class=byte_tokenizer(),
        **given,
    )


def _model() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(byte_tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=0,
        eos_token_id=1,
    )
    return LlamaForCausalLM(config).float()


def byte_tokenizer() -> Any:
    """Return a tokenizer whose tokens are bytes, padding and end."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = {symbol: i for i, symbol in enumerate(["<pad>", "<end>", *symbols])}
    inner = Tokenizer(models.BPE(vocab=names, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # nothing of a training that runs is touched
    warnings.simplefilter("ignore")
    sys.stdout.write("\n" + json.dumps(trained()) + "\n")
