"""A report as files, by hand: what is undefined is empty, and a bar in a cell is no edge."""

from __future__ import annotations

import json
from pathlib import Path

from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.evidence.result_files import markdown, write_result

FOUND = Report(
    kind="a study",
    title="A study",
    summary=("First.", "Second."),
    numbers={"rate": None, "n": 0},
    tables=(
        Table(
            title="Rates",
            columns=("arm", "rate", "ok"),
            rows=(("a|b", None, True), ("c", 0.5, False), ("d", 0, None)),
            note="Of all items.",
        ),
        Table(title="Nothing", columns=("arm",), rows=()),
    ),
    alarms=(Alarm(name="few", severity="warning", message="Few runs."),),
    manifest={"seed": 1, "wall_seconds": 12},
)
TEXT = """# A study

Written by `{}`.

- First.
- Second.

## Rates

| arm | rate | ok |
| --- | --- | --- |
| a\\|b |  | True |
| c | 0.5 | False |
| d | 0 |  |

Of all items.

## Nothing

| arm |
| --- |
"""


def test_markdown_by_hand() -> None:
    assert markdown(FOUND) == TEXT.format("run.py")
    assert markdown(FOUND, written_by="all.py") == TEXT.format("all.py")


def test_without_tables_and_summary() -> None:
    bare = Report(kind="k", title="T", summary=())
    assert markdown(bare) == "# T\n\nWritten by `run.py`.\n\n"


def test_files(tmp_path: Path) -> None:
    write_result(FOUND, tmp_path)
    assert (tmp_path / "result.md").read_text() == TEXT.format("run.py")
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["numbers"] == {"rate": None, "n": 0}
    assert told["manifest"] == {"seed": 1}
    assert "tables" not in told
    assert told["alarms"][0]["name"] == "few"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["result.json", "result.md"]


def test_a_report_without_tables_or_manifest_is_written_too(tmp_path: Path) -> None:
    write_result(Report(kind="k", title="T", summary=("One.",)), tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["summary"] == ["One."]
