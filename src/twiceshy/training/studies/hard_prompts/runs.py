"""The runs of the study on over-hard prompts: which there are, and how one is done."""

from __future__ import annotations

import time
from typing import Literal

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from twiceshy.evidence.stats.ranking import overall_auc
from twiceshy.training.base import base_policy
from twiceshy.training.config import ObjectiveConfig, step_objective
from twiceshy.training.curriculum import Curriculum
from twiceshy.training.evaluation import Evaluation, EvaluationConfig, evaluate
from twiceshy.training.gates import (
    FrontierGate,
    FrontierGateConfig,
    Gate,
    GateKind,
    NaiveBandConfig,
    NoGate,
    gate_curriculum,
    luck_of_visits,
)
from twiceshy.training.loop import RlConfig, StepRecord, train
from twiceshy.training.rollouts import TruncatedAs
from twiceshy.training.tasks import Chain, ChainKind, chain_kinds

ObjectiveName = Literal["grpo", "rloo", "nsr", "luck_capped"]
OTHERS: tuple[ObjectiveName, ...] = ("rloo", "nsr")
HARD = (ChainKind.OVER_BUDGET, ChainKind.UNLEARNABLE)

GATES: dict[GateKind, Gate] = {
    "none": NoGate(),
    "naive_band": NaiveBandConfig(),
    "frontier": FrontierGateConfig(),
}
RL = RlConfig(n_prompts=512, n_steps=50, learning_rate=3e-4)
EVALUATED = Chain(easy=0.5, medium=0.5)
ALONG_THE_WAY = EvaluationConfig(every=5, n_prompts=200, n_samples=4, ks=(1,))
N_FINAL, N_SAMPLES = 200, 8
"""Held-out prompts of each kind, and responses a prompt, at the end of a run."""
N_SEEDS, N_SEEDS_MORE, N_SEEDS_QUICK = 8, 5, 3
"""Seeds of the cells of the main objective, of the others, and of the quick version."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One setting, run with several seeds."""

    objective: ObjectiveName
    gate: GateKind
    kind: ChainKind = ChainKind.OVER_BUDGET
    """What the over-hard prompts of the pool are; of no account where there are none."""
    share: float
    """Share of over-hard prompts in the pool; the rest are medium."""
    truncated_as: TruncatedAs = "as_judged"

    @property
    def name(self) -> str:
        """Name of its files."""
        pool = f"{self.kind.value}-{self.share:.0%}" if self.share else "medium"
        cut = "" if self.truncated_as == "as_judged" else "-abstain"
        return f"{self.objective}-{self.gate}-{pool}{cut}".replace("%", "")

    @property
    def task(self) -> Chain:
        """Where the pool is drawn from."""
        shares = {ChainKind.MEDIUM.value: round(1 - self.share, 9)}
        return Chain(**(shares | {self.kind.value: self.share} if self.share else shares))


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One cell with one seed: a job."""

    cell: Cell
    seed: int

    @property
    def name(self) -> str:
        """Name of its result."""
        return f"{self.cell.name}-{self.seed}"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Held-out measurement along the way."""

    step: int
    easy: float
    """Accuracy on prompts of one or two operators."""
    medium: float
    """Accuracy on prompts of three to five."""
    skip_rate: float
    """Of both kinds together."""
    length: float
    """Tokens a response."""


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    cell: Cell
    seed: int
    accuracy: dict[str, float]
    """At the end, by kind of held-out prompt."""
    skip_rate: dict[str, float]
    """At the end, by kind."""
    curve: tuple[Point, ...]
    n_learned: tuple[int, ...]
    """Groups learned from, by step."""
    n_hard_learned: tuple[int, ...]
    """Those of over-hard prompts."""
    hard_visited: float
    """Share of over-hard prompts among all groups drawn."""
    first_alarm: dict[str, int]
    """First step at which each alarm sounded."""
    luck_auc: float | None
    """How well the gate's P(lucky), by earlier visits, ranks successes at over-hard prompts above
    those at medium ones, over prompts visited before; None without the gate or such prompts."""
    cpu_seconds: float


def all_cells() -> dict[Cell, int]:
    """Return every cell with its number of seeds."""
    hard = [(kind, 0.9) for kind in HARD]
    pools = [(HARD[0], 0.0), *hard, *((kind, 0.5) for kind in HARD)]
    cells = {
        Cell(objective="grpo", gate=gate, kind=kind, share=share): N_SEEDS
        for kind, share in pools
        for gate in GATES
    }
    luck = Cell(objective="luck_capped", gate="frontier", kind=ChainKind.UNLEARNABLE, share=0.9)
    cells[luck] = N_SEEDS
    for objective in OTHERS:
        cells[Cell(objective=objective, gate="none", share=0.0)] = N_SEEDS_MORE
        for kind, share in hard:
            for gate in GATES:
                cell = Cell(objective=objective, gate=gate, kind=kind, share=share)
                cells[cell] = N_SEEDS_MORE
    abstain = Cell(objective="grpo", gate="none", share=0.9, truncated_as="abstain")
    return {**cells, abstain: N_SEEDS_MORE}


