"""Make the base: a small transformer that searches, and uses what it is told.

    python experiments/teacher-context/base.py [--folder FOLDER]

Half of its training traces are unguided, half are written by a searcher that was told something.
Writes base.pt (weights) and base.json (their card) where the package reads them, or into a folder;
goes on from base.part.pt there when interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from twiceshy.files import whole_file, write_whole
from twiceshy.studies.teacher_context.base import BaseCard, base_folder, new_policy
from twiceshy.studies.teacher_context.problems import (
    BROAD,
    Problem,
    Rung,
    draw_problem,
    known,
    prompt_of,
)
from twiceshy.studies.teacher_context.teaching import nll
from twiceshy.studies.teacher_context.traces import tokens_of, trace
from twiceshy.training.policy import TinyPolicy
from twiceshy.training.sft import SftConfig, learning_rate

RECIPE = SftConfig(n_steps=900, batch=128, peak_rate=3e-3, n_warmup=100)
SHARES: dict[Rung, float] = {"none": 0.5, "critique": 0.17, "hint": 0.16, "solution": 0.17}
KEEP_EVERY = 100


def _batch(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    prompts: list[list[int]] = []
    responses: list[list[int]] = []
    rungs = rng.choice(list(SHARES), size=RECIPE.batch, p=list(SHARES.values()))
    for rung in rungs:
        problem = draw_problem(BROAD, rng)
        mistake = _any_wrong(problem, rng)
        told = known(problem, rung, mistake=mistake)
        prompts.append(prompt_of(problem, told))
        responses.append(tokens_of(trace(problem, told, rng)))
    return torch.tensor(prompts), torch.tensor(responses)


def _any_wrong(problem: Problem, rng: np.random.Generator) -> str:
    wrong = [c for p, c, _ in problem.edges if p in problem.path and c not in problem.path]
    return wrong[int(rng.integers(len(wrong)))]


def train(part: Path) -> tuple[TinyPolicy, list[float]]:
    """Return the policy and its losses; kept in a file every so often, and gone on from it."""
    policy = new_policy()
    optimiser = torch.optim.AdamW(policy.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    start, losses = 0, []
    if part.exists():
        kept = torch.load(part, weights_only=True)
        policy.load_state_dict(kept["policy"])
        optimiser.load_state_dict(kept["optimiser"])
        start, losses = kept["step"], kept["losses"]
    for step in range(start, RECIPE.n_steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, RECIPE)
        loss = nll(policy, *_batch(np.random.default_rng([1, step])))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        if (step + 1) % KEEP_EVERY == 0:
            sys.stderr.write(f"{step + 1} of {RECIPE.n_steps}: {np.mean(losses[-100:]):.4f}\n")
            kept = {
                "policy": policy.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step + 1,
                "losses": losses,
            }
            with whole_file(part) as path:
                torch.save(kept, path)
    return policy, losses


def main() -> None:
    """Train, or go on training, and write weights and card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=base_folder(), help="default: the package")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    part = folder / "base.part.pt"
    policy, losses = train(part)
    halves = {name: value.half() for name, value in policy.state_dict().items()}
    with whole_file(folder / "base.pt") as path:
        torch.save(halves, path)
    card = BaseCard(
        n_parameters=policy.n_parameters,
        final_loss_nats=float(np.mean(losses[-100:])),
        sha256=hashlib.sha256((folder / "base.pt").read_bytes()).hexdigest(),
    )
    write_whole(folder / "base.json", msgspec.json.format(msgspec.json.encode(card)) + b"\n")
    part.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
