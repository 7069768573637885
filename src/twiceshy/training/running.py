"""A whole run in a folder: base policy, training, report, picture and the policy that came out.

    result = run_training(parse_config("rl.n_steps = 50"), folder=Path("run"))
    print(result.report.summary[0])

The folder holds `manifest.json` (enough to repeat the run), `metrics.jsonl` (a line a step),
`checkpoint.pt`, `policy.pt` (for a language model the folder `model`), `curve.png` and, for a base
policy made first, `base.pt`.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import torch

import twiceshy
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.files import write_whole
from twiceshy.training.checkpoint import save_policy
from twiceshy.training.config import RunConfig, dump_config, step_objective
from twiceshy.training.hf import HfPolicy
from twiceshy.training.loop import METRICS, StepRecord, Trained, train
from twiceshy.training.picture import draw_run
from twiceshy.training.policy import TinyPolicy
from twiceshy.training.starting import MADE, chosen_base, starting_policy, task_name
from twiceshy.training.summing_up import summed_up

MANIFEST, PICTURE, POLICY, MODEL = "manifest.json", "curve.png", "policy.pt", "model"

Stage = Literal["base policy", "training"]


class RunResult(NamedTuple):
    """A finished run."""

    report: Report
    records: list[StepRecord]
    picture: Path
    policy: Path


def run_training(
    config: RunConfig,
    *,
    folder: Path,
    progress: Callable[[Stage, int, int], None] | None = None,
) -> RunResult:
    """Train as a config says, and write everything into a folder.

    Killed at any moment and called again with the same arguments it goes on from its checkpoint and
    ends with the same metrics; a finished run is only reported again.

    Args:
        config: The run.
        folder: Made when absent; another run's is refused.
        progress: Called with (stage, steps done, steps in all).

    Raises:
        BadInput: When the base policy does not fit the task, the folder belongs to another run, or
            the policy diverges.
    """
    started, cpu = time.monotonic(), time.process_time()
    base = chosen_base(config)
    _make(folder)

    def told(stage: Stage, done: int, total: int) -> None:
        if progress is not None:
            progress(stage, done, total)

    start = starting_policy(
        config, folder=folder, progress=lambda done, total: told("base policy", done, total)
    )
    spent = {"base policy": time.process_time() - cpu}
    about = _about(config, base=base)
    _write_json(folder / MANIFEST, about)
    trained = train(
        start.policy,
        start.task,
        objective=step_objective(config.objective, group_size=config.rl.group_size),
        config=config.rl,
        evaluation=config.evaluation,
        evaluation_task=start.evaluation_task,
        curriculum=config.curriculum(),
        stop=config.stop,
        seed=config.seed,
        folder=folder,
        progress=lambda record: told("training", record.step, config.rl.n_steps),
    )
    origin = {"task": task_name(config.task), "objective": config.objective.name, "base": base}
    saved = _saved(start.policy, folder, about={**origin, "seed": str(config.seed)})
    picture = draw_run(trained.records, config=config, path=folder / PICTURE)
    spent |= trained.cpu_seconds
    whole = {
        **about,
        **_counts(trained),
        "cpu_seconds": {name: round(seconds, 2) for name, seconds in spent.items()},
        "seconds": round(time.monotonic() - started, 2),
    }
    _write_json(folder / MANIFEST, whole)
    report = summed_up(trained.records, config=config, origin=start.origin)
    done = msgspec.structs.replace(report, manifest=whole)
    return RunResult(done, trained.records, picture, saved)


def _saved(policy: TinyPolicy | HfPolicy, folder: Path, *, about: dict[str, str]) -> Path:
    """Write the policy that came out; return its file or, for a language model, its folder."""
    if isinstance(policy, HfPolicy):
        policy.save(folder / MODEL)
        return folder / MODEL
    save_policy(folder / POLICY, policy, about=about)
    return folder / POLICY


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            "a folder that can be made", got=error.strerror or str(error), where=str(folder)
        ) from error


def _about(config: RunConfig, *, base: str) -> dict[str, Any]:
    return {
        "twiceshy": twiceshy.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
        "seed": config.seed,
        "base": base,
        "config": dump_config(_filled_in(config) if base == MADE else config),
    }


def _filled_in(config: RunConfig) -> RunConfig:
    return msgspec.structs.replace(config, sft=config.base_recipe)


def _counts(trained: Trained) -> dict[str, Any]:
    """Return what was done over the whole run, by whichever process."""
    evaluations = [each.evaluation for each in trained.records if each.evaluation is not None]
    metrics = [record.metrics for record in trained.records]
    return {
        "n_steps": trained.records[-1].step,
        "n_rollouts": int(sum(each.get("n_responses") or 0 for each in metrics)),
        "n_updates": int(sum(each.get("n_updates") or 0 for each in metrics)),
        "n_evaluations": len(evaluations),
        "n_evaluated_responses": sum(each.n_prompts * each.n_samples for each in evaluations),
        "metrics": METRICS,
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
