"""Files for trainers: what they hold, what they refuse, and the command line around them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from twiceshy.attempts import Attempt, Outcome, Step, Verdict, write_attempts
from twiceshy.cli.app import app
from twiceshy.distillation.contexts import NoContext, Rung, TeacherContext
from twiceshy.distillation.export import export_contexts, export_traces
from twiceshy.errors import BadInput

SLOW = "so it is four but wait maybe not let me check that again and see what it is"
SURE = "so it is four and that is it"


def said(task: int, text: str, *, right: bool = True, prompt: str | None = "2 + 2?") -> Attempt:
    verdict = Verdict(outcome=Outcome.SUCCESS if right else Outcome.FAILURE, evidence="expected 4")
    steps = (Step(role="assistant", text=text),)
    return Attempt(
        task=str(task), id=f"{task}-{right}", prompt=prompt, steps=steps, verdict=verdict
    )


OWN = [said(i, SLOW * (1 + i % 2)) for i in range(12)]
GUIDED = [said(i, SURE) for i in range(12)]


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    found = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [str(path)])
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("name", ["traces.jsonl", "traces.parquet"])
def test_right_traces_are_written_as_messages(tmp_path: Path, name: str) -> None:
    extra = [said(20, SLOW, right=False), said(21, ""), said(22, SLOW, prompt=None)]
    done = export_traces(tmp_path / name, [*OWN, *extra], own=OWN, rung="critique")
    assert done.n_written == 12
    assert done.left_out == {"failure": 1, "empty trace": 1, "no prompt": 1}
    row = rows_of(tmp_path / name)[0]
    assert row["prompt"] == [{"role": "user", "content": "2 + 2?"}]
    assert row["completion"] == [{"role": "assistant", "content": SLOW}]
    assert (row["task"], row["attempt"], row["rung"]) == ("0", "0-True", "critique")


def test_refused_traces_are_not_written_unless_allowed(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    done = export_traces(path, GUIDED, own=OWN)
    assert done.n_written == 0
    assert done.report is not None
    assert not done.report.ok
    assert not path.exists()
    allowed = export_traces(path, GUIDED, own=OWN, allow_refused=True)
    assert allowed.n_written == 12
    assert len(rows_of(path)) == 12


@pytest.mark.parametrize("name", ["contexts.jsonl", "contexts.parquet"])
def test_contexts_for_self_distillation(tmp_path: Path, name: str) -> None:
    made: list[TeacherContext | NoContext] = [
        TeacherContext(rung=Rung.CRITIQUE, task="a", attempt="x", text="Here.", sources=("x", "y")),
        TeacherContext(rung=Rung.NONE, task="a", attempt="x", text=""),
        TeacherContext(rung=Rung.HINT, task="b", attempt="z", text="Mind."),
        NoContext(rung=Rung.HINT, task="a", attempt="x", why="no hint is known for this task"),
    ]
    sdft = export_contexts(tmp_path / name, made, prompts={"a": "?"}, kind="sdft")
    assert sdft.n_written == 1
    assert sdft.left_out == {
        "no text to show": 1,
        "no prompt": 1,
        "no hint is known for this task": 1,
    }
    (row,) = rows_of(tmp_path / name)
    assert row["privileged_context"] == "Here."
    assert list(row["sources"]) == ["x", "y"]
    sdpo = export_contexts(tmp_path / name, made, prompts={"a": "?"}, kind="sdpo")
    assert [row["privileged_context"] for row in rows_of(tmp_path / name)] == ["Here.", None]
    assert sdpo.n_written == 2


def test_names_and_kinds_that_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.jsonl or \.parquet"):
        export_traces(tmp_path / "t.csv", OWN, own=OWN)
    with pytest.raises(BadInput, match="sdft, sdpo"):
        export_contexts(tmp_path / "t.jsonl", [], prompts={}, kind="gkd")  # pyrefly: ignore


def run(*arguments: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(each) for each in (*arguments, "--json")])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_the_commands(tmp_path: Path) -> None:
    student, teacher = tmp_path / "student.jsonl", tmp_path / "teacher.jsonl"
    failed = [said(i, SLOW, right=False) for i in range(12, 24)]
    write_attempts([*OWN, *failed], student)
    write_attempts(GUIDED, teacher)
    refused = run("distill", "check", teacher, "--student", student, code=1)
    assert refused["signals"]["length"]["value"] < 0.6
    assert refused["gap"]["difference"] == 0.0
    out = tmp_path / "out.parquet"
    nothing = run("distill", "export", teacher, "--student", student, "-o", out, code=1)
    assert nothing["n_written"] == 0
    assert not out.exists()
    kept = run("distill", "export", student, "--student", student, "-o", out)
    assert kept["n_written"] == 12
    told = tmp_path / "told.jsonl"
    made = run("distill", "contexts", student, "-o", told, "--rung", "verifier_output")
    assert made["n_written"] == 12
    assert made["left_out"] == {"only a failure can be criticised; this is a success": 12}
    none = tmp_path / "none.parquet"
    empty = run("distill", "contexts", student, "-o", none, "--rung", "critique", code=1)
    assert empty["n_written"] == 0
    assert sum(empty["left_out"].values()) == 24
    assert not none.exists()
    alarm = run(
        *("distill", "alarm", student, "--base", student),
        *("--elsewhere", student, "--base-elsewhere", student),
    )
    assert alarm["n_fell"] == 0
