from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

READING_VERBS = (
    ("import", "--out", "out.jsonl"),
    ("triage",),
    ("learn", "--nulls", "1", "--out", "found"),
    ("prove", "lessons", "--nulls", "1"),
    ("prove", "trial", "--reference", "unknown"),
    ("audit", "passk"),
    ("audit", "collapse"),
    ("audit", "shortcuts"),
)


def record(task: int, trial: int, **more: Any) -> str:
    return json.dumps({"question": f"q{task}", "solution": f"a{trial}", "id": trial, **more})


MAP = ("--map", "task=question,answer=solution,reward=reward")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of bad files, and `good.jsonl`."""
    rewards = (0.0, 1.0, 0.0, 1.0)
    whole = "".join(record(i // 4, i, reward=rewards[i % 4]) + "\n" for i in range(8))
    (tmp_path / "good.jsonl").write_text(whole)
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "blank.jsonl").write_text("\n\n  \n")
    (tmp_path / "rubbish.bin").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "latin.jsonl").write_bytes(
        '{"messages":[{"role":"user","content":"caf\u00e9"}]}\n'.encode("latin-1")
    )
    (tmp_path / "giant.jsonl").write_text("x" * 1_000_000)
    (tmp_path / "list.json").write_text("[1, 2, 3]")
    return tmp_path


def told(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Check the exit code and that nobody sees a traceback; return what stderr says."""
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr + done.stdout
    if code == 2:
        assert done.stdout == ""
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("twiceshy: ")
        assert "expected" in last
    return done.stderr


@pytest.mark.parametrize("verb", READING_VERBS, ids=" ".join)
def test_nothing_usable_is_exit_code_two(run: Run, files: Path, verb: Any) -> None:
    said = told(run(*verb, "god.jsonl"), 2)
    assert "Did you mean good.jsonl" in said
    for name, reason in (
        ("empty.jsonl", "the file is empty"),
        ("blank.jsonl", "only blank lines"),
        ("rubbish.bin", "binary data of no known format"),
        ("latin.jsonl", "latin.jsonl:1: expected a JSON object in UTF-8"),
        ("giant.jsonl", "no reader"),
        ("list.json", "list.json"),
    ):
        said = told(run(*verb, name), 2)
        assert reason in said, name
        assert len(said) < 1000, name
        assert "--format or --map" in said


@pytest.mark.parametrize("verb", READING_VERBS, ids=" ".join)
def test_one_good_file_is_enough(run: Run, files: Path, verb: Any) -> None:
    said = told(run(*verb, ".", *MAP), 0)
    for name in ("empty.jsonl", "blank.jsonl"):
        assert f"skipped {name}" in said
    assert "latin.jsonl:1" in said


def test_as_a_process(process: Run, files: Path) -> None:
    said = told(process("triage", "rubbish.bin"), 2)
    assert said.startswith("skipped rubbish.bin: it is binary data")
    assert "Did you mean good.jsonl" in told(process("learn", "goood.jsonl"), 2)


