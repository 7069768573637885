"""Material from a file: what is read, what is told, and the command line round it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from twiceshy.attempts import Attempt, Group, Outcome, Step, Verdict, write_attempts
from twiceshy.cli.app import app
from twiceshy.distillation.contexts import (
    Material,
    NoContext,
    Rung,
    read_material,
    teacher_context,
    unmatched,
)
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson, Status

LESSON = {"id": "l", "kind": "avoid", "text": "Split.", "action": "guessing", "instead": "split 23"}


def wrong(task: str, id: str, outcome: Outcome = Outcome.FAILURE) -> Attempt:
    steps = (Step(role="assistant", text="340"), Step(role="assistant", text="381"))
    return Attempt(
        task=task, id=id, prompt=f"{task}?", steps=steps, verdict=Verdict(outcome=outcome)
    )


RUNS = [wrong("sum", "s"), wrong("hard", "h"), wrong("odd", "o", Outcome.UNSCORED)]


def written(folder: Path, *lines: object) -> Path:
    path = folder / "material.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\ufeff" + "\r\n".join(texts), encoding="utf-8")
    return path


def test_every_field_fills_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"task": "sum", "hint": "Mind the carry.", "answer": 22},
        "",
        {"task": "hard", "solution": "340 + 51", "lessons": [LESSON], "critiques": {"h": "No."}},
        {"task": 7, "failing_steps": {"h": 1}},
    )
    read = read_material(path)
    assert read.material == Material(
        hints={"sum": "Mind the carry."},
        answers={"sum": "22"},
        solutions={"hard": "340 + 51"},
        lessons={"hard": (Lesson(**LESSON),)},  # pyrefly: ignore
        critiques={"h": "No."},
        failing_steps={"h": 1},
    )
    assert read.tasks == ("sum", "hard", "7")
    assert (read.unreadable, read.unknown_fields) == ((), {})
    assert unmatched(read, RUNS) == (("7",), ())
    assert unmatched(read, RUNS[:1]) == (("hard", "7"), ("h",))


def test_a_line_is_used_whole_or_told_with_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"task": "sum", "hint": "First.", "hints": "?", "note": 1},
        {"task": "sum", "hint": "Second.", "solution": "never used"},
        "not json",
        {"hint": "for nobody"},
        {"task": "sum", "lessons": [{"id": "l"}]},
        {"task": "sum", "failing_steps": {"s": "two"}},
        {"task": "hard", "note": 2},
    )
    read = read_material(path)
    assert read.material.hints == {"sum": "First."}
    assert read.material.solutions == {}
    assert read.unknown_fields == {"hints": 1, "note": 2}
    places = [each.where for each in read.unreadable]
    assert places == [f"{path}:{line}" for line in (2, 3, 4, 5, 6)]
    told = [each.got for each in read.unreadable]
    assert told[0] == "a second hint for 'sum'"
    assert "malformed" in told[1]
    assert "`task`" in told[2]
    assert "`kind`" in told[3]
    assert "failing_steps" in told[4]


def test_a_file_without_a_usable_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        read_material(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match="got no line"):
        read_material(written(tmp_path))
    with pytest.raises(BadInput, match=r"material.jsonl:1"):
        read_material(written(tmp_path, []))
    (tmp_path / "bytes.jsonl").write_bytes(b'{"task": "\xff"}')
    with pytest.raises(BadInput, match=r"bytes.jsonl:1"):
        read_material(tmp_path / "bytes.jsonl")


def test_lessons_that_were_withdrawn_are_not_shown() -> None:
    group = Group("sum", "p", (RUNS[0],))
    gone = [
        Lesson(id=status.value, kind="strategy", text=status.value, status=status)
        for status in (Status.RETIRED, Status.QUARANTINED)
    ]
    kept = Lesson(id="k", kind="strategy", text="Go on.")

    def of(*lessons: Lesson) -> Any:
        material = Material(lessons={"sum": lessons})
        return teacher_context(Rung.SKILL_MISTAKE, RUNS[0], group=group, material=material)

    assert of(*gone, kept).sources == ("k",)
    assert isinstance(of(*gone), NoContext)
    assert "retired or quarantined" in of(*gone).why


def run(*arguments: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["distill", "contexts", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_the_command_uses_it_and_tells_what_fits_nothing(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs.jsonl", tmp_path / "out.jsonl"
    write_attempts(RUNS, runs)
    path = written(
        tmp_path,
        {"task": "sum", "hint": "Mind 22.", "answer": "22", "hints": 1},
        {"task": "nowhere", "critiques": {"z": "?"}},
        {"task": "hard", "critiques": {"h": "51 was forgotten."}, "failing_steps": {"h": 1}},
        "not json",
    )
    given = (runs, "--material", path, "-o", out)
    done = run(*given, "--rung", "hint", "--json")
    shown = json.loads(done.stdout)
    assert (shown["n_written"], shown["left_out"]) == (
        1, {"unscored attempt": 1, "no hint is known for this task": 1},
    )  # fmt: skip
    assert shown["material"] == {
        "n_tasks": 3, "n_hints": 1, "n_answers": 1, "n_critiques": 2, "n_failing_steps": 1,
        "n_unreadable": 1, "unknown_fields": {"hints": 1},
        "n_tasks_unmatched": 1, "n_attempts_unmatched": 1,
    }  # fmt: skip
    assert shown["manifest"]["inputs"] == [str(runs), str(path)]
    assert f"{path}:4: expected a line like" in done.stderr
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert (row["privileged_context"], row["reveals_answer"]) == ("A hint:\nMind 22.", True)
    text = run(*given, "--rung", "critique").stdout
    assert "1 context of rung critique written" in text
    assert "1 task that no attempt has: nowhere." in text
    assert "1 attempt id that no attempt has: z." in text
    assert "field 'hints' in 1 line, perhaps hint." in text
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert row["privileged_context"] == (
        "An earlier attempt at this failed.\nIt went wrong here:\n381\n51 was forgotten."
    )


def test_material_for_another_rung_and_a_file_from_before_are_told(tmp_path: Path) -> None:
    runs, out = tmp_path / "runs.jsonl", tmp_path / "out.jsonl"
    write_attempts(RUNS, runs)
    path = written(tmp_path, {"task": "sum", "hint": "Mind the carry."})
    out.write_text("from before")
    text = run(runs, "--material", path, "-o", out, code=1).stdout
    flat = " ".join(text.split())
    assert "It holds nothing that rung critique shows; it is for --rung hint." in flat
    assert "is from before." in flat
    missing = run(runs, "--material", tmp_path / "none.jsonl", "-o", out, code=1)
    assert isinstance(missing.exception, BadInput)
