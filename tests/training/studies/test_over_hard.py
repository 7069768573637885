from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm
from twiceshy.files import write_whole
from twiceshy.training.loop import StepRecord
from twiceshy.training.studies import run_over_hard
from twiceshy.training.studies.hard_prompts import runs as study_runs
from twiceshy.training.studies.hard_prompts.contrasts import (
    MEDIUM_ONLY,
    NAMED,
    against_no_gate,
    named_comparisons,
)
from twiceshy.training.studies.hard_prompts.plot import draw_curves, draw_end_points
from twiceshy.training.studies.hard_prompts.report import fallen_at, hard_share, report_of
from twiceshy.training.studies.hard_prompts.runs import (
    HARD,
    Cell,
    Point,
    Run,
    RunResult,
    all_cells,
    do_run,
    first_alarms,
    quick_cells,
    runs_of,
)
from twiceshy.training.studies.over_hard import finished_runs, report_over_hard
from twiceshy.training.tasks import chain_kinds

OVER = Cell(objective="grpo", gate="none", share=0.9)
OURS = msgspec.structs.replace(OVER, gate="frontier")


def made_up(cell: Cell, *, seed: int, medium: float) -> RunResult:
    points = [
        Point(step=step, easy=0.9, medium=0.8 - fall, skip_rate=0.1, length=6.0)
        for step, fall in ((0, 0.0), (5, 0.04), (10, 0.3))
    ]
    return RunResult(
        cell=cell,
        seed=seed,
        accuracy={"easy": 0.9, "medium": medium, "over_budget": 0.0, "unlearnable": 0.1},
        skip_rate={"easy": 0.1, "medium": 0.2, "over_budget": 0.3, "unlearnable": 0.1},
        curve=tuple(points),
        n_learned=(0, 4, 6),
        n_hard_learned=(0, 1, 2),
        hard_visited=0.5,
        first_alarm={"skip_rise": seed + 1},
        luck_auc=None,
        cpu_seconds=1.0,
    )


def made_up_results() -> dict[Cell, dict[int, RunResult]]:
    """Each gate better than the next by 0.1, and a little noise, over eight seeds."""
    level = {"none": 0.5, "naive_band": 0.6, "frontier": 0.7}
    return {
        cell: {
            seed: made_up(cell, seed=seed, medium=level[cell.gate] + 0.4 * (not cell.share) + noise)
            for seed, noise in enumerate(np.linspace(0, 0.01, n) * (1 + cell.share))
        }
        for cell, n in all_cells().items()
    }


def test_every_named_comparison_is_run_with_enough_seeds() -> None:
    cells = all_cells()
    assert min(cells[each.before] for each in NAMED) == 8
    assert min(cells[each.after] for each in NAMED) == 8
    assert len(NAMED) * 2 / 2**8 < 0.05  # all of one sign is enough after Holm's correction
    assert set(quick_cells()) <= set(cells)
    names = [run.name for run in runs_of(cells)]
    assert len(set(names)) == len(names) == sum(cells.values())


@pytest.mark.parametrize("kind", HARD)
def test_a_cells_pool_is_what_it_says(kind: object) -> None:
    cell = msgspec.convert(
        {"objective": "grpo", "gate": "none", "kind": kind, "share": 0.9}, type=Cell
    )
    pool = chain_kinds(cell.task.prompts(200, split="train", seed=0))
    assert pool.count(kind) == 180  # type: ignore[arg-type]
    assert chain_kinds(MEDIUM_ONLY.task.prompts(20, split="train", seed=0)).count(None) == 0


def test_comparisons_are_paired_and_corrected() -> None:
    found = named_comparisons(made_up_results())
    harm, _, gate, *_ = found
    assert harm.difference == pytest.approx(-0.4 + 0.0045, abs=1e-3)
    assert gate.difference == pytest.approx(0.2)
    assert [each.p for each in found] == [2 / 2**8] * len(NAMED)
    assert [each.p_holm for each in found] == [pytest.approx(12 / 2**8)] * len(NAMED)
    everywhere = against_no_gate(made_up_results())
    assert len(everywhere) == 9
    assert all((each.difference or 0) > 0.15 for each in everywhere)


