"""Make the base: a small transformer that searches, and uses what it is told.

    python experiments/teacher-context/base.py

Half of its training traces are unguided, half are written by a searcher that was told something.
Writes base.pt (weights) and base.json (recipe, loss, accuracy) beside this file; goes on from
base.part.pt when interrupted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import tree
from torch import Tensor

from twiceshy.files import whole_file, write_whole
from twiceshy.training.policy import PolicyConfig, TinyPolicy
from twiceshy.training.sft import SftConfig, learning_rate

HERE = Path(__file__).resolve().parent
CONFIG = PolicyConfig(width=64, n_layers=3, n_heads=4)
RECIPE = SftConfig(n_steps=900, batch=128, peak_rate=3e-3, n_warmup=100)
SHARES = {"none": 0.5, "critique": 0.17, "hint": 0.16, "solution": 0.17}
KEEP_EVERY = 100


def new_policy(seed: int = 0) -> TinyPolicy:
    """Return the policy with initial weights."""
    return TinyPolicy(
        CONFIG,
        n_tokens=len(tree.WORDS),
        max_length=tree.N_PROMPT + tree.N_RESPONSE,
        seed=seed,
    )


def read_base() -> TinyPolicy:
    """Return the base that ships with the experiment."""
    policy = new_policy()
    state = torch.load(HERE / "base.pt", weights_only=True)
    policy.load_state_dict({name: value.float() for name, value in state.items()})
    return policy


def mask_of(responses: Tensor) -> Tensor:
    """Return tokens up to and with the first end token, bool (N, T)."""
    ended = (responses == tree.END).cumsum(1)
    return (ended == 0) | ((ended == 1) & (responses == tree.END))


def nll(policy: TinyPolicy, prompts: Tensor, responses: Tensor) -> Tensor:
    """Return the mean −log-prob of response tokens."""
    mask = mask_of(responses)
    longest = int(mask.sum(1).max())
    responses, mask = responses[:, :longest], mask[:, :longest]
    logp = policy.logp(prompts, responses, prompt_of=torch.arange(len(prompts)))
    return -(logp * mask).sum() / mask.sum()


def _batch(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    prompts: list[list[int]] = []
    responses: list[list[int]] = []
    rungs = rng.choice(list(SHARES), size=RECIPE.batch, p=list(SHARES.values()))
    for rung in rungs:
        problem = tree.draw(tree.BROAD, rng)
        mistake = _any_wrong(problem, rng)
        told = tree.known(problem, rung, mistake=mistake)
        prompts.append(tree.prompt_of(problem, told))
        responses.append(tree.tokens_of(tree.trace(problem, told, rng)))
    return torch.tensor(prompts), torch.tensor(responses)


def _any_wrong(problem: tree.Problem, rng: np.random.Generator) -> str:
    wrong = [c for p, c, _ in problem.edges if p in problem.path and c not in problem.path]
    return wrong[int(rng.integers(len(wrong)))]


def main() -> None:
    """Train, or go on training."""
    torch.set_num_threads(1)
    policy = new_policy()
    optimiser = torch.optim.AdamW(policy.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    part, start, losses = HERE / "base.part.pt", 0, []
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
    halves = {name: value.half() for name, value in policy.state_dict().items()}
    with whole_file(HERE / "base.pt") as path:
        torch.save(halves, path)
    told = {"n_parameters": policy.n_parameters, "final_loss_nats": float(np.mean(losses[-100:]))}
    write_whole(HERE / "base.json", json.dumps(told, indent=2).encode() + b"\n")
    part.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
