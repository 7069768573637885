"""Are successes best kept as demonstrations and failures as lessons, and do failures travel better?

SkillRL (2602.08234) keeps successes concrete and failures abstract and never took the failure half
away. Here source and form are crossed on cooking games, every cell tuned alike, over several
training collections, in distribution and with one thing changed at a time.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.integrations.textworld.agent import POLICY
from twiceshy.integrations.textworld.asymmetric.banks import (
    BankJob,
    BankResult,
    CollectJob,
    CollectResult,
    do_bank,
    do_collect,
)
from twiceshy.integrations.textworld.asymmetric.plan import (
    CELLS,
    Cell,
    Plan,
    Setting,
    Truth,
    full_plan,
    quick_plan,
    told_plan,
)
from twiceshy.integrations.textworld.asymmetric.report import report_of
from twiceshy.integrations.textworld.asymmetric.runs import (
    GameJob,
    GameResult,
    TuneJob,
    TuneResult,
    chosen_settings,
    do_test,
    do_tune,
)
from twiceshy.training.studies.queue import Progress, read_result, work_off

R = TypeVar("R", bound=msgspec.Struct)
_UNTUNED = Setting(nats=4.0, shape=2)
"""What stands in the plan of a player that has nothing to tune."""


class Results(NamedTuple):
    """What a folder holds of the study."""

    plan: Plan
    settings: dict[Cell, Setting]
    collections: list[CollectResult]
    banks: list[BankResult]
    tuning: list[TuneResult]
    tests: list[GameResult]
    n_planned: int
    """Test games."""


def run_asymmetric_memory(
    folder: Path,
    *,
    quick: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
    cache: Path | None = None,
    model_url: str | None = None,
    model: str = "",
) -> Report:
    """Do what is missing in a folder and return the report of all of it.

    Killed, it goes on where it stopped when called again; called several times at once with one
    folder, the calls share the work, and one that needs what another is still at says so.

    Args:
        folder: Where attempts, banks and results are kept.
        quick: Fewer collections, games and seeds, for a look; not for conclusions.
        processes: How many processes to start; each uses one thread.
        progress: Called after each job with the numbers done and planned of its stage, and its
            name.
        cache: Folder of games; None for `games.default_cache()`.
        model_url: An OpenAI-compatible endpoint whose model plays the test games and is told the
            lessons in words; None for the stochastic agent. The lessons stay those of the
            stochastic agent's attempts.
        model: The model's name at the endpoint.

    Raises:
        BadInput: When the folder holds results of another plan, or a process died.
        MissingExtra: When textworld is not installed.
    """
    began = time.perf_counter()
    _check_installed()
    plan = told_plan() if model_url is not None else quick_plan() if quick else full_plan()
    common = {"plan": plan, "folder": str(folder), "cache": str(cache) if cache else None}
    stage = {"folder": folder / "jobs", "processes": processes, "progress": progress}
    collecting = [CollectJob(collection=c, **common) for c in range(plan.n_collections)]
    work_off(collecting, do=do_collect, **stage)
    _all(collecting, CollectResult, folder=folder)
    mining = bank_jobs(plan, folder=folder)
    work_off(mining, do=do_bank, **stage)
    _all(mining, BankResult, folder=folder)
    tuning = [TuneJob(seed=game.seed, **common) for game in plan.validation_games]
    work_off(tuning, do=do_tune, **stage)
    settings = _settings(_all(tuning, TuneResult, folder=folder))
    asking = {"model_url": model_url, "model": model}
    testing = [
        GameJob(game_set=game.game_set, seed=game.seed, settings=settings, **common, **asking)
        for game in plan.test_games()
    ]
    work_off(testing, do=do_test, **stage)
    report = report_asymmetric_memory(folder, plan=plan)
    wall = {"wall_seconds": round(time.perf_counter() - began)}
    return msgspec.structs.replace(report, manifest=report.manifest | wall)


def report_asymmetric_memory(folder: Path, *, plan: Plan | None = None) -> Report:
    """Return the report of what a folder holds, without doing anything.

    Raises:
        BadInput: When the folder holds results of another plan, or the settings are not chosen yet.
    """
    return report_results(finished(folder, plan=plan))


def report_results(found: Results) -> Report:
    """Return the report of results at hand."""
    return report_of(found, manifest=_manifest(found))


def finished(folder: Path, *, plan: Plan | None = None) -> Results:
    """Return what a folder holds; test games that were not played yet are left out.

    Raises:
        BadInput: See `report_asymmetric_memory`.
    """
    plan = plan or full_plan()
    common = {"plan": plan, "folder": str(folder), "cache": None}
    collecting = [CollectJob(collection=c, **common) for c in range(plan.n_collections)]
    tuning = [TuneJob(seed=game.seed, **common) for game in plan.validation_games]
    tuned = _all(tuning, TuneResult, folder=folder)
    settings = _settings(tuned)
    tests: list[GameResult] = []
    planned = list(plan.test_games())
    for game in planned:
        job = GameJob(game_set=game.game_set, seed=game.seed, settings=settings, **common)
        result = read_result(folder / "jobs", job.name, GameResult)
        if result is not None:
            _check_same(result, plan=plan, folder=folder)
            tests.append(result)
    return Results(
        plan=plan,
        settings=settings,
        collections=_all(collecting, CollectResult, folder=folder),
        banks=_all(bank_jobs(plan, folder=folder), BankResult, folder=folder),
        tuning=tuned,
        tests=tests,
        n_planned=len(planned),
    )


def bank_jobs(plan: Plan, *, folder: Path) -> list[BankJob]:
    """Return every bank: each size and length of rules on true outcomes, full size on permuted."""
    sizes = (*plan.game_doses, plan.n_train_games)
    wanted: list[tuple[int, Truth]] = [
        *((size, "true") for size in sizes),
        (plan.n_train_games, "permuted"),
        (plan.n_train_games, "matched"),
    ]
    return [
        BankJob(
            collection=collection,
            n_games=size,
            literals=literals,
            truth=truth,
            plan=plan,
            folder=str(folder),
        )
        for collection in range(plan.n_collections)
        for size, truth in wanted
        for literals in (1, 2)
    ]


def _settings(tuned: Sequence[TuneResult]) -> dict[Cell, Setting]:
    return chosen_settings(tuned) if tuned else dict.fromkeys(CELLS, _UNTUNED)


def _all(jobs: Sequence[Any], kind: type[R], *, folder: Path) -> list[R]:
    """Return the results of a stage, which the next one needs whole."""
    results: list[R] = []
    for job in jobs:
        result = read_result(folder / "jobs", job.name, kind)
        if result is None:
            raise BadInput(
                f"the result of {job.name}",
                got="none yet",
                where=str(folder),
                fix="Another process may still be at it; call again when it has ended.",
            )
        _check_same(result, plan=job.plan, folder=folder)
        results.append(result)
    return results


def _check_same(result: Any, *, plan: Plan, folder: Path) -> None:
    if result.plan != plan:
        raise BadInput(
            "results of this plan",
            got="one of another plan",
            where=str(folder),
            fix="Choose another folder, or delete this one to start again.",
        )


def _check_installed() -> None:
    from importlib.util import find_spec

    from twiceshy.errors import missing_extra

    if find_spec("textworld") is None:
        raise missing_extra("playing TextWorld games", "textworld")


def _manifest(found: Results) -> dict[str, Any]:
    names = ("twiceshy", "textworld", "numpy")
    models = sorted({each.model for each in found.tests if each.model})
    return {
        "versions": {"python": platform.python_version(), **{n: version(n) for n in names}},
        "plan": msgspec.to_builtins(found.plan),
        "player": models or POLICY,
        "settings": msgspec.to_builtins(found.settings),
    }
