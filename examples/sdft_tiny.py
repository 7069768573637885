"""Distil a model into itself in TRL and watch its doubt, offline and on a CPU: four SDFT steps.

    python examples/sdft_tiny.py            # needs pip install "twiceshy[trl]"

Failed attempts become contexts for the teacher, a file of them trains TRL's SDFTTrainer, and a
callback compares every batch of the student's own completions with its first two. What is different
from any other SDFT script is marked with an arrow. The model is random and says single words.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import msgspec
import torch
from datasets import load_dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl.experimental.sdft import SDFTConfig, SDFTTrainer

from twiceshy.attempts import Attempt, Group, Outcome, Step, Verdict
from twiceshy.distillation.contexts import Rung, teacher_context  # ←
from twiceshy.distillation.export import export_contexts  # ←
from twiceshy.integrations.trl import CollapseWatch  # ←

WORDS = [str(i) for i in range(19)] + (
    ["wait", "maybe", "check", "perhaps", "alternatively", "so", "the", "sum", "is", "it", "+"]
)
TEMPLATE = (
    "{% for each in messages %}{{ each['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}so {% endif %}"
)


def word_tokenizer() -> Any:
    """A word is a token; made in memory."""
    names = {word: i for i, word in enumerate(["<pad>", "<end>", "<unknown>", *WORDS])}
    inner = Tokenizer(models.WordLevel(names, unk_token="<unknown>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<end>", unk_token="<unknown>",
        padding_side="left", chat_template=TEMPLATE,
    )  # fmt: skip


def tiny_llama(n_tokens: int) -> Any:
    """A Llama of about a tenth of a million random weights."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    tokens = {"vocab_size": n_tokens, "pad_token_id": 0, "eos_token_id": 1}
    return LlamaForCausalLM(LlamaConfig(initializer_range=0.2, **tokens, **sizes, **heads)).float()


def write_contexts(path: Path) -> None:
    """Write what the teacher may see of each sum: the answer of a right sibling."""
    contexts, prompts = [], {}
    for task, (a, b) in {f"{a} + {b}": (a, b) for a in range(5) for b in range(5)}.items():
        said = {Outcome.SUCCESS: f"so it is {a + b}", Outcome.FAILURE: f"so it is {a}"}
        tried = tuple(
            Attempt(
                id=f"{task} {outcome}",
                task=task,
                steps=(Step(role="assistant", text=text),),
                answer=text.split()[-1],
                verdict=Verdict(outcome=outcome),
            )
            for outcome, text in said.items()
        )
        group = Group(task, "tiny", tried)
        contexts.append(teacher_context(Rung.ANSWER, tried[1], group=group))
        prompts[task] = task
    export_contexts(path, contexts, prompts=prompts, kind="sdft")


def run(folder: str, *, steps: int = 4) -> list[dict[str, Any]]:
    """Train, and return the lines that the callback wrote."""
    torch.set_num_threads(1)
    write_contexts(Path(folder, "contexts.jsonl"))  # ←
    file, cache = f"{folder}/contexts.jsonl", f"{folder}/cache"
    tokenizer = word_tokenizer()
    trainer = SDFTTrainer(
        model=tiny_llama(len(tokenizer)),
        args=SDFTConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=16,
            num_generations=1,
            max_completion_length=16,
            teacher_model_kind="live",
            distillation_mode="full_logits",
            learning_rate=1e-3,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            bf16=False,
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=load_dataset("json", data_files=file, split="train", cache_dir=cache),
        processing_class=tokenizer,
        callbacks=[CollapseWatch(f"{folder}/student.jsonl", n_base=2, language="en")],  # ←
    )
    trainer.train()
    return [msgspec.json.decode(x) for x in Path(folder, "student.jsonl").read_bytes().splitlines()]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for line in run(sys.argv[1] if len(sys.argv) > 1 else temporary):
            shown = ("length", "markers", "forks", "length_ratio", "n_fell", "n_measured")
            print(line["step"], {name: line["metrics"].get(name) for name in shown})
