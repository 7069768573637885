"""One run of the experiment: a base policy, an objective, a seed, and its curve."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import product

import msgspec
import torch

from twiceshy.errors import BadInput
from twiceshy.training.base import base_policy
from twiceshy.training.config import ObjectiveConfig, step_objective
from twiceshy.training.evaluation import Evaluation, evaluate
from twiceshy.training.loop import RlConfig, StepRecord, train
from twiceshy.training.policy import TinyPolicy
from twiceshy.training.studies.negative.plan import K, Plan, Setting
from twiceshy.training.tasks import Task, Tokens

BASE = "base"
"""In place of an objective: the policy as it ships."""
_UNUSED = ObjectiveConfig(name="w_reinforce", loss="reinforce")
"""Config of runs that train nothing, spelt out so that other defaults leave finished runs valid."""
_KEPT = {
    "success_rate": "success_rate",
    "gradient_norm": "gradient_norm",
    "right/logp_change": "right_logp_change",
    "loss/advantage_negative/clipped_low": "clipped_low",
    "loss/advantage_positive/clipped_high": "clipped_high",
}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run, fully described."""

    setting: str
    """Name of the setting, or of the base policy for a run that only measures it."""
    objective: str
    """Name of the objective, or `BASE`."""
    base: str
    config: ObjectiveConfig
    rl: RlConfig
    eval_steps: tuple[int, ...]
    seed: int
    n_prompts: int
    n_samples: int

    @property
    def name(self) -> str:
        """A name fit for a file."""
        return job_name(self.setting, objective=self.objective, seed=self.seed)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A policy on its way."""

    step: int
    rollouts: int
    """Training rollouts so far."""
    pass_at_1: float
    pass_at_8: float
    pass_at_64: float
    entropy: float
    """Nats a token."""
    distinct: float
    """Different right responses a prompt, of `n_samples`."""
    mean_length: float
    skip_rate: float
    training: dict[str, float | None]
    """Means over the training steps since the point before; None: undefined at all of them."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run."""

    job: Job
    points: tuple[Point, ...]
    cpu_seconds: float
    error: str = ""
    """Why it ended early; points up to there are kept."""


def jobs_of(plan: Plan) -> list[Job]:
    """Return all runs in the order they are to be done: seed blocks, phases, seeds, settings.

    What no phase names comes last, seed by seed.
    """
    jobs: dict[str, Job] = {}
    for first in range(0, plan.n_seeds, plan.seed_block):
        seeds = range(first, min(first + plan.seed_block, plan.n_seeds))
        for phase, seed in product(plan.phases, seeds):
            for name, objectives in phase:
                _add(jobs, plan, plan.setting(name), objectives, seed)
    for seed, setting in product(range(plan.n_seeds), plan.settings):
        _add(jobs, plan, setting, setting.objectives, seed)
    return list(jobs.values())


def _add(
    jobs: dict[str, Job],
    plan: Plan,
    setting: Setting,
    objectives: Iterable[str],
    seed: int,
) -> None:
    for objective in (BASE, *objectives):
        is_base = objective == BASE
        job = Job(
            setting=setting.base if is_base else setting.name,
            objective=objective,
            base=setting.base,
            config=_UNUSED if is_base else setting.objective(objective),
            rl=RlConfig(n_steps=0) if is_base else setting.rl(objective),
            eval_steps=(0,) if is_base else setting.steps(objective),
            seed=seed,
            n_prompts=plan.n_prompts,
            n_samples=plan.n_samples,
        )
        jobs.setdefault(job.name, job)


def job_name(setting: str, *, objective: str, seed: int) -> str:
    """Return the name of a run, fit for a file.

    Example:
        >>> job_name("chain, per token", objective="nsr", seed=3)
        'chain-per-token.nsr.3'
    """
    return f"{re.sub(r'[^a-z0-9.]+', '-', setting.lower())}.{objective}.{seed}"


def do_job(job: Job) -> Run:
    """Do one run, on one thread; a loss that is not finite ends it and is recorded."""
    with _one_thread():
        began = time.process_time()
        walk = _Walk(job)
        error = ""
        try:
            walk.go()
        except BadInput as failed:  # the boundary at which a run that blew up becomes data
            error = str(failed)
        seconds = round(time.process_time() - began, 2)
        return Run(job=job, points=tuple(walk.points), cpu_seconds=seconds, error=error)


class _Walk:
    """A policy in training, measured on its way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.policy, card = base_policy(job.base)
        self.task: Task = card.task
        self.prompts = self.task.prompts(job.n_prompts, split="test", seed=0)
        self.points: list[Point] = []
        self.since: list[StepRecord] = []

    def go(self) -> None:
        """Train, or only measure the base policy."""
        job = self.job
        if job.objective == BASE:
            self.points.append(self._point(0))
            return
        train(
            self.policy,
            self.task,
            objective=step_objective(job.config, group_size=job.rl.group_size),
            config=job.rl,
            seed=job.seed,
            progress=self._look,
        )

    def _look(self, record: StepRecord) -> None:
        if record.step == 0:
            return
        self.since.append(record)
        if record.step in self.job.eval_steps:
            self.points.append(self._point(record.step))
            self.since = []

    def _point(self, step: int) -> Point:
        found = measured(self.policy, self.task, self.prompts, job=self.job)
        return Point(
            step=step,
            rollouts=step * self.job.rl.prompts_per_step * self.job.rl.group_size,
            pass_at_1=_rounded(found.at(1)),
            pass_at_8=_rounded(found.at(8)),
            pass_at_64=_rounded(found.at(K)),
            entropy=_rounded(found.entropy),
            distinct=_rounded(found.distinct),
            mean_length=_rounded(found.mean_length),
            skip_rate=_rounded(found.skip_rate),
            training={
                short: _mean([record.metrics.get(name) for record in self.since])
                for name, short in _KEPT.items()
            },
        )


def measured(policy: TinyPolicy, task: Task, prompts: Tokens, *, job: Job) -> Evaluation:
    """Return how good a policy is; arms of one seed share their draws."""
    return evaluate(policy, task, prompts, n_samples=job.n_samples, ks=(1, 8, K), seed=job.seed + 1)


def _rounded(value: float | None) -> float:
    if value is None:
        raise BadInput("verified responses to every prompt", got="none", where="evaluation")
    return round(value, 5)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 6) if known else None


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
