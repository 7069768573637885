"""`twiceshy train`: a small policy, a verifiable task, an objective; pass@k before and after."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from twiceshy.cli.inputs import AsJson
from twiceshy.cli.output import show
from twiceshy.cli.progress import going_on, staged_progress
from twiceshy.errors import BadInput, MissingExtra

TASKS = ("chain", "change", "countdown")
"""Tasks of this package; any other name is a reasoning-gym dataset."""
_GYM = "reasoning_gym"
_FOLDER = Path("twiceshy-train")

Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Any key of the config, as rl.n_steps=50; repeatable."
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="NAME|FILE|none",
        help="A base policy that ships, a saved one, or none to make one first; the task's usual "
        "one when left out.",
    ),
]


def train(
    task: Annotated[
        str | None,
        typer.Option("--task", help="countdown, change, chain, or a reasoning-gym dataset."),
    ] = None,
    objective: Annotated[
        str | None, typer.Option("--objective", help="As w_reinforce, nsr, grpo, maxrl.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE.toml", help="A run as a file.")
    ] = None,
    sets: Sets = None,
    base: Base = None,
    gate: Annotated[
        str | None,
        typer.Option("--gate", help="Which prompts to learn from: none, naive_band or frontier."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of everything random.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run; it resumes from there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a small policy by reinforcement learning from verified outcomes (extra: torch).

    Exit code 1 when a rule stopped the run or an alarm still sounded at its end.
    """
    from twiceshy.training import load_config, parse_config

    named = {"objective.name": objective, "base": base, "gate.kind": gate}
    lines = [f"{key} = {json.dumps(value)}" for key, value in named.items() if value is not None]
    lines += [] if seed is None else [f"seed = {seed}"]
    overrides = [*_task_lines(task), *lines, *(_set_line(each) for each in sets or ())]
    if config is None:
        run = parse_config("", where="command line", overrides=overrides)
    else:
        run = load_config(config, overrides=overrides)

    import torch

    from twiceshy.training.running import run_training
    from twiceshy.training.starting import task_name

    name = f"{task_name(run.task)}-{run.objective.name}-{run.seed}"
    folder = out if out is not None else _FOLDER / name
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # a second thread costs such small matrices more than it gives
    with going_on(f"the run is in {folder}"), staged_progress() as advance:
        result = run_training(run, folder=folder, progress=advance)
    show(result.report, as_json=as_json, picture=result.picture, details=folder)


def _task_lines(task: str | None) -> list[str]:
    """Return the lines of config that `--task` stands for.

    Raises:
        BadInput: When there is no such task, with near matches.
    """
    if task is None:
        return []
    if task in (*TASKS, _GYM):
        return [f'task.name = "{task}"']
    from twiceshy.training.tasks.reasoning_gym import dataset_names

    try:
        datasets = dataset_names()
    except MissingExtra as error:
        raise _unknown_task(task, known=TASKS, more=f"Datasets: {error.fix}") from error
    if task not in datasets:
        raise _unknown_task(task, known=(*TASKS, *datasets))
    return [f'task.name = "{_GYM}"', f"task.dataset = {json.dumps(task)}"]


def _unknown_task(task: str, *, known: Sequence[str], more: str = "") -> BadInput:
    near = difflib.get_close_matches(task, sorted(set(known)), n=3)
    fix = f"Did you mean {' or '.join(near)}?" if near else ""
    return BadInput(
        f"a task: {', '.join(TASKS)} or a reasoning-gym dataset",
        got=repr(task),
        where="--task",
        fix=" ".join(part for part in (fix, more) if part),
    )


def _set_line(text: str) -> str:
    """Return `--set KEY=VALUE` as a line of TOML; a bare word is a string.

    Raises:
        BadInput: When there is no `=`, or the value is not TOML.

    Example:
        >>> _set_line("rl.n_steps=50"), _set_line("objective.loss=ppo_clip")
        ('rl.n_steps = 50', 'objective.loss = "ppo_clip"')
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    line = f"{key} = {value}"
    if equals and _is_toml(line):
        return line
    quoted = f"{key} = {json.dumps(value)}"
    if equals and value.replace("_", "").replace("-", "").isalnum() and _is_toml(quoted):
        return quoted
    raise BadInput(
        "KEY=VALUE with a value as in TOML",
        got=repr(text),
        where="--set",
        fix="Write for example --set rl.n_steps=50 or --set 'evaluation.ks=[1, 64]'.",
    )


def _is_toml(line: str) -> bool:
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return True