def test_too_few_runs_say_nothing() -> None:
    empty = named_comparisons({})
    assert [(each.n_seeds, each.difference, each.p_holm) for each in empty] == [(0, None, None)] * 6
    one = {
        OVER: {0: made_up(OVER, seed=0, medium=0.5)},
        OURS: {0: made_up(OURS, seed=0, medium=0.7)},
    }
    found = {each.contrast.name: each for each in named_comparisons(one)}
    only = found["our gate against none, 90 % over budget"]
    assert (only.n_seeds, only.p, only.low, only.is_no_worse) == (1, 1.0, None, None)
    report = report_of({}, n_planned=203, manifest={})
    assert report.summary[0].startswith("Too few")
    assert report.numbers["n_runs"] == 0


def _alarm(name: str) -> Alarm:
    return Alarm(name=name, severity="alarm", message="It sounded.")


def test_what_a_run_is_summed_up_to() -> None:
    run = made_up(OVER, seed=0, medium=0.5)
    assert hard_share(run) == 0.3
    assert hard_share(msgspec.structs.replace(run, n_learned=(0,), n_hard_learned=(0,))) is None
    assert fallen_at(run) == 10
    records = [
        StepRecord(step=1, metrics={}),
        StepRecord(step=2, metrics={}, alarms=(_alarm("skip_rise"),)),
        StepRecord(step=3, metrics={}, alarms=(_alarm("skip_rise"), _alarm("length_drop"))),
    ]
    assert first_alarms(records) == {"skip_rise": 2, "length_drop": 3}


def test_report_and_pictures(tmp_path: Path) -> None:
    results = made_up_results()
    report = report_of(results, n_planned=203, manifest={})
    assert "0.51 beside" in report.summary[0]
    assert report.numbers["n_runs"] == 203
    assert len(report.tables[0].rows) == len(all_cells())
    assert all(len(row) == len(t.columns) for t in report.tables for row in t.rows)
    draw_curves(results, tmp_path / "curves.png")
    draw_end_points(results, tmp_path / "ends.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of small groups on a pool of 40, and hardly any measurement."""
    rl = msgspec.structs.replace(
        study_runs.RL, n_prompts=40, prompts_per_step=8, group_size=4, n_steps=2
    )
    measured = msgspec.structs.replace(study_runs.ALONG_THE_WAY, n_prompts=4, n_samples=2)
    monkeypatch.setattr(study_runs, "RL", rl)
    monkeypatch.setattr(study_runs, "ALONG_THE_WAY", measured)
    monkeypatch.setattr(study_runs, "N_FINAL", 4)


@pytest.mark.usefixtures("short")
def test_a_run_is_what_its_cell_and_seed_say() -> None:
    run = Run(cell=OURS, seed=1)
    first = do_run(run)
    again = do_run(run)
    assert msgspec.structs.replace(again, cpu_seconds=first.cpu_seconds) == first
    assert [point.step for point in first.curve] == [0, 2]
    assert first.n_learned[0] == 0  # nothing was known before the first visit
    assert first.accuracy.keys() == {"easy", "medium", "over_budget", "unlearnable"}
    everything = do_run(Run(cell=OVER, seed=1))
    assert everything.n_learned == (8, 8)
    assert hard_share(everything) == everything.hard_visited


@pytest.mark.usefixtures("short")
def test_the_study_goes_on_and_refuses_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_runs, "N_SEEDS_QUICK", 1)
    said: list[int] = []

    def progress(done: int, total: int, name: str) -> None:
        del total, name
        said.append(done)

    report = run_over_hard(tmp_path, quick=True, progress=progress)
    assert report.kind == "reproduce over-hard"
    assert report.numbers["n_runs"] == report.numbers["n_planned"] == 7
    assert len(said) == 7
    run_over_hard(tmp_path, quick=True, progress=progress)
    assert len(said) == 7
    (name,) = [run.name for run in runs_of(quick_cells())][:1]
    other = msgspec.json.encode(made_up(OURS, seed=3, medium=0.5))
    write_whole(tmp_path / f"{name}.json", other)
    with pytest.raises(BadInput, match="another setting"):
        report_over_hard(tmp_path, quick=True)
    (tmp_path / f"{name}.json").unlink()
    assert sum(map(len, finished_runs(tmp_path, quick=True).values())) == 6
