"""Responses of a policy to problems, drawn, judged, and as attempts for the library's checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from twiceshy.attempts import Attempt, Outcome, Step, Verdict
from twiceshy.studies.teacher_context.problems import DOMAINS, Problem, draw_problem, prompt_of
from twiceshy.studies.teacher_context.traces import END, N_RESPONSE, is_right, words_of
from twiceshy.training.policy import TinyPolicy
from twiceshy.training.streams import generator, sequence_keys, uniforms

_BLOCK = 128
"""Prompts at once; part of a result, as rounding depends on it."""


class Drawn(NamedTuple):
    """Responses to problems, the same number to each, beside each other."""

    problems: list[Problem]
    """A response's, so each comes several times."""
    words: list[list[str]]
    right: list[bool]
    entropies: list[list[float]]
    """Nats a token, up to the end of a response."""
    tokens: Tensor


def draw_problems(domain: str, n: int, *, seed: int, purpose: str) -> list[Problem]:
    """Return n problems that depend on nothing but their arguments.

    Example:
        >>> one = draw_problems("deeper", 3, seed=0, purpose="train")
        >>> one == draw_problems("deeper", 3, seed=0, purpose="train")
        True
    """
    rng = generator(seed, f"{purpose} {domain}")
    return [draw_problem(DOMAINS[domain], rng) for _ in range(n)]


def respond(
    policy: TinyPolicy,
    problems: Sequence[Problem],
    *,
    told: Sequence[Sequence[str]] | None = None,
    n_samples: int,
    seed: int,
    purpose: str,
) -> Drawn:
    """Draw responses at temperature 1.

    Args:
        policy: Who answers.
        problems: At least one.
        told: What it is told at each of them; by default nothing.
        n_samples: Responses a problem.
        seed: Of the draws, with the purpose.
        purpose: Two purposes draw independently.
    """
    words = told if told is not None else [()] * len(problems)
    prompts = torch.tensor([prompt_of(p, t) for p, t in zip(problems, words, strict=True)])
    keys = sequence_keys(seed, purpose=purpose, step=0, n=len(problems) * n_samples)
    draws = torch.as_tensor(uniforms(keys, N_RESPONSE))
    with torch.no_grad():
        parts = [
            policy.sample(
                prompts[i : i + _BLOCK],
                draws[i * n_samples : (i + _BLOCK) * n_samples],
                end_token=END,
            )
            for i in range(0, len(prompts), _BLOCK)
        ]
    return judged(
        problems,
        torch.cat([part.responses for part in parts]),
        torch.cat([part.entropy for part in parts]),
    )


def judged(problems: Sequence[Problem], tokens: Tensor, entropy: Tensor) -> Drawn:
    """Return responses, the same number to each problem, judged."""
    n_samples = len(tokens) // len(problems)
    words = [words_of(row) for row in tokens.tolist()]
    each = [problem for problem in problems for _ in range(n_samples)]
    right = [is_right(problem, said) for problem, said in zip(each, words, strict=True)]
    kept = [row[: len(said)] for row, said in zip(entropy.tolist(), words, strict=True)]
    return Drawn(each, words, right, kept, tokens)


def as_attempts(drawn: Drawn, *, policy: str) -> list[Attempt]:
    """Return responses as attempts, with the entropies that forks are counted on."""
    return [
        Attempt(
            task=problem.name,
            policy=policy,
            id=f"{policy}-{i}",
            verdict=Verdict(outcome=Outcome.SUCCESS if right else Outcome.FAILURE),
            steps=(Step(role="assistant", text=" ".join(words)),),
            extra={"token_entropies": [max(value, 0.0) for value in entropies]},
        )
        for i, (problem, words, right, entropies) in enumerate(
            zip(drawn.problems, drawn.words, drawn.right, drawn.entropies, strict=True)
        )
    ]
