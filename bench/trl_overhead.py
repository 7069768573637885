"""Measure what the plug adds to a step of TRL's GRPOTrainer, in one run.

Two trainers see the same prompts with the same seed: TRL's own, and ours with GRPO's advantages
and TRL's ε of 1e-4. They make the same numbers bit by bit (checked here), so they draw the same
tokens and do the same work, and what differs is the plug. Both log every ten steps, as TRL does.

Rounds alternate which of the two goes first. A step is the CPU time between two ends of steps, on
one thread; a round gives the ratio of the sums over its steps, and the figure is the median over
rounds. Beside it stands the share of a step that is spent in the plug's own code, by clocks before
and behind it in the same runs: far less noisy, and blind to nothing but caches.

What the plug needs hardly depends on the model, so the share falls as models grow. "small" is the
worst case, smaller than anyone trains (0.1 million weights, answers of 8 tokens, a step of some
hundredths of a second); "medium", which has the target, 3 million weights and answers of 32 tokens.
Needs the extra `trl`.

    python bench/trl_overhead.py --quick    # 2 rounds of 6 steps, small only
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from importlib.metadata import version
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

SEED = 7
ROUNDS = {"small": 5, "medium": 4}
STEPS, WARM = 12, 2
"""Steps a round, of which the first WARM are not counted; one of the others logs."""
TARGET, TARGET_AT = 1.02, "medium"
GROUP, ROWS = 8, 16
SHAPES: dict[str, dict[str, int]] = {
    "small": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "n_new": 8},
    "medium": {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 8, "n_new": 32},
}
METHODS = (
    "_calculate_rewards",
    "_generate_and_score_completions",
    "_get_per_token_logps_and_entropies",
    "_compute_loss",
    "log",
)
N_TOKENS = 258


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds of six steps, small only")
    quick = parser.parse_args().quick
    try:
        import trl  # noqa: F401
    except ImportError as error:
        print(json.dumps({"bench": "trl_overhead", "not_measured": str(error)}))
        return
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("twiceshy").setLevel(logging.ERROR)
    rounds, steps = ({"small": 2}, 6) if quick else (ROUNDS, STEPS)
    sizes = {name: measure(name, n, steps) for name, n in rounds.items()}
    print(
        json.dumps(
            {
                "bench": "trl_overhead",
                "peer": f"trl=={version('trl')}, GRPOTrainer",
                "seed": SEED,
                "rounds": rounds,
                "steps_counted_a_round": steps - WARM,
                "rollouts_a_step": ROWS,
                "by_size": sizes,
                "target_ratio": TARGET,
                "target_at": TARGET_AT,
                "met": None if quick else sizes[TARGET_AT]["ratio_median"] <= TARGET,
            }
        )
    )


def measure(name: str, rounds: int, steps: int) -> dict[str, Any]:
    ratios, shares, seconds = [], [], []
    for number in range(rounds):
        done = {}
        for plugged in (False, True) if number % 2 == 0 else (True, False):
            done[plugged] = run(SHAPES[name], steps, plugged=plugged)
        assert done[True]["weights"] == done[False]["weights"], "not the same work"
        ratios.append(done[True]["seconds"] / done[False]["seconds"])
        shares.append(done[True]["own"] / (done[True]["seconds"] - done[True]["own"]))
        seconds.append(done[False]["seconds"] / (steps - WARM))
    return {
        "n_parameters": done[True]["n_parameters"],
        "tokens_out": SHAPES[name]["n_new"],
        "cpu_seconds_a_step_of_trl": round(statistics.median(seconds), 4),
        "ratio_median": round(statistics.median(ratios), 4),
        "ratio_by_round": [round(ratio, 4) for ratio in ratios],
        "own_code_over_the_rest_median": round(statistics.median(shares), 4),
        "own_code_over_the_rest_by_round": [round(share, 4) for share in shares],
        "same_weights_bit_by_bit": True,
    }


def run(shape: dict[str, int], steps: int, *, plugged: bool) -> dict[str, Any]:
    """CPU seconds of the counted steps, and of the plug's own code in them."""
    from transformers import PrinterCallback, TrainerCallback

    clock = {"own": 0.0}
    marks: list[tuple[float, float]] = []

    class Marks(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append((time.process_time(), clock["own"]))

    with tempfile.TemporaryDirectory() as folder:
        trainer = made(shape, folder, steps, clock=clock if plugged else None, marks=Marks())
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    weights = list(trainer.model.parameters())
    first, last = marks[WARM - 1], marks[-1]
    return {
        "seconds": last[0] - first[0],
        "own": last[1] - first[1],
        "weights": sum(float(weight.double().abs().sum()) for weight in weights),
        "n_parameters": sum(weight.numel() for weight in weights),
    }


def made(
    shape: dict[str, int], folder: str, steps: int, *, clock: dict[str, float] | None, marks: Any
) -> Any:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from twiceshy.integrations.trl import (
        LabelRule,
        ObjectiveConfig,
        OutcomeConfig,
        OutcomeMixin,
    )
    from twiceshy.integrations.trl.live import byte_tokenizer, even

    given: dict[str, Any] = {}
    cls: type = GRPOTrainer
    if clock is not None:
        cls = type(
            "Clocked", (clocked(clock, +1), OutcomeMixin, clocked(clock, -1), GRPOTrainer), {}
        )
        given["outcomes"] = OutcomeConfig(
            labels=LabelRule(reward="even", success=1, failure=0, truncated_as="as_judged"),
            objective=ObjectiveConfig(name="grpo", options={"epsilon": 1e-4}),
        )
    prompts = [f"{a}+{b}=" for a in range(10) for b in range(10)]
    return cls(
        model=llama(shape),
        reward_funcs=[even],
        args=GRPOConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=ROWS,
            num_generations=GROUP,
            max_completion_length=shape["n_new"],
            generation_kwargs={"min_new_tokens": shape["n_new"]},  # always as many tokens
            learning_rate=1e-4,
            delta=3.0,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            seed=SEED,
        ),
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=byte_tokenizer(),
        callbacks=[marks],
        **given,
    )


def clocked(clock: dict[str, float], sign: int) -> type:
    """A class that adds the CPU time of what lies behind it, or takes it away.

    One before the plug and one behind it leave what the plug itself needs.
    """

    def around(name: str) -> Any:
        def method(self: Any, *args: Any, **named: Any) -> Any:
            started = time.process_time()
            found = getattr(super(cls, self), name)(*args, **named)
            clock["own"] += sign * (time.process_time() - started)
            return found

        return method

    cls = type(f"Clock{sign}", (), {name: around(name) for name in METHODS})
    return cls


def llama(shape: dict[str, int]) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    sizes = {name: size for name, size in shape.items() if name != "n_new"}
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=N_TOKENS,
            intermediate_size=2 * shape["hidden_size"],
            num_key_value_heads=shape["num_attention_heads"],
            pad_token_id=0,
            eos_token_id=1,
            **sizes,
        )
    ).float()


if __name__ == "__main__":
    main()