def quick_cells() -> dict[Cell, int]:
    """Return the few cells that show the damage and the gate."""
    cells = [Cell(objective="grpo", gate="none", share=0.0)]
    cells += [
        Cell(objective="grpo", gate=gate, kind=kind, share=0.9) for kind in HARD for gate in GATES
    ]
    return dict.fromkeys(cells, N_SEEDS_QUICK)


def runs_of(cells: dict[Cell, int]) -> list[Run]:
    """Return all runs, seed by seed, so that an early stop leaves whole seeds.

    Cells with fewer seeds than others start two seeds later.
    """
    most = max(cells.values())
    runs = [Run(cell=cell, seed=s) for cell, n in cells.items() for s in range(n)]
    return sorted(runs, key=lambda run: run.seed + (2 if cells[run.cell] < most else 0))


def do_run(run: Run) -> RunResult:
    """Train from the base policy and measure."""
    torch.set_num_threads(1)
    started = time.process_time()
    cell = run.cell
    policy = base_policy("chain").policy
    config = msgspec.structs.replace(RL, truncated_as=cell.truncated_as)
    curriculum = curriculum_of(cell)
    trained = train(
        policy,
        cell.task,
        objective=step_objective(
            ObjectiveConfig(name=cell.objective), group_size=config.group_size
        ),
        config=config,
        evaluation=ALONG_THE_WAY,
        evaluation_task=EVALUATED,
        curriculum=curriculum,
        seed=run.seed,
    )
    final = {
        kind: evaluate(
            policy,
            EVALUATED,
            _only(kind).prompts(N_FINAL, split="test", seed=0),
            n_samples=N_SAMPLES,
            ks=(1,),
            seed=0,
        )
        for kind in ChainKind
    }
    learned, hard = _learned(trained.records[1:], run)
    visited = [row for record in trained.records for row in record.visited]
    return RunResult(
        cell=cell,
        seed=run.seed,
        accuracy={kind.value: _accuracy(each) for kind, each in final.items()},
        skip_rate={kind.value: round(each.skip_rate or 0.0, 5) for kind, each in final.items()},
        curve=tuple(_point(r.step, r.evaluation) for r in trained.records if r.evaluation),
        n_learned=learned,
        n_hard_learned=hard,
        hard_visited=round(float(_is_hard(run)[visited].mean()), 5),
        first_alarm=first_alarms(trained.records),
        luck_auc=_luck_auc(curriculum, _is_hard(run)),
        cpu_seconds=round(time.process_time() - started, 2),
    )


def curriculum_of(cell: Cell) -> Curriculum:
    """Return a new curriculum of a cell."""
    rate = cell.task.guess_rate
    return gate_curriculum(
        GATES[cell.gate], n_pool=RL.n_prompts, group_size=RL.group_size, guess_rate=rate
    )


def first_alarms(records: list[StepRecord]) -> dict[str, int]:
    """Return the first step at which each alarm sounded, by the alarm's name."""
    found: dict[str, int] = {}
    for record in records:
        for alarm in record.alarms:
            found.setdefault(alarm.name, record.step)
    return found


def _luck_auc(curriculum: Curriculum, is_hard: NDArray[np.bool_]) -> float | None:
    if not isinstance(curriculum, FrontierGate):
        return None
    log = curriculum.visits.log
    seen: set[int] = set()
    again = np.array([visit.row in seen or bool(seen.add(visit.row)) for visit in log])
    rows = np.array([visit.row for visit in log])[again]
    n_success = np.array([visit.n_success for visit in log])[again]
    luck = luck_of_visits(curriculum)[again]
    found = overall_auc(np.repeat(luck, n_success), failed=np.repeat(is_hard[rows], n_success))
    return None if found is None else round(found, 5)


def _only(kind: ChainKind) -> Chain:
    return Chain(**{ChainKind.MEDIUM.value: 0.0, kind.value: 1.0})


def _is_hard(run: Run) -> NDArray[np.bool_]:
    pool = run.cell.task.prompts(RL.n_prompts, split="train", seed=run.seed)
    return np.array([kind in HARD for kind in chain_kinds(pool)])


def _learned(records: list[StepRecord], run: Run) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return how many groups each step learned from, and how many of them were over-hard."""
    is_hard = _is_hard(run)
    hard = tuple(int(is_hard[list(record.learned)].sum()) for record in records)
    return tuple(len(record.learned) for record in records), hard


def _accuracy(found: Evaluation) -> float:
    return round(sum(found.n_right) / max(1, sum(found.n_scored)), 5)


def _point(step: int, found: Evaluation) -> Point:
    """Return a point of the curve; the first half of the prompts are easy."""
    half = found.n_prompts // 2
    rates = np.array(found.n_right) / np.array(found.n_scored)
    return Point(
        step=step,
        easy=round(float(rates[:half].mean()), 5),
        medium=round(float(rates[half:].mean()), 5),
        skip_rate=round(found.skip_rate or 0.0, 5),
        length=round(found.mean_length or 0.0, 4),
    )
