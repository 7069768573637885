"""The study of teacher contexts: its traces are what it says, and it runs, resumes and reports."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the torch extra")

from twiceshy.errors import BadInput
from twiceshy.evidence.result_files import markdown
from twiceshy.studies.teacher_context import (
    Done,
    Size,
    finished_teacher_context,
    report_teacher_context,
    run_teacher_context,
)
from twiceshy.studies.teacher_context.base import base_folder, read_base
from twiceshy.studies.teacher_context.comparing import RATIOS, contrasts
from twiceshy.studies.teacher_context.plan import ARMS, CONTRASTS, jobs_of
from twiceshy.studies.teacher_context.problems import (
    BROAD,
    DOMAINS,
    HARD,
    NODES,
    RUNGS,
    Problem,
    draw_problem,
    known,
)
from twiceshy.studies.teacher_context.results import Point, Taught
from twiceshy.studies.teacher_context.traces import (
    MARKERS,
    N_RESPONSE,
    answer_of,
    first_mistake,
    is_right,
    trace,
    with_markers,
    without_markers,
)

TINY = Size(
    n_seeds=1,
    n_traces=20,
    epochs=(0, 1),
    n_eval=10,
    n_samples=1,
    arms=("none", "on-policy solution, moving"),
)


def said_of(text: str) -> list[str]:
    """The words of a trace."""
    return text.split()


def test_every_trace_is_right_and_the_more_is_told_the_shorter_and_surer_it_is() -> None:
    rng = np.random.default_rng(0)
    problems = [draw_problem(DOMAINS[HARD], rng) for _ in range(200)]
    words = {rung: [trace(each, known(each, rung), rng) for each in problems] for rung in RUNGS}
    for traces in words.values():
        assert all(is_right(p, t) for p, t in zip(problems, traces, strict=True))
        assert all(len(t) <= N_RESPONSE for t in traces)
    length = {rung: np.mean([len(t) for t in words[rung]]) for rung in RUNGS}
    assert length["none"] > max(length["critique"], length["hint"]) > length["solution"]
    assert min(length["critique"], length["hint"]) > length["solution"]
    assert not any(set(t) & set(MARKERS) for t in words["solution"])
    assert sum("wait" in t for t in words["none"]) > 150


def test_a_trace_goes_only_along_edges() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        problem = draw_problem(BROAD, rng)
        pairs = {(parent, child) for parent, child, _ in problem.edges}
        said = trace(problem, [], rng)
        walked = [word for word in said[: said.index("=")] if word in (*NODES, "wait")]
        for before, after in itertools.pairwise(walked):
            back = before == "wait" or after == "wait"
            assert back or (before, after) in pairs


def test_edits_change_what_they_say_and_nothing_else() -> None:
    said = said_of("a maybe b wait a c check = a c .")
    assert without_markers(said) == said_of("a b a c = a c .")
    marked = with_markers(said_of("a c d = a c d ."), 1.0, np.random.default_rng(0))
    assert marked == said_of("a maybe c maybe d check = a c d .")
    assert answer_of(marked) == ("a", "c", "d")


def test_the_first_mistake_is_a_wrong_node() -> None:
    problem = Problem((("a", "b", "+"), ("a", "c", "-"), ("b", "d", "+")), ("a", "b", "d"))
    assert first_mistake(problem, said_of("a c check = a c d .")) == "c"
    assert first_mistake(problem, said_of("a c")) == "c"
    assert first_mistake(problem, said_of("a b check = a b d .")) is None
    assert is_right(problem, said_of("a b d check = a b d ."))
    assert not is_right(problem, said_of("a b d check = a b d"))


def test_the_base_is_the_one_that_shipped(tmp_path: Path) -> None:
    for name in ("base.pt", "base.json"):
        (tmp_path / name).write_bytes((base_folder() / name).read_bytes())
    assert read_base(tmp_path).n_parameters == 166_336
    with (tmp_path / "base.pt").open("ab") as file:
        file.write(b"!")
    with pytest.raises(BadInput, match="Install the package again"):
        read_base(tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Size(n_traces=0),
        lambda: Size(epochs=(0,)),
        lambda: Size(epochs=(0, 2, 2)),
        lambda: Size(arms=()),
        lambda: Size(arms=("nobody",)),
    ],
)
def test_sizes_that_mean_nothing_are_refused(make: Callable[[], Size]) -> None:
    with pytest.raises(BadInput):
        make()


def test_it_runs_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    told: list[str] = []

    def progress(done: int, total: int, name: str) -> None:
        told.append(f"{done}/{total} {name}")

    report = run_teacher_context(tmp_path, size=TINY, progress=progress)
    assert told == ["1/2 none-0", "2/2 on-policy-solution-moving-0"]
    assert report.numbers["n_runs"] == report.numbers["n_runs_planned"] == 2
    runs = finished_teacher_context(tmp_path, size=TINY)
    before = [runs[arm, 0].point(domain=HARD, epoch=0) for arm in TINY.arms]
    assert before[0] == before[1], "both start as the base"
    assert runs["none", 0].point(domain=HARD, epoch=1) != before[0]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.json")}
    whole = [(tmp_path / f"result.{kind}").read_bytes() for kind in ("json", "md")]
    assert (tmp_path / "plot.png").stat().st_size > 10_000

    (tmp_path / "runs" / "none-0.json").rename(tmp_path / "aside.json")
    run_teacher_context(tmp_path, size=TINY, progress=progress)
    assert told[2:] == ["2/2 none-0"], "the other one was not done again"
    assert (tmp_path / "aside.json").read_bytes() == (
        tmp_path / "runs" / "none-0.json"
    ).read_bytes()
    other = tmp_path / "runs" / "on-policy-solution-moving-0.json"
    assert other.stat().st_mtime_ns == kept[other]
    assert [(tmp_path / f"result.{kind}").read_bytes() for kind in ("json", "md")] == whole

    with pytest.raises(BadInput, match="Choose another folder"):
        run_teacher_context(tmp_path, size=msgspec.structs.replace(TINY, epochs=(0, 1, 2)))


TAUGHT = Taught(
    n=20,
    accuracy=0.75,
    length=10.0,
    markers=5.0,
    gap=None,
    check={"ok": True, "alarms": {}, "signals": {name: {"value": None} for name in RATIOS}},
)


def finished(accuracy: float, *, size: Size) -> Done:
    """A run whose student ends with an accuracy on the hardest problems, and starts with 0.5."""
    points = tuple(
        Point(
            epoch=epoch,
            domain=domain,
            accuracy=accuracy if (domain, epoch) == (HARD, size.epochs[-1]) else 0.5,
            length=10.0,
            markers=5.0,
            forks=0.2,
            right=(0.5,) * size.n_eval,
        )
        for epoch in size.epochs
        for domain in DOMAINS
    )
    return Done(points=points, taught=TAUGHT, alarm={"ok": True, "signals": {}})


def write_runs(folder: Path, size: Size, *, accuracy: dict[str, float]) -> None:
    (folder / "runs").mkdir()
    for job in jobs_of(size):
        if job.arm in accuracy:
            rises = 0.0 if job.arm == "none" else 0.001 * job.seed
            done = finished(accuracy[job.arm] + rises, size=size)
            (folder / "runs" / f"{job.name}.json").write_bytes(msgspec.json.encode(done))


SEEDS = Size(n_seeds=9, n_eval=2)


def test_a_report_says_what_held_and_what_is_missing(tmp_path: Path) -> None:
    accuracy = {"none": 0.5, "solution": 0.2, "critique": 0.5, "none, short": 0.5}
    write_runs(tmp_path, SEEDS, accuracy=accuracy)
    (tmp_path / "runs" / "critique-8.json").unlink()
    report = report_teacher_context(tmp_path, size=SEEDS)
    held, asked, open_, *rest = report.summary
    # -0.3 + 0.004 ± 2.306 · 0.002739 / 3
    lost = "solution − none -0.296 [-0.298, -0.294]"
    assert held.startswith(f"Held: rich context costs robustness (below 0): {lost}; a critique")
    assert asked.startswith(
        "Asked without a claim, and clear: length alone: none, short − none +0.004"
    )
    assert open_.startswith("Open: and in domain it costs nothing (not below 0): ")
    assert rest[-1] == "35 of 108 runs are done."
    rows = {(row["arm"], row["other"]): row for row in report.numbers["contrasts"]}
    assert rows["critique", "solution"]["n_seeds"] == 8
    assert rows["critique", "solution"]["p"] == 2 / 2**8
    assert ("solution, matched", "none, matched") not in rows
    fall = report.numbers["afterthoughts"][f"solution − base, {HARD}"]["difference"]
    assert fall == pytest.approx(0.2 + 0.004 - 0.5)
    assert "| solution − none | deeper, cues that mislead | -0.296 [-0.298, -0.294] |" in markdown(
        report
    )


def test_two_seeds_are_too_few_to_be_clear(tmp_path: Path) -> None:
    size = msgspec.structs.replace(SEEDS, n_seeds=2)
    write_runs(tmp_path, size, accuracy={"none": 0.5, "solution": 0.1})
    report = report_teacher_context(tmp_path, size=size)
    assert report.summary[0].startswith("Open: rich context")
    assert report.summary[1].startswith("With n = 2 seeds no p under Holm can be below 1.00 in 2 ")


def test_without_a_run_nothing_is_said(tmp_path: Path) -> None:
    report = report_teacher_context(tmp_path)
    assert report.summary == ("No run is done (0 of 120), so nothing can be said.",)
    assert report.numbers["base"] == dict.fromkeys(DOMAINS)


def test_every_comparison_is_between_arms_of_the_plan() -> None:
    names = {arm.name for arm in ARMS}
    assert all({c.arm, c.other} <= names and c.problems in DOMAINS for c in CONTRASTS)
    assert len({job.name for job in jobs_of(Size())}) == 120
    assert contrasts({}, epoch=1) == []
