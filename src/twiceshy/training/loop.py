"""The loop: choose prompts, roll out, verify, update, evaluate; and go on after a kill."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm
from twiceshy.frontier.groups import count_states
from twiceshy.objectives.metrics import RARE_LOGP
from twiceshy.training.alarms import median_length, repetition, skip_share, step_checks, tallies
from twiceshy.training.checkpoint import (
    Checkpoint,
    append_line,
    keep_lines,
    load_checkpoint,
    save_checkpoint,
)
from twiceshy.training.curriculum import Curriculum, KnowsLuck, UniformPrompts
from twiceshy.training.evaluation import Evaluation, EvaluationConfig, evaluate
from twiceshy.training.gate_ledger import GateLedger
from twiceshy.training.gates import FrontierGate
from twiceshy.training.policy import Policy, as_tensor
from twiceshy.training.rollouts import Rollouts, TruncatedAs, roll_out
from twiceshy.training.stopping import StopConfig, early_stop, step_alarms
from twiceshy.training.streams import row_hashes
from twiceshy.training.tasks import FAULTS, Fault, Task, TextTask, decode
from twiceshy.training.update import StepObjective, UpdateConfig, Updated, right_change, update

METRICS, CHECKPOINT = "metrics.jsonl", "checkpoint.pt"


class RlConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The reinforcement-learning part of a run.

    Attributes:
        n_prompts: Size of the fixed pool of train prompts.
        prompts_per_step: Groups a step.
        group_size: Responses a prompt.
        n_steps: Batches of rollouts.
        learning_rate: Adam's, constant.
        truncated_as: What a response cut by the budget counts as.
        checkpoint_every: Steps between checkpoints, where there is a folder.
        update: Minibatches and clipping.
    """

    n_prompts: int = 1000
    prompts_per_step: int = 32
    group_size: int = 16
    n_steps: int = 100
    learning_rate: float = 3e-5
    truncated_as: TruncatedAs = "abstain"
    checkpoint_every: int = 10
    update: UpdateConfig = UpdateConfig()

    def __post_init__(self) -> None:
        counts = (self.n_prompts, self.prompts_per_step, self.group_size, self.checkpoint_every)
        if min(counts) < 1 or self.n_steps < 0 or not 0 < self.learning_rate < 1:
            raise BadInput(
                "counts of at least 1 and a learning rate between 0 and 1",
                got=f"{list(counts)}, n_steps {self.n_steps}, rate {self.learning_rate:g}",
                where="rl",
            )
        if self.update.n_minibatches > self.prompts_per_step:
            raise BadInput(
                f"at most prompts_per_step = {self.prompts_per_step} minibatches",
                got=str(self.update.n_minibatches),
                where="rl.update.n_minibatches",
            )


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What happened up to and with one step; `step` 0 is the base policy, before any."""

    step: int
    """Steps that are done."""
    metrics: dict[str, float | None]
    """None: undefined at this step."""
    alarms: tuple[Alarm, ...] = ()
    """Checks and rules that sounded, each with its source."""
    evaluation: Evaluation | None = None
    stopped_by: Alarm | None = None
    """The rule that ended the run at this step."""
    visited: tuple[int, ...] = ()
    """Rows of the pool that were tried, one a group."""
    learned: tuple[int, ...] = ()
    """Those of `visited` whose groups were learned from."""


class Trained(NamedTuple):
    """A finished run."""

    records: list[StepRecord]
    cpu_seconds: dict[str, float]
    """Processor time by activity, of this process only."""


def train(
    policy: Policy,
    task: Task,
    *,
    objective: StepObjective,
    config: RlConfig,
    evaluation: EvaluationConfig | None = None,
    evaluation_task: Task | None = None,
    curriculum: Curriculum | None = None,
    stop: StopConfig | None = None,
    seed: int = 0,
    folder: Path | None = None,
    ledger: Path | None = None,
    progress: Callable[[StepRecord], None] | None = None,
) -> Trained:
    """Train a policy in place by reinforcement learning from verified outcomes.

    Adam(0.9, 0.95), constant rate, temperature 1. With a folder, every step adds a line to its
    `metrics.jsonl` and the run can be killed at any moment: called again with the same arguments
    and the same base policy, it goes on from its last checkpoint, and on a CPU with one thread its
    metrics file ends up the same, byte for byte.

    Args:
        policy: The base policy.
        task: Where prompts of the "train" split come from, and the verifier.
        objective: Advantages, loss and denominator.
        config: Batch sizes, steps, rate.
        evaluation: How to evaluate; None: not at all.
        evaluation_task: Task of the evaluation prompts; None: `task`.
        curriculum: Chooses prompts and gates groups; None: all alike.
        stop: Limits at which the run stops by itself; None: it never does.
        seed: Seed of prompts, draws and minibatches.
        folder: For metrics and checkpoint; None: nothing is written.
        ledger: A `SolveRateLedger` file from which a `FrontierGate` starts, and to which it adds at
            every checkpoint and at the end; None: each run starts from nothing.
        progress: Called with every new record.

    Raises:
        BadInput: When the split is too small, the folder belongs to another run, the objective
            needs luck and the curriculum does not know it, there is a ledger and no gate to use it,
            or the loss is not finite.
    """
    run = _Run(policy, task, objective, config, evaluation, seed, curriculum, evaluation_task, stop)
    remember = run.with_ledger(ledger)
    records = run.resume(folder)
    for step in range(len(records) - 1, config.n_steps) if records else range(-1, config.n_steps):
        if records and records[-1].stopped_by is not None:
            break
        record = run.base_record() if step < 0 else run.step(step, records)
        records.append(record)
        if folder is not None:
            append_line(folder / METRICS, record)
            last = record.step == config.n_steps or record.stopped_by is not None
            if last or record.step % config.checkpoint_every == 0:
                save_checkpoint(folder / CHECKPOINT, run.checkpoint(record.step))
                remember()
        if progress is not None:
            progress(record)
    remember()
    return Trained(records, dict(run.cpu_seconds))


class _Run:
    """What stays the same over a run, and its optimiser."""

    def __init__(
        self,
        policy: Policy,
        task: Task,
        objective: StepObjective,
        config: RlConfig,
        evaluation: EvaluationConfig | None,
        seed: int,
        curriculum: Curriculum | None,
        evaluation_task: Task | None,
        stop: StopConfig | None,
    ) -> None:
        self.policy, self.task, self.objective, self.config = policy, task, objective, config
        self.evaluation, self.seed, self.stop = evaluation, seed, stop
        self.reference = copy.deepcopy(policy) if objective.needs_reference else None
        self.pool = task.prompts(config.n_prompts, split="train", seed=seed)
        self.curriculum: Curriculum = curriculum or UniformPrompts(config.n_prompts)
        if objective.needs_luck and not isinstance(self.curriculum, KnowsLuck):
            raise BadInput(
                "a curriculum that knows how likely luck is",
                got=self.curriculum.name,
                where="objective",
                fix="Use the frontier gate, or an objective that does not need p_lucky.",
            )
        self.evaluation_task = evaluation_task or task
        self.optimiser = torch.optim.Adam(
            policy.parameters(), lr=config.learning_rate, betas=(0.9, 0.95)
        )
        self.cpu_seconds = {"rollouts": 0.0, "updates": 0.0, "evaluation": 0.0}
        self.identity = self._identity()

    def _identity(self) -> str:
        """Return the objective's name and a hash of all else that the metrics depend on."""
        parts = [
            self.task,
            self.evaluation_task,
            self.config,
            self.evaluation,
            self.seed,
            self.stop,
        ]
        digest = hashlib.sha256(msgspec.json.encode(parts, enc_hook=_described))
        digest.update(self.curriculum.name.encode())
        for weights in self.policy.parameters():
            digest.update(weights.detach().numpy().tobytes())
        return f"{self.objective.name} {digest.hexdigest()[:16]}"

    def with_ledger(self, path: Path | None) -> Callable[[], object]:
        """Start the gate from a ledger; return what adds the gate's visits to it."""
        if path is None:
            return lambda: None
        gate = self.curriculum
        if not isinstance(gate, FrontierGate):
            raise BadInput("the frontier gate", got=gate.name, where="ledger")
        names = [decode(self.task, prompt) for prompt in self.pool]
        ledger = GateLedger(path, prompts=names, run=self.identity)
        ledger.recall(gate)
        return lambda: ledger.record(gate)

    def resume(self, folder: Path | None) -> list[StepRecord]:
        """Go back to the folder's checkpoint, if any; return the records up to it."""
        if folder is None:
            return []
        folder.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(folder / CHECKPOINT, identity=self.identity)
        if found is None:
            keep_lines(folder / METRICS, StepRecord, n=0)
            return []
        self.policy.load_state_dict(found.policy)
        self.optimiser.load_state_dict(found.optimiser)
        self.curriculum.restore(found.curriculum)
        return keep_lines(folder / METRICS, StepRecord, n=found.step + 1)

    def checkpoint(self, step: int) -> Checkpoint:
        """Return the run's state after a number of steps."""
        return Checkpoint(
            self.identity,
            step,
            self.policy.state_dict(),
            self.optimiser.state_dict(),
            self.curriculum.state(),
        )

    def base_record(self) -> StepRecord:
        """Return the record of the policy before any step."""
        return StepRecord(step=0, metrics={}, evaluation=self._evaluated(0))

    def step(self, step: int, records: list[StepRecord]) -> StepRecord:
        """Do one step and return its record."""
        with self._timed("rollouts"):
            chosen = self.curriculum.choose(self.config.prompts_per_step, step=step, seed=self.seed)
            rollouts = roll_out(
                self.policy,
                self.task,
                self.pool[chosen],
                group_size=self.config.group_size,
                seed=self.seed,
                step=step,
                truncated_as=self.config.truncated_as,
            )
            luck = self._luck(chosen, rollouts)
            learned = self.curriculum.observe(chosen, rollouts.labels_by_group, step=step)
        with self._timed("updates"):
            gated = rollouts.labels * as_tensor(learned)[rollouts.group]
            updated = update(
                self.policy,
                self.optimiser,
                rollouts._replace(labels=gated),
                objective=self.objective,
                config=self.config.update,
                seed=self.seed,
                step=step,
                reference=self.reference,
                p_lucky=luck,
            )
            likelihood = right_change(self.policy, rollouts)
        first = records[1].metrics if len(records) > 1 else {}
        checks = step_checks(
            rollouts,
            first_length=first.get("median_length"),
            first_skips=first.get("skip_rate"),
            first_repetition=first.get("repetition"),
        )
        seen = rollout_metrics(rollouts)
        alarms = [check.alarm() for check in checks if check.raised]
        limits = self.stop
        known = {**seen, **likelihood}
        rules = step_alarms(known, first=first, limits=limits) if limits is not None else []
        evaluation, stopped_by = self._judged(step + 1, rules, records)
        return StepRecord(
            step=step + 1,
            metrics={
                **seen,
                "n_groups_learned": float(learned.sum()),
                **_update_metrics(updated),
                **likelihood,
                **{f"check/{check.name}": check.value for check in checks},
            },
            alarms=(*alarms, *rules),
            evaluation=evaluation,
            stopped_by=stopped_by,
            visited=tuple(chosen.tolist()),
            learned=tuple(chosen[learned].tolist()),
        )

    def _luck(self, chosen: NDArray[np.int64], rollouts: Rollouts) -> Tensor | None:
        """Return P(a success is undeserved) of every row, by earlier visits; None if not needed."""
        if not self.objective.needs_luck or not isinstance(self.curriculum, KnowsLuck):
            return None
        return as_tensor(self.curriculum.luck(chosen)).float()[rollouts.group]

    def _judged(
        self, step: int, rules: list[Alarm], records: list[StepRecord]
    ) -> tuple[Evaluation | None, Alarm | None]:
        """Return the evaluation due at a step, and the rule that ends the run there.

        A run that a rule ends is evaluated once more.
        """
        fired = next((rule for rule in rules if rule.severity == "alarm"), None)
        evaluation = self._evaluated(step, is_last=fired is not None)
        if fired is None and evaluation is not None and self.stop is not None:
            earlier = [each.evaluation for each in records if each.evaluation is not None]
            history = [each.pass_at_one for each in (*earlier, evaluation)]
            fired = early_stop(history, limits=self.stop)
        return evaluation, fired

    def _evaluated(self, step: int, *, is_last: bool = False) -> Evaluation | None:
        asked = self.evaluation
        is_last = is_last or step == self.config.n_steps
        if asked is None or (step % asked.every and not is_last):
            return None
        with self._timed("evaluation"):
            return evaluate(
                self.policy,
                self.evaluation_task,
                self.evaluation_task.prompts(asked.n_prompts, split=asked.split, seed=asked.seed),
                n_samples=asked.n_samples,
                ks=asked.ks,
                seed=asked.seed,
            )

    @contextmanager
    def _timed(self, activity: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.cpu_seconds[activity] += time.process_time() - started


def _described(part: object) -> dict[str, Any]:
    """Return what tells apart a task that is no struct."""
    if isinstance(part, TextTask):
        return part.described()
    raise TypeError(type(part).__name__)


def rollout_metrics(rollouts: Rollouts) -> dict[str, float | None]:
    """Return what one step's rollouts were like, with counts beside every rate."""
    labels, mask = rollouts.labels.numpy(), rollouts.mask
    n_right, n_wrong, n_tokens = int((labels > 0).sum()), int((labels < 0).sum()), int(mask.sum())
    n_scored, faults = n_right + n_wrong, rollouts.verdicts.faults
    states = count_states(tallies(rollouts).states)
    return {
        "n_responses": float(len(labels)),
        "n_right": float(n_right),
        "n_wrong": float(n_wrong),
        "n_abstained": float(len(labels) - n_scored),
        "success_rate": n_right / n_scored if n_scored else None,
        "entropy": float((rollouts.entropy * mask).sum()) / n_tokens if n_tokens else None,
        "mean_length": n_tokens / len(labels),
        "median_length": median_length(rollouts),
        "skip_rate": skip_share(rollouts),
        "repetition": repetition(rollouts)[0],
        "n_truncated": float((faults == FAULTS.index(Fault.TRUNCATED)).sum()),
        "n_malformed": float((faults == FAULTS.index(Fault.MALFORMED)).sum()),
        "n_tokens": float(n_tokens),
        "n_rare": float(((rollouts.logp < RARE_LOGP) & mask).sum()),
        "n_distinct_prompts": float(len(set(row_hashes(rollouts.prompts).tolist()))),
        **{f"groups/{state}": float(count) for state, count in states.items()},
    }


def _update_metrics(updated: Updated) -> dict[str, float | None]:
    return {
        "n_updates": float(updated.n_updates),
        "n_rows_updated": float(updated.n_rows),
        "loss": updated.loss,
        "gradient_norm": updated.gradient_norm,
        **{f"loss/{name}": value for name, value in sorted(updated.loss_metrics.items())},
    }
