"""Make the base policies that ship in `twiceshy.training.base`.

    python experiments/base_policies/make.py [NAME ...]

Supervised training on fresh demonstrations, one policy after another; a policy that is there with
the recipe below is kept, so an interrupted run goes on and several processes can each make some.
Writes the weights and a card a policy, and result.json and result.md beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path

import msgspec
import torch

from twiceshy.errors import BadInput
from twiceshy.files import write_whole
from twiceshy.training.base import BaseCard, BaseTask, read_card
from twiceshy.training.checkpoint import save_policy
from twiceshy.training.evaluation import evaluate
from twiceshy.training.policy import PolicyConfig
from twiceshy.training.sft import SftConfig, SftStep, fine_tune, sft_recipe, untrained
from twiceshy.training.tasks import Chain, Change, Countdown

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / "src" / "twiceshy" / "training" / "base"
SEED = 0
N_PROMPTS, N_SAMPLES, KS = 200, 256, (1, 8, 64, 256)

RECIPES: dict[str, tuple[BaseTask, SftConfig]] = {
    "chain": (Chain(), sft_recipe(Chain())),
    "countdown-weak": (Countdown(), sft_recipe(Countdown())),
    "countdown-strong": (Countdown(slips=0.05), SftConfig(n_steps=3000, n_warmup=100)),
    "change-weak": (Change(), SftConfig(n_steps=450)),
    "change-strong": (Change(), SftConfig(n_steps=1400)),
}


def main() -> None:
    """Make what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all unless given")
    torch.set_num_threads(1)
    for name in parser.parse_args().names or RECIPES:
        if not is_made(name):
            make(name)
    write_tables()


def is_made(name: str) -> bool:
    """Return whether the policy is there, with this recipe and untouched."""
    path = FOLDER / f"{name}.json"
    if not path.exists() or not path.with_suffix(".pt").exists():
        return False
    card = read_card(path)
    content = path.with_suffix(".pt").read_bytes()
    same = (card.task, card.sft, card.seed) == (*RECIPES[name], SEED)
    return same and card.sha256 == hashlib.sha256(content).hexdigest()


def make(name: str) -> None:
    """Train, measure and write one policy."""
    task, sft = RECIPES[name]
    model = PolicyConfig()
    policy = untrained(task, config=model, seed=SEED)
    began = time.process_time()

    def show(step: SftStep) -> None:
        if (step.step + 1) % 100 == 0:
            seconds = time.process_time() - began
            print(f"{name} {step.step + 1} loss {step.loss:.3f} {seconds:.0f} s", file=sys.stderr)

    fine_tune(policy, task, config=sft, seed=SEED, progress=show)
    cpu_seconds = time.process_time() - began
    prompts = task.prompts(N_PROMPTS, split="test", seed=0)
    found = evaluate(policy, task, prompts, n_samples=N_SAMPLES, ks=KS, seed=0)
    path = FOLDER / f"{name}.pt"
    about = {"task": msgspec.json.encode(task).decode(), "sft": msgspec.json.encode(sft).decode()}
    save_policy(path, policy, about={**about, "seed": str(SEED)})
    card = BaseCard(
        name=name,
        task=task,
        model=model,
        sft=sft,
        seed=SEED,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        measured={
            **{f"pass@{k}": found.at(k) for k in KS},
            "entropy": found.entropy,
            "distinct": found.distinct,
        },
        n_prompts=N_PROMPTS,
        n_samples=N_SAMPLES,
        cpu_seconds=round(cpu_seconds, 1),
    )
    write_whole(path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(card)) + b"\n")


def write_tables() -> None:
    """Write the cards of what there is as one table."""
    cards = {name: card for name in RECIPES if (card := card_of(name)) is not None}
    kept = {name: msgspec.to_builtins(card) for name, card in cards.items()}
    (HERE / "result.json").write_text(json.dumps(kept, indent=1) + "\n")
    columns = [f"pass@{k}" for k in KS] + ["entropy", "distinct"]
    head = ["policy", "SFT steps", "batch", "slips", *columns, "CPU s"]
    rows = [head, ["---"] * len(head)]
    for name, card in cards.items():
        figures = [f"{card.measured[column]:.3f}" for column in columns]
        sizes = [str(card.sft.n_steps), str(card.sft.batch), f"{card.task.slips:g}"]
        rows.append([name, *sizes, *figures, f"{card.cpu_seconds:.0f}"])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    note = f"Written by `make.py`: {N_PROMPTS} held-out prompts, {N_SAMPLES} responses each."
    (HERE / "result.md").write_text("\n".join(["# Base policies", "", note, "", *lines]) + "\n")
    print("\n".join(lines))


def card_of(name: str) -> BaseCard | None:
    """Return a policy's card, if it is there."""
    try:
        return read_card(FOLDER / f"{name}.json")
    except BadInput:
        return None


if __name__ == "__main__":
    main()
