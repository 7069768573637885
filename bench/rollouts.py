"""Measure rollouts per CPU-second against TRL's GRPOTrainer on the same tiny task, in one run.

Both draw groups of responses to Countdown prompts (8 tokens in, 7 out, 16 symbols) from an
untrained policy of about 0.1 million float32 weights on one thread, have them verified by the same
function and make one update a step from all of them: 8 a step (what TRL does unless told
otherwise), 64 and 512 (what our loop does). "Sampling" is drawing alone, "loop" a whole training
step. Rounds alternate between the libraries; a ratio is the median over rounds of the ratio within
a round, so that a busy machine weighs on both. Our loop trains with NSR, under which every wrong
response has a gradient: it saves no work that TRL has to do.

Two contestants are ours: the small transformer of this package, which has the targets, and TRL's
own Llama in our loop. "Products" is a floor: the matrix products that a step cannot do without
(prompts once a group), and nothing else; so `products_over_trl` is what no implementation can beat.
TRL is told float32 (its default, bfloat16, is several times slower on most CPUs), no gradient
checkpointing, no logging and no evaluation. Prints one JSON object last; TRL is left out, with the
reason, where `trl` cannot be imported (extra `trl`).

    python bench/rollouts.py --quick    # 1 round of 4 steps
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

SEED = 7
BATCHES = {"8": (1, 8), "64": (4, 16), "512": (32, 16)}
"""Prompts a step and responses a prompt."""
OUR_BATCH = "512"
ROUNDS, STEPS, WARM = 3, 12, 2
"""Steps a round, of which the first WARM are not counted."""
PEER = "trl==1.16, GRPOTrainer"
TARGETS = {"sampling": 10.0, "loop": 10.0}
SHAPE: dict[str, Any] = {
    "vocab_size": 16,
    "hidden_size": 64,
    "intermediate_size": 170,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 16,
    "tie_word_embeddings": False,
    "eos_token_id": 15,
    "pad_token_id": 15,
    "bos_token_id": None,
}

Costs = dict[str, float]
"""CPU seconds a step, by "sampling" and "loop"."""
Run = Callable[[int, int, int], Costs]
"""From steps, prompts a step and responses a prompt."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of four steps")
    options = parser.parse_args()
    rounds, steps = (1, 4) if options.quick else (ROUNDS, STEPS)
    import torch

    torch.set_num_threads(1)
    runs, missing = contestants()
    done = {
        batch: [{name: run(steps, *shape) for name, run in runs.items()} for _ in range(rounds)]
        for batch, shape in BATCHES.items()
    }
    print(json.dumps(summary(done, missing=missing, steps=steps)))


def contestants() -> tuple[dict[str, Run], dict[str, str]]:
    """Return what can be measured here, and why the rest cannot."""
    runs: dict[str, Run] = {
        "products": products,
        "ours": lambda steps, prompts, group: ours(tiny(), steps, prompts, group),
    }
    missing: dict[str, str] = {}
    try:
        import transformers
    except ImportError as error:
        return runs, {"llama_in_our_loop": str(error), "trl": str(error)}
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    runs["llama_in_our_loop"] = lambda *shape: ours(wrapped(), *shape)
    try:
        from trl import GRPOTrainer  # pyrefly: ignore[missing-import]
    except ImportError as error:
        missing["trl"] = f"trl cannot be imported here: {error}"
    else:
        runs["trl"] = lambda *shape: trl(GRPOTrainer, *shape)
    return runs, missing


def products(steps: int, prompts: int, group: int) -> Costs:
    """CPU seconds of the linear layers that a step must run: in sampling, and in the update."""
    import torch

    policy, n = tiny(), prompts * group
    layers = [module for module in policy.modules() if isinstance(module, torch.nn.Linear)]
    marks = []
    for _ in range(steps):
        marks.append(seconds_of(layers, rows=prompts * 8) + 6 * seconds_of(layers, rows=n))
    update = [
        seconds_of(layers, rows=prompts * 8 + n * 6, with_gradient=True) for _ in range(steps)
    ]
    sampling = statistics.median(marks[WARM:])
    return {"sampling": sampling, "loop": sampling + statistics.median(update[WARM:])}


def seconds_of(layers: list[Any], *, rows: int, with_gradient: bool = False) -> float:
    import torch

    inputs = [torch.ones(rows, layer.in_features) for layer in layers]
    started = time.process_time()
    for layer, given in zip(layers, inputs, strict=True):
        out = given @ layer.weight.t()
        if with_gradient:
            torch.mm(out, layer.weight), torch.mm(out.t(), given)
    return time.process_time() - started


def tiny() -> Any:
    from twiceshy.training import PolicyConfig, TinyPolicy

    return TinyPolicy(PolicyConfig(), n_tokens=16, max_length=15, seed=SEED)


def llama() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    return LlamaForCausalLM(LlamaConfig(**SHAPE)).float()


def wrapped() -> Any:
    from twiceshy.training.hf import HfPolicy

    return HfPolicy(llama())