def test_a_folder_of_mixed_formats(run: Run, files: Path, tau_file: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    mixed = files / "mixed"
    mixed.mkdir()
    (mixed / "chat.jsonl").write_text(json.dumps(chat) + "\n")
    (mixed / "tau.json").symlink_to(tau_file)
    (mixed / "empty.jsonl").write_text("")
    done = run("import", "mixed", "--json")
    said = told(done, 0)
    assert "several formats, each read by its own reader: openai_chat 1, tau_bench 200" in said
    found = json.loads(done.stdout)
    assert found["formats"] == {"openai_chat": 1, "tau_bench": 200}
    assert (found["n_files"], found["n_files_skipped"]) == (2, 1)


def test_truncated_json_gives_what_came_before(run: Run, files: Path, tau_file: Path) -> None:
    (files / "cut.json").write_bytes(tau_file.read_bytes()[:300_000])
    done = run("triage", "cut.json", "--json")
    assert "it was cut, or is still being written" in told(done, 0)
    assert json.loads(done.stdout)["n_attempts"] == 12
    (files / "cut.jsonl").write_text((files / "good.jsonl").read_text()[:-20])
    done = run("import", "cut.jsonl", *MAP, "--json")
    assert "cut.jsonl:8" in told(done, 0)
    found = json.loads(done.stdout)
    assert (found["n_attempts"], found["n_unreadable"]) == (7, 1)


def test_one_bad_line_costs_one_line(run: Run, files: Path) -> None:
    lines = (files / "good.jsonl").read_bytes().splitlines()
    giant = b'{"question": "' + b"x" * 2_000_000
    damaged = [*lines[:4], b"\xff\xfe rubbish", giant, b"{}", *lines[4:]]
    (files / "damaged.jsonl").write_bytes(b"\n".join(damaged) + b"\n")
    done = run("import", "damaged.jsonl", *MAP, "--json")
    said = told(done, 0)
    assert len(said) < 2000
    for line in (5, 6, 7):
        assert f"damaged.jsonl:{line}: expected" in said
    found = json.loads(done.stdout)
    assert (found["n_attempts"], found["n_unreadable"]) == (8, 3)


def test_duplicates_are_counted(run: Run, files: Path) -> None:
    assert run("import", "good.jsonl", *MAP, "--out", "own.jsonl").returncode == 0
    own = (files / "own.jsonl").read_bytes()
    (files / "twice.jsonl").write_bytes(own + own)
    done = run("import", "twice.jsonl", "--json", "--out", "once.jsonl")
    assert "8 duplicates dropped" in told(done, 0)
    found = json.loads(done.stdout)
    assert (found["n_attempts"], found["n_duplicates"]) == (8, 8)


def test_rewards_need_a_threshold(run: Run, files: Path) -> None:
    rewards = (0.2, 0.9, 0.5, 1.0)
    graded = "".join(record(i // 4, i, reward=rewards[i % 4]) + "\n" for i in range(8))
    (files / "graded.jsonl").write_text(graded)
    done = run("triage", "graded.jsonl", *MAP, "--json")
    assert "with --threshold" in told(done, 0)
    assert json.loads(done.stdout)["n_unscored"] == 6
    found = json.loads(run("triage", "graded.jsonl", *MAP, "--threshold", 0.5, "--json").stdout)
    assert (found["n_success"], found["n_failure"], found["n_unscored"]) == (6, 2, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--map", "task"), "--map: expected pairs OUR=THEIRS"),
        (("--map", "tusk=question"), "--map: expected fields among task, answer"),
        (("--map", "task=nothing"), "good.jsonl:1: expected a task in column 'nothing'"),
        ((*MAP, "--p0", "2"), "--p0: expected a rate in [0, 1]"),
        ((*MAP, "--p0", "-0.1"), "--p0: expected a rate in [0, 1]"),
        ((*MAP, "--p0", "nan"), "--p0: expected a rate in [0, 1]"),
        ((*MAP, "--p0", "often"), "--p0: expected a rate in [0, 1]"),
        ((*MAP, "--p0", "good.jsonl"), "--p0: expected a rate in [0, 1]"),
        ((*MAP, "--p0", "rates.json"), "1.5 for task 'q1' in rates.json"),
        ((*MAP, "--p0", "others.json"), "expected p0 for tasks of this input"),
        ((*MAP, "--band", "0.5"), "--band: expected two solve rates"),
        ((*MAP, "--band", "0.8,0.2"), "--band: expected two solve rates"),
        ((*MAP, "--band", "nan,nan"), "--band: expected two solve rates"),
        ((*MAP, "--threshold", "nan"), "--threshold: expected a number"),
        ((*MAP, "--rule", "nothing"), "--rule: expected an importable function"),
        ((*MAP, "--rule", "os:nothing"), "--rule: expected an importable function"),
        ((*MAP, "--rule", "os:path"), "it is not a function"),
        ((*MAP, "--rule", "broken_rule:rule"), "invalid syntax"),
        ((*MAP, "--rule", "raising_rule:rule"), "KeyError: 'nothing'"),
        (("--format", "tau_bnch"), "Did you mean tau_bench?"),
        (("--format", "tau_bench"), "good.jsonl:1: expected"),
        ((*MAP, "--outcomes", "nothing.csv"), "nothing.csv: expected a readable file"),
        ((*MAP, "--out", "good.jsonl"), "good.jsonl: expected a folder that can be written to"),
        ((*MAP, "--counts-only", "extra.jsonl"), "--counts-only, got 2 inputs"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else "",
)
def test_options_that_cannot_be_used(
    run: Run, files: Path, options: tuple[str, ...], said: str
) -> None:
    (files / "rates.json").write_text('{"q0": 0.1, "q1": 1.5}')
    (files / "others.json").write_text('{"elsewhere": 0.1}')
    (files / "broken_rule.py").write_text("def rule(:\n")
    (files / "raising_rule.py").write_text("def rule(attempt):\n    return {}['nothing']\n")
    assert said in told(run("triage", "good.jsonl", *options), 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("prove", "trial", "good.jsonl", *MAP, "--reference", "gpt"), "Choose one of: unknown"),
        (("report", "nowhere"), "Run twiceshy learn --out FOLDER first"),
        (("import", "good.jsonl", *MAP, "--out", "no/folder.jsonl"), "no/folder.jsonl: expected"),
        (("import", "good.jsonl", *MAP, "--out", "own.xlsx"), "ends in .jsonl, .jsonl.gz"),
        (("learn", "good.jsonl", *MAP, "--out", "empty.jsonl"), "a folder that can be written to"),
        (
            ("prove", "lessons", "good.jsonl", *MAP, "--checkpoint", "empty.jsonl/c"),
            "a checkpoint file that can be read and written",
        ),
        (
            ("prove", "lessons", "good.jsonl", *MAP, "--checkpoint", "."),
            "a checkpoint file that can be read and written",
        ),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else "",
)
def test_places_and_names_that_cannot_be_used(
    run: Run, files: Path, words: tuple[str, ...], said: str
) -> None:
    assert said in told(run(*words), 2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_permissions(run: Run, files: Path) -> None:
    (files / "good.jsonl").chmod(0)
    assert "permission denied" in told(run("triage", "good.jsonl", *MAP), 2).lower()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nothing",),
        ("triage",),
        ("triage", "--nothing"),
        ("learn", "good.jsonl", "--nulls", "-1"),
        ("learn", "good.jsonl", "--seed", "-1"),
        ("learn", "good.jsonl", "--seed", "many"),
        ("prove", "trial", "good.jsonl"),
    ],
    ids=" ".join,
)
def test_usage(run: Run, files: Path, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "Usage: " in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_users_own_rule_breaks_attempts(run: Run, files: Path) -> None:
    (files / "own_rules.py").write_text(
        "def rule(attempt):\n    if attempt.answer == 'a2':\n        return 'known to be wrong'\n"
    )
    found = json.loads(
        run("triage", "good.jsonl", *MAP, "--rule", "own_rules:rule", "--json").stdout
    )
    assert found["n_broken"] == 1
    assert found["broken"][0]["reason"] == "known to be wrong"


def test_a_failed_import_leaves_the_old_file(run: Run, files: Path) -> None:
    (files / "out.jsonl").write_text("what was there\n")
    told(run("import", "rubbish.bin", "--out", "out.jsonl"), 2)
    assert (files / "out.jsonl").read_text() == "what was there\n"
    assert not [path for path in files.iterdir() if ".part." in path.name]
