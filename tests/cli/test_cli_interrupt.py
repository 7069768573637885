"""Ctrl-C in a real process: what stays, and what the next run makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("twiceshy"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
PATIENCE_SECONDS = 60
FINAL_NAMES = {"attempts.csv", "groups.csv", "triage.json", "shuffled-runs.jsonl"}


def n_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def interrupted(words: list[str], *, when: Callable[[], bool]) -> subprocess.CompletedProcess[str]:
    """Start the command, send it SIGINT as soon as `when` holds, and wait for its end."""
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as running:
        limit = time.monotonic() + PATIENCE_SECONDS
        while running.poll() is None and not when():
            assert time.monotonic() < limit
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        out, told = running.communicate(timeout=PATIENCE_SECONDS)
    return subprocess.CompletedProcess(words, running.returncode, out, told)


def whole_lines(path: Path) -> list[int]:
    """Return the numbers of the finished runs in a checkpoint, whose last line may be cut."""
    lines = path.read_bytes().split(b"\n")
    return [json.loads(line)["run"] for line in lines[:-1] if line]


@pytest.mark.parametrize("nulls", [60, pytest.param(400, marks=pytest.mark.slow)])
def test_a_proof_goes_on_where_it_was(tau_file: Path, tmp_path: Path, nulls: int) -> None:
    # 400 shuffled runs, twice, take most of a minute
    checkpoint = tmp_path / "runs.jsonl"
    words = [COMMAND, "prove", "lessons", str(tau_file), "--nulls", str(nulls), "--json"]
    resumable = [*words, "--checkpoint", str(checkpoint)]
    stopped = interrupted(resumable, when=lambda: n_lines(checkpoint) >= 5)
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stdout == ""
    assert "twiceshy: stopped." in stopped.stderr
    assert "a checkpoint is kept" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    kept = whole_lines(checkpoint)
    assert 5 <= len(kept) < nulls
    before = checkpoint.read_bytes()

    resumed = subprocess.run(resumable, capture_output=True, text=True, env=ENVIRONMENT)
    assert resumed.returncode == 0, resumed.stderr
    assert checkpoint.read_bytes().startswith(before[: before.rindex(b"\n") + 1])
    assert sorted(whole_lines(checkpoint)) == list(range(nulls)), "each run was made exactly once"
    straight = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT)
    found, expected = json.loads(resumed.stdout), json.loads(straight.stdout)
    assert found.pop("manifest")["n_null"] == expected.pop("manifest")["n_null"] == nulls
    assert found == expected


def test_an_interrupted_study_leaves_only_whole_files(tau_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    words = [COMMAND, "learn", str(tau_file), "--out", str(folder), "--nulls", "20", "--json"]
    stopped = interrupted(words, when=lambda: n_lines(folder / "shuffled-runs.jsonl") >= 3)
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert {path.name for path in folder.iterdir()} <= FINAL_NAMES
    json.loads((folder / "triage.json").read_bytes())
    assert (folder / "attempts.csv").read_bytes().count(b"\n") == 201
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["held_out"]["null"]["n"] == 20
    assert {"report.html", "report.json", "lessons.jsonl"} <= {p.name for p in folder.iterdir()}
    assert not (folder / "shuffled-runs.jsonl").exists()
