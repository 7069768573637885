"""How a student learns: from a teacher's traces, or from its distributions over its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from twiceshy.distillation.losses import fixed_copy, match, move
from twiceshy.objectives import denominator_of
from twiceshy.studies.teacher_context.lessons import Lesson
from twiceshy.studies.teacher_context.plan import Arm, Size
from twiceshy.studies.teacher_context.problems import prompt_of
from twiceshy.studies.teacher_context.traces import END, N_RESPONSE, tokens_of
from twiceshy.training.policy import TinyPolicy
from twiceshy.training.streams import generator, sequence_keys, uniforms

MAX_NORM = 1.0
"""Gradient norm above which gradients are scaled down."""


class Student:
    """A policy in training.

    Args:
        policy: What is trained, in place.
        teacher: Whose distributions an on-policy arm learns; it starts as a copy of this.
        arm: How it is taught.
        size: Batch and learning rate.
        seed: Of the order, and of an on-policy student's traces.
    """

    def __init__(
        self, policy: TinyPolicy, *, teacher: TinyPolicy, arm: Arm, size: Size, seed: int
    ) -> None:
        copied = fixed_copy(teacher)
        assert isinstance(copied, TinyPolicy)
        self.policy, self.teacher = policy, copied
        self.arm, self.size, self.seed = arm, size, seed
        self.optimiser = torch.optim.AdamW(policy.parameters(), lr=size.rate, betas=(0.9, 0.98))

    def learn(self, lessons: Sequence[Lesson], *, epoch: int) -> None:
        """Go once over the lessons."""
        order = generator(self.seed, "order", epoch).permutation(len(lessons))
        for n, start in enumerate(range(0, len(order), self.size.batch)):
            chosen = [lessons[i] for i in order[start : start + self.size.batch]]
            loss = self._loss(chosen, purpose=f"on-policy {epoch} {n}")
            self.optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), MAX_NORM)
            self.optimiser.step()
            if self.arm.rate:
                move(self.teacher, towards=self.policy, rate=self.arm.rate)

    def _loss(self, chosen: Sequence[Lesson], *, purpose: str) -> Tensor:
        prompts = torch.tensor([prompt_of(each.problem) for each in chosen])
        if self.arm.kind == "traces":
            return nll(self.policy, prompts, torch.tensor([tokens_of(x.words) for x in chosen]))
        guided = torch.tensor([prompt_of(x.problem, x.told) for x in chosen])
        keys = sequence_keys(self.seed, purpose=purpose, step=0, n=len(prompts))
        draws = torch.as_tensor(uniforms(keys, N_RESPONSE))
        return divergence(self.policy, self.teacher, prompts=prompts, guided=guided, draws=draws)


def nll(policy: TinyPolicy, prompts: Tensor, responses: Tensor) -> Tensor:
    """Return the mean −log-prob of response tokens, up to and with the first end token.

    Args:
        policy: Whose.
        prompts: Token ids, shape (N, N_PROMPT).
        responses: Token ids, padded with end tokens, shape (N, N_RESPONSE).
    """
    responses, mask = _cut(responses)
    logp = policy.logp(prompts, responses, prompt_of=torch.arange(len(prompts)))
    return -(logp * mask).sum() / mask.sum()


def divergence(
    student: TinyPolicy, teacher: TinyPolicy, *, prompts: Tensor, guided: Tensor, draws: Tensor
) -> Tensor:
    """Return the Jensen–Shannon divergence (alpha 0.5) on the student's own traces, as in SDFT.

    Args:
        student: Who answers; the gradient is its.
        teacher: Who is told something.
        prompts: What the student sees, shape (N, N_PROMPT).
        guided: What the teacher sees, shape (N, N_PROMPT).
        draws: Uniform numbers that decide the student's traces, shape (N, N_RESPONSE).
    """
    with torch.no_grad():
        said = student.sample(prompts, draws, end_token=END).responses
    said, mask = _cut(said)
    rows = torch.arange(len(prompts))
    own = student.head(student.hidden(prompts, said, prompt_of=rows)).log_softmax(-1)
    with torch.no_grad():
        taught = teacher.head(teacher.hidden(guided, said, prompt_of=rows)).log_softmax(-1)
    return match(own, taught, mask=mask, denominator=denominator_of(mask), alpha=0.5).value


def _cut(responses: Tensor) -> tuple[Tensor, Tensor]:
    """Return responses without columns of padding, and which tokens count, bool."""
    ended = (responses == END).cumsum(1)
    mask = (ended == 0) | ((ended == 1) & (responses == END))
    longest = int(mask.sum(1).max())
    return responses[:, :longest], mask[:, :longest]
