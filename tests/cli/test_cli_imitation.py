from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from twiceshy.attempts import Attempt, Outcome, Step, Verdict, write_attempts
from twiceshy.cli.audit_imitation import _questions as questions

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "evidence"))
from imitation_world import BASE, LEARNER, MIMIC, TEACHER, Voice, answers

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sides(tmp_path: Path) -> dict[str, Path]:
    voices: dict[str, Voice] = {
        "base": BASE,
        "mimic": MIMIC,
        "learner": LEARNER,
        "teacher": TEACHER,
        "again": TEACHER,
    }
    found = {name: tmp_path / f"{name}.jsonl" for name in voices}
    for seed, (name, voice) in enumerate(voices.items()):
        write_attempts(answers(voice, n=200, seed=seed), found[name])
    return found


def flags(sides: dict[str, Path], *, student: str, again: bool = True) -> list[object]:
    given: list[object] = [
        "audit",
        "imitation",
        "--base",
        sides["base"],
        "--student",
        sides[student],
    ]
    given += ["--teacher", sides["teacher"]]
    given += ["--teacher2", sides["again"]] if again else []
    return [*given, "--picture", sides["base"].with_name("picture.png")]


def test_a_mimic_exits_with_1_a_learner_with_0(run: Run, sides: dict[str, Path]) -> None:
    mimic = run(*flags(sides, student="mimic"), "--json")
    assert mimic.returncode == 1
    told = json.loads(mimic.stdout)
    assert (told["finding"], told["ok"]) == ("imitation", False)
    assert told["manifest"]["picture"].endswith("picture.png")
    picture = sides["base"].with_name("picture.png")
    assert picture.read_bytes()[:4] == b"\x89PNG"
    learner = run(*flags(sides, student="learner"))
    assert learner.returncode == 0
    assert learner.stdout.startswith("The student took over style and capability")
    assert "Picture:" in learner.stdout


def test_without_a_resample_it_says_so_and_exits_with_0(run: Run, sides: dict[str, Path]) -> None:
    done = run(*flags(sides, student="mimic", again=False))
    assert done.returncode == 0
    assert "no teacher resample" in " ".join(done.stdout.split())
    assert sides["base"].with_name("picture.png").exists()


def test_preferences_and_coverage_from_files(run: Run, sides: dict[str, Path]) -> None:
    folder = sides["base"].parent
    (folder / "covered.txt").write_text("".join(f"q{i}\n" for i in range(100)))
    rows = [
        {"task": f"q{i}", "first": first, "second": second, "winner": winner}
        for i in range(60)
        for first, second, winner in (
            ("student", "base", "first"),
            ("base", "student", "second" if i % 3 else "first"),
        )
    ]
    (folder / "judge.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run(
        *flags(sides, student="mimic"),
        *("--covered", folder / "covered.txt", "--preferences", folder / "judge.jsonl", "--json"),
    )
    told = json.loads(done.stdout)
    assert told["coverage"]["inside"]["n_tasks"] == 100
    assert told["preference"]["judge"]["n_battles"] == 60
    assert told["preference"]["judge"]["n_disagreeing"] == 20


def test_a_judge_is_told_the_task_in_words() -> None:
    steps = (Step(role="user", text="2 + 2?"), Step(role="assistant", text="4"))
    own = [Attempt(task="q1", steps=steps, verdict=Verdict(outcome=Outcome.SUCCESS))]
    asked = questions({"base": own, "student": own, "teacher": own}, 5)
    assert [each.prompt for each in asked] == ["2 + 2?"] * 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--language", "tlh"], "expected a language with a lexicon"),
        (["--covered", "missing.txt"], "--covered: expected a text file"),
        (["--preferences", "missing.jsonl"], "missing.jsonl: expected a readable file"),
        (["--model-url", "http://127.0.0.1:9/v1"], "--model beside --model-url"),
    ],
)
def test_bad_options_exit_with_2(
    run: Run, sides: dict[str, Path], more: list[str], message: str
) -> None:
    done = run(*flags(sides, student="mimic"), *more)
    assert done.returncode == 2
    assert message in done.stderr


def test_confidence_fails_on_a_bold_liar(run: Run, tmp_path: Path) -> None:
    rows = [
        {"task": f"q{i}", "answer": "4", "success": bool(i % 2), "confidence": 0.95}
        for i in range(60)
    ]
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    mapping = "task=task,answer=answer,success=success"
    done = run("audit", "confidence", path, "--map", mapping, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    (policy,) = told["policies"].values()
    assert policy["sources"]["stated"]["ece"]["value"] == pytest.approx(0.45)
