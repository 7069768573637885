"""`twiceshy recall`: what it prints, and that nothing is a valid answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from twiceshy.cli.app import app
from twiceshy.lessons import Evidence, Lesson, Status
from twiceshy.memory.bank import Add, Bank


@pytest.fixture
def bank(tmp_path: Path) -> str:
    path = tmp_path / "bank.db"
    lesson = Lesson(
        id="l1",
        kind="strategy",
        text="When paying by card: check the date first.",
        trigger="when paying by card",
        status=Status.ACTIVE,
        evidence=Evidence(attempts_for=("a",), n_for=1, n_tasks=2),
    )
    with Bank.open(path) as opened:
        opened.apply([Add(lesson=lesson)])
    return str(path)


def test_a_lesson_is_printed_as_an_agent_gets_it(bank: str) -> None:
    done = CliRunner().invoke(app, ["recall", "paying by card", "--bank", bank])
    assert done.exit_code == 0
    assert "<lessons>" in done.output
    assert "check the date first" in done.output


def test_nothing_in_json(bank: str) -> None:
    done = CliRunner().invoke(
        app, ["recall", "xyzzy", "--bank", bank, "--words-only", "--json", "--task-id", "t"]
    )
    body = json.loads(done.stdout)
    assert (done.exit_code, body["chosen"], body["text"]) == (0, [], "")
    assert body["nothing"]