class Clocked:
    """A policy that keeps the CPU time of its sampling."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.spent = policy, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def sample(self, *args: Any, **options: Any) -> Any:
        started = time.process_time()
        drawn = self.policy.sample(*args, **options)
        self.spent += time.process_time() - started
        return drawn


def ours(policy: Any, steps: int, prompts: int, group: int) -> Costs:
    """CPU seconds a step of our loop."""
    from twiceshy.training import Countdown, ObjectiveConfig, RlConfig, step_objective, train

    clocked = Clocked(policy)
    marks: list[tuple[float, float]] = []
    done = train(
        clocked,
        Countdown(),
        objective=step_objective(ObjectiveConfig(name="nsr"), group_size=group),
        config=RlConfig(
            prompts_per_step=prompts, group_size=group, n_steps=steps, learning_rate=1e-6
        ),
        seed=SEED,
        progress=lambda _: marks.append((time.process_time(), clocked.spent)),
    )
    rows = [record.metrics["n_rows_updated"] for record in done.records[1:]]
    n_right = sum(record.metrics["n_right"] or 0.0 for record in done.records[1:])
    assert sum(row or 0.0 for row in rows) + n_right == prompts * group * steps, rows
    return per_step(marks[1:])


def trl(trainer_class: Any, steps: int, prompts: int, group: int) -> Costs:
    """CPU seconds a step of TRL's trainer."""
    from transformers import PrinterCallback, TrainerCallback

    spent = {"sampling": 0.0}
    marks: list[tuple[float, float]] = []

    class Marks(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append((time.process_time(), spent["sampling"]))

    class Timed(trainer_class):
        def _generate(self, prompts: Any) -> Any:
            started = time.process_time()
            drawn = super()._generate(prompts)
            spent["sampling"] += time.process_time() - started
            return drawn

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Timed(
            model=llama(),
            reward_funcs=reward,
            args=arguments(folder, steps, prompts, group),
            train_dataset=dataset(),
            processing_class=tokenizer(),
            callbacks=[Marks()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return per_step(marks)


def arguments(folder: str, steps: int, prompts: int, group: int) -> Any:
    from trl import GRPOConfig  # pyrefly: ignore[missing-import]

    return GRPOConfig(
        output_dir=folder,
        max_steps=steps,
        per_device_train_batch_size=prompts * group,
        num_generations=group,
        max_completion_length=7,
        generation_kwargs={"min_new_tokens": 7},  # both draw 7 tokens, always
        learning_rate=1e-6,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        seed=SEED,
    )


def dataset() -> Any:
    """Our train prompts as text of symbols with blanks between."""
    from datasets import Dataset  # pyrefly: ignore[missing-import]

    from twiceshy.training.tasks import Countdown, decode

    task = Countdown()
    prompts = task.prompts(1000, split="train", seed=SEED)
    return Dataset.from_dict({"prompt": [decode(task, row) for row in prompts]})


def tokenizer() -> Any:
    """The task's 15 symbols and an end."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from twiceshy.training.tasks import Countdown

    names = {symbol: i for i, symbol in enumerate((*Countdown().symbols, "$"))}
    inner = Tokenizer(models.WordLevel(names, unk_token="$"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="$", pad_token="$", padding_side="left"
    )


def reward(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
    """The verifier of our own loop, on whole arrays."""
    import numpy as np

    from twiceshy.training.tasks import Countdown, encode

    task = Countdown()
    assert {len(ids) for ids in completion_ids} == {7}
    rows = {prompt: encode(task, prompt) for prompt in set(prompts)}
    verdicts = task.verify(np.array([rows[prompt] for prompt in prompts]), np.array(completion_ids))
    return (verdicts.labels > 0).astype(float).tolist()


def per_step(marks: list[tuple[float, float]]) -> Costs:
    """Median CPU seconds between the ends of steps, without the first ones."""
    steps = list(zip(marks[WARM - 1 :], marks[WARM:], strict=False))
    return {
        "loop": statistics.median(after[0] - before[0] for before, after in steps),
        "sampling": statistics.median(after[1] - before[1] for before, after in steps),
    }


def summary(
    done: dict[str, list[dict[str, Costs]]], *, missing: dict[str, str], steps: int
) -> dict[str, Any]:
    first = done[OUR_BATCH][0]
    figures: dict[str, Any] = {
        "bench": "rollouts",
        "seed": SEED,
        "prompts_and_group_by_rollouts_a_step": BATCHES,
        "tokens_in_out": [8, 7],
        "n_parameters": sizes(first),
        "rounds": len(done[OUR_BATCH]),
        "steps_counted_a_round": steps - WARM,
        "peer": PEER,
        "by_rollouts_a_step": {batch: compared(int(batch), runs) for batch, runs in done.items()},
        "targets_at_rollouts_a_step": OUR_BATCH,
        "targets": TARGETS,
    }
    if "trl" not in first:
        return figures | {"not_measured": missing}
    reached = figures["by_rollouts_a_step"][OUR_BATCH]["ours_over_trl"]
    return figures | {"met": {kind: reached[kind] >= TARGETS[kind] for kind in TARGETS}}


def compared(n: int, done: list[dict[str, Costs]]) -> dict[str, Any]:
    """Rollouts per CPU-second of each, and ratios, at one batch size."""

    def ratio(slow: str, fast: str) -> dict[str, float]:
        return {
            kind: round(statistics.median(one[slow][kind] / one[fast][kind] for one in done), 2)
            for kind in TARGETS
        }

    figures: dict[str, Any] = {
        "rollouts_per_cpu_second": {
            name: {
                kind: round(n / statistics.median(one[name][kind] for one in done))
                for kind in TARGETS
            }
            for name in done[0]
        },
        "products_over_ours": ratio("ours", "products"),
    }
    if "trl" in done[0]:
        figures["ours_over_trl"] = ratio("trl", "ours")
        figures["llama_in_our_loop_over_trl"] = ratio("trl", "llama_in_our_loop")
        figures["products_over_trl"] = ratio("trl", "products")
    return figures


def sizes(names: dict[str, Any]) -> dict[str, int]:
    found = {"ours": tiny().n_parameters}
    if "llama_in_our_loop" in names:
        found["llama"] = sum(weight.numel() for weight in llama().parameters())
    return found


if __name__ == "__main__":
    main()
