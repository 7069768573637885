"""A gate over the prompts of a data set: which to visit, and which groups to learn from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from twiceshy.errors import BadInput
from twiceshy.integrations.trl.config import OutcomeConfig
from twiceshy.training.curriculum import KnowsLuck
from twiceshy.training.gate_ledger import GateLedger
from twiceshy.training.gates import FrontierGate, NoGate, gate_curriculum
from twiceshy.training.update import StepObjective


class PromptGate:
    """A curriculum of `training.gates` whose pool is the distinct prompts of a data set.

    Args:
        prompts: The data set's prompts, one a row.
        outcomes: The gate, and its ledger.
        group_size: Completions a prompt.
        seed: Of what it draws.
        run: Identity of the run, for the ledger.

    Raises:
        BadInput: As `gate_curriculum` does, or if a ledger is given with a gate that has none.
    """

    def __init__(
        self,
        prompts: Sequence[object],
        *,
        outcomes: OutcomeConfig,
        group_size: int,
        seed: int,
        run: str,
    ) -> None:
        keys = [prompt_key(prompt) for prompt in prompts]
        first = {key: row for row, key in reversed(list(enumerate(keys)))}
        self.names = list(dict.fromkeys(keys))
        self.index = [first[name] for name in self.names]
        """Row of the data set that each row of the pool stands for: its first."""
        self.place = {name: row for row, name in enumerate(self.names)}
        self.seed, self.n_seen = seed, 0
        self.curriculum = gate_curriculum(
            outcomes.gate, n_pool=len(self.names), group_size=group_size
        )
        self.ledger: GateLedger | None = None
        if outcomes.ledger is not None:
            gate = self._frontier()
            self.ledger = GateLedger(Path(outcomes.ledger), prompts=self.names, run=run)
            self.ledger.recall(gate)

    @classmethod
    def of(
        cls, trainer: Any, *, outcomes: OutcomeConfig, objective: StepObjective
    ) -> PromptGate | None:
        """Return the gate of a trainer, which writes its ledger at every save; None without one.

        Raises:
            BadInput: If the objective needs luck and nothing knows it, or the data set has no end.
        """
        is_off = isinstance(outcomes.gate, NoGate)
        if objective.needs_luck and is_off:
            raise BadInput(
                "the frontier gate, which knows how likely luck is",
                got=f"objective {outcomes.objective.name} without it",
                where="outcomes.gate",
            )
        if is_off:
            return None
        dataset = trainer.train_dataset
        if not hasattr(dataset, "__len__"):
            raise BadInput(
                "a data set of known length for a gate",
                got=type(dataset).__name__,
                where="train_dataset",
                fix="Load it without streaming, or leave the gate out.",
            )
        gate = cls(
            dataset["prompt"],
            outcomes=outcomes,
            group_size=trainer.num_generations,
            seed=trainer.args.seed,
            run=f"{objective.name} seed {trainer.args.seed}",
        )
        if objective.needs_luck and not isinstance(gate.curriculum, KnowsLuck):
            raise BadInput("the frontier gate", got="another", where="outcomes.gate")
        if gate.ledger is not None:
            trainer.add_callback(_ledger_callback(gate))
        return gate

    def rows(self, prompts: Sequence[object]) -> Tensor:
        """Return the row of the pool of each prompt, int64 (n,)."""
        return torch.tensor([self.place[prompt_key(prompt)] for prompt in prompts])

    def observe(self, rows: Tensor, labels: Tensor, *, size: int) -> tuple[Tensor, Tensor | None]:
        """Take note of a generation batch of all processes.

        Args:
            rows: Row of the pool of each completion, (N,), groups contiguous.
            labels: +1, −1, 0, (N,).
            size: Completions a group.

        Returns:
            Which rows to learn from, bool (N,), and their chance of luck where it is known, (N,).
        """
        chosen = rows.reshape(-1, size)[:, 0].cpu().numpy()
        known = self.curriculum
        luck = None
        if isinstance(known, KnowsLuck):
            luck = _spread(known.luck(chosen).astype(np.float32), size=size, like=labels)
        values = labels.reshape(-1, size).cpu().numpy().astype(np.int8)
        learned = known.observe(chosen, values, step=self.n_seen)
        self.n_seen += 1
        return _spread(learned, size=size, like=labels), luck

    def sampler(self, usual: Any) -> Sampler[int]:
        """Return a sampler of the shape of TRL's whose prompts the gate chooses."""
        return _GateSampler(self, usual)

    def write(self) -> None:
        """Add what was seen to the ledger."""
        if self.ledger is not None:
            self.ledger.record(self._frontier())

    def _frontier(self) -> FrontierGate:
        if not isinstance(self.curriculum, FrontierGate):
            raise BadInput("the frontier gate", got=self.curriculum.name, where="outcomes.ledger")
        return self.curriculum


class _GateSampler(Sampler[int]):
    """Rows of the data set: each chosen prompt once a completion, each batch once an update."""

    def __init__(self, gate: PromptGate, usual: Any) -> None:
        self.gate, self.usual = gate, usual

    def __iter__(self) -> Iterator[int]:
        usual, gate = self.usual, self.gate
        n_batches = len(usual) // (usual.mini_repeat_count * usual.batch_size * usual.repeat_count)
        for batch in range(n_batches):
            chosen = gate.curriculum.choose(usual.batch_size, step=batch, seed=gate.seed)
            rows = [gate.index[row] for row in chosen.tolist()]
            for _ in range(usual.repeat_count):
                yield from (row for row in rows for _ in range(usual.mini_repeat_count))

    def __len__(self) -> int:
        return len(self.usual)


def prompt_key(prompt: object) -> str:
    """Return a prompt as text: itself, or a conversation as JSON.

    Example:
        >>> prompt_key("2+2"), prompt_key([{"role": "user", "content": "2+2"}])
        ('2+2', '[{"content": "2+2", "role": "user"}]')
    """
    if isinstance(prompt, str):
        return prompt
    text = json.dumps(prompt, sort_keys=True, default=str, ensure_ascii=False)
    return text if len(text) <= 2000 else hashlib.sha256(text.encode()).hexdigest()


def _spread(values: Any, *, size: int, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device).repeat_interleave(size)


def _ledger_callback(gate: PromptGate) -> Any:
    from transformers import TrainerCallback

    class WriteLedger(TrainerCallback):
        """Writes the gate's visits when the trainer saves, and at the end."""

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            """Write on one process."""
            del args, control
            if state.is_world_process_zero:
                gate.write()

        on_train_end = on_save

    return WriteLedger()
