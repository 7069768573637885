"""What is printed: one JSON object, or text that begins with the summary and fits the terminal."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

import twiceshy
from twiceshy.cli.grid import laid_out
from twiceshy.evidence.report import Table

Run = Callable[..., subprocess.CompletedProcess[str]]

READING_VERBS = (
    ("import", "--out", "out.jsonl"),
    ("triage",),
    ("triage", "--p0", "0.38"),
    ("learn", "--nulls", "2", "--out", "found"),
    ("prove", "lessons", "--nulls", "2"),
    ("prove", "trial", "--reference", "unknown"),
    ("audit", "passk"),
    ("audit", "collapse"),
    ("audit", "shortcuts"),
)
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("verb", READING_VERBS, ids=" ".join)
def test_json_is_one_object_whatever_the_notes(run: Run, tau_file: Path, verb: tuple[str]) -> None:
    done = run(*verb, tau_file, "--json")
    assert done.returncode in (0, 1), done.stderr
    assert "broken (limit): 5 attempts" in done.stderr, "there are notes"
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    kind = "learn" if verb[0] == "learn" else " ".join(w for w in verb[:2] if w.isalpha())
    assert found["kind"] == kind
    assert {"alarms", "ok", "manifest"} <= set(found)
    assert found["manifest"]["twiceshy"] == twiceshy.__version__
    assert found["manifest"]["inputs"] == [str(tau_file)]


@pytest.mark.parametrize("verb", READING_VERBS, ids=" ".join)
def test_text_begins_with_the_summary(run: Run, tau_file: Path, verb: tuple[str]) -> None:
    done = run(*verb, tau_file)
    first, second = done.stdout.splitlines()[:2]
    assert first.strip()
    assert first[0].isalnum()
    assert "{" not in first
    assert len(first) <= 80
    assert "broken (limit)" not in done.stdout
    assert "\x1b" not in done.stdout
    assert second is not None


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_the_terminal(tau_file: Path, tmp_path: Path, width: int) -> None:
    command = [str(Path(sys.executable).with_name("twiceshy")), "triage", str(tau_file)]
    environment = {**os.environ, "COLUMNS": str(width), "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert max(map(len, done.stdout.splitlines())) <= width
    assert "policy" not in done.stdout, "a column that is the same in every row is left out"
    assert max(map(len, done.stderr.splitlines())) > 80, "notes are one line each when piped"


def test_paths_are_not_broken_and_not_markup(run: Run, tau_file: Path) -> None:
    name = "a[bold]folder[/bold]-" + "x" * 90
    done = run("learn", tau_file, "--nulls", 0, "--out", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Details: {name}/report.html"


def test_version(process: Run) -> None:
    assert process("--version").stdout == f"twiceshy {twiceshy.__version__}\n"


def test_every_verb_has_help_that_names_its_options(run: Run) -> None:
    for verb in ("demo", "import", "triage", "learn", "report", "prove lessons", "audit passk"):
        done = run(*verb.split(), "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: twiceshy {verb} ")
        assert "--json" in done.stdout


def test_a_report_is_rendered_again(run: Run, tau_file: Path, tmp_path: Path) -> None:
    assert run("learn", tau_file, "--nulls", 0, "--out", "found").returncode == 0
    page = tmp_path / "found/report.html"
    rendered = page.read_bytes()
    page.unlink()
    done = run("report", "found")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Details: found/report.html\n")
    assert page.read_bytes() == rendered
    assert json.loads(run("report", "found", "--json").stdout)["n_lessons"] > 0
    (tmp_path / "found/report.json").write_text('{"title": 3}')
    assert run("report", "found").returncode == 2


def test_generated_help_and_schemas_are_up_to_date(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    monkeypatch.setenv("COLUMNS", "96")

    def shown(*words: str) -> str:
        return tidy(run(*words).stdout)

    monkeypatch.setattr(generate, "run", shown)
    for name, text in {"commands.md": generate.command_page(), **generate.schemas()}.items():
        assert (ROOT / "docs" / name).read_text() == text, f"{name} is out of date: run make docs"


def tidy(shown: str) -> str:
    return "\n".join(line.rstrip() for line in shown.strip().splitlines())


@pytest.mark.slow  # it runs the demo
def test_generated_documentation_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/generate.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def printed(table: Table, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    grid = laid_out(table, width=width)
    assert grid is not None
    with console.capture() as capture:
        console.print(grid)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_wide_cell_is_wrapped_before_it_is_cut() -> None:
    table = Table(
        title="Arms",
        columns=("arm", "attempts", "over reference"),
        rows=(("failure_only", 400, "+23.2 [+16.1, +30.4]"), ("none", 400, None)),
    )
    assert printed(table, 80) == [
        "arm           attempts  over reference",
        "failure_only       400  +23.2 [+16.1, +30.4]",
        "none               400  –",
    ]
    assert printed(table, 36) == [
        "arm          attempts over reference",
        "failure_only      400 +23.2 [+16.1,",
        "                      +30.4]",
        "none              400 –",
    ]


def test_columns_that_tell_nothing_are_left_out() -> None:
    table = Table(
        title="Groups",
        columns=("task", "policy", "n_scored", "rate", "low"),
        rows=(("[red]", "unknown", 0, 1812.25, None), ("b", "unknown", 4, 0.5, None)),
    )
    assert printed(table, 80) == [
        "task   n scored  rate",
        "[red]         0  1812",
        "b             4     0",
    ]
    assert laid_out(Table(title="t", columns=("a", "b"), rows=()), width=80) is None


cells = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=200)
)


@given(
    rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5),
    width=st.integers(20, 140),
)
def test_any_table_fits(
    rows: list[tuple[str | int | float | bool | None, ...]], width: int
) -> None:
    table = Table(title="t", columns=("some name", "other", "third_one here"), rows=tuple(rows))
    if laid_out(table, width=width) is not None:
        lines = printed(table, width)
        assert max(map(cell_len, lines)) <= width
        assert all(line.isprintable() for line in lines)


def test_text_from_a_log_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J[bold]"
    rows = [{"task": f"t{evil}", "policy": evil, "success": i % 2, "id": i} for i in range(4)]
    lines = [json.dumps(row) for row in rows] + ['{"task": "\x1b[2J']
    (tmp_path / f"runs{evil[:4]}.jsonl").write_text("\n".join(lines))
    for verb in (("triage",), ("audit", "passk"), ("learn", "--nulls", "0")):
        done = run(*verb, f"runs{evil[:4]}.jsonl", "--map", "task=task,success=success")
        assert done.returncode == 0, done.stderr
        printed = done.stdout + done.stderr
        assert all(each.isprintable() or each == "\n" for each in printed)
