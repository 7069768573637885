from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from twiceshy.lessons import Lesson, Status
from twiceshy.memory import Memory
from twiceshy.memory.bank import Add, Bank
from twiceshy.memory.recall import Wish
from twiceshy.memory.trials import TrialDesign

Run = Callable[..., subprocess.CompletedProcess[str]]
LESSONS = [
    Lesson(
        id=f"lesson-{n}",
        kind="strategy",
        text=f"Do thing {n}.",
        trigger="when a task is to be done",
        status=Status.SHADOW,
        author="human",
    )
    for n in range(3)
]


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """Sixty runs: a run with lesson-0 in view succeeds, another does not."""
    path = tmp_path / "bank.db"
    with Bank.open(path, durability="normal") as opened:
        opened.apply([Add(lesson=each) for each in LESSONS])
        design = TrialDesign(hold_out=0.2)
        memory = Memory(opened, recall=Wish(embedder=None, floor=0.0, k=3), trial=design)
        for n in range(60):
            with memory.run("task", text="A task is to be done.", run_id=f"run-{n}") as run:
                won = any(each.id == "lesson-0" for each in run.lessons)
                if n % 20:
                    run.end("success" if won else "failure", source="judge", reliability=0.8)
    return path


def test_a_bank_says_what_it_is_worth(run: Run, bank: Path) -> None:
    shown = run("bank", "effect", "--bank", bank)
    assert shown.returncode == 0, shown.stderr
    first, second = shown.stdout.splitlines()[0], " ".join(shown.stdout.split())
    assert first.startswith("The memory ")
    assert "60 runs: 57 scored, 0 broken, 3 unscored, 0 still open" in second
    assert "lesson-0" in second
    assert "of 96 before any" in second
    assert "about 60% of a true effect is seen" in second


def test_numbers(run: Run, bank: Path) -> None:
    told = json.loads(run("bank", "effect", "--bank", bank, "--json").stdout)
    helpful, other = told["lessons"][0], told["lessons"][1]
    assert helpful["lesson_id"] == "lesson-0"
    assert helpful["over_withheld"]["estimate"] > 0.5 > other["over_withheld"]["estimate"]
    assert helpful["over_withheld"]["n"] == sum(helpful["arms"].values())
    assert helpful["verdict"]["status"] == "shadow"
    assert helpful["near"] is None
    assert told["counts"]["n_scored"] == 57
    assert told["reliability"]["attenuation"] == pytest.approx(0.6)
    assert helpful["shrunk"]["n_lessons"] == 3
    one = json.loads(run("bank", "effect", "--bank", bank, "--lesson", "lesson-1", "--json").stdout)
    assert [each["lesson_id"] for each in one["lessons"]] == ["lesson-1"]


def test_an_empty_bank_is_undefined(run: Run, tmp_path: Path) -> None:
    Bank.open(tmp_path / "empty.db").close()
    shown = run("bank", "effect", "--bank", tmp_path / "empty.db")
    assert shown.returncode == 0
    assert "undefined, n = 0" in shown.stdout


def test_a_plan_uses_what_the_bank_knows(run: Run, bank: Path, tmp_path: Path) -> None:
    told = json.loads(run("bank", "effect", "--bank", bank, "--plan", "--json").stdout)
    assert told["from_bank"] is True
    assert 0 < told["rate"] < 1
    Bank.open(tmp_path / "empty.db").close()
    assumed = json.loads(
        run("bank", "effect", "--bank", tmp_path / "empty.db", "--plan", "--json").stdout
    )
    assert (assumed["from_bank"], assumed["rate"]) == (False, 0.5)
    pairs = [each["at_once"] for each in assumed["plans"] if each["question"] == "pair"]
    assert pairs[:3] == pytest.approx([2172, 777, 188], abs=1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["absent.db"], "a bank that exists"),
        (["bank.db", "--lesson", "lesson-9"], "lesson-9"),
        (["bank.db", "--lesson", "lesson-1", "--plan"], "--plan or --lesson"),
        (["bank.db", "--level", "2"], "confidence level"),
    ],
)
def test_bad_input(run: Run, bank: Path, words: list[str], told: str) -> None:
    done = run("bank", "effect", "--bank", bank.parent / words[0], *words[1:])
    assert done.returncode == 2
    assert told in done.stderr
