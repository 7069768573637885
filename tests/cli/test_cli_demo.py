from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow  # the whole flow with a hundred shuffled runs
def test_the_demo_tells_everything(run: Run, tmp_path: Path) -> None:
    done = run("demo", "--json", "--out", "found")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (
        found["triage"]["n_attempts"]
        == found["triage"]["n_success"] + (found["triage"]["n_failure"])
    )
    assert found["lessons"]["n_claimed"] > 0
    assert found["held_out"]["null"]["n"] == 100
    assert found["held_out"]["holds"] is True
    arms = found["trial"]["arms"]
    assert {"none", "placebo", "success_only", "failure_only", "both"} <= set(arms)
    assert arms["none"]["difference"] is None
    for name in ("success_only", "failure_only", "both"):
        assert arms[name]["difference"]["low"] > 0, name
        assert arms[name]["n_attempts"] == 400
    low, high = (arms["placebo"]["difference"][end] for end in ("low", "high"))
    assert low < 0 < high, "text that says nothing changes nothing"
    page = (tmp_path / "found/report.html").read_text()
    assert "placebo" in page
    lessons = (tmp_path / "found/lessons.jsonl").read_bytes().splitlines()
    assert len(lessons) == len(found["lessons"]["lessons"]) + found["lessons"]["n_demonstrations"]
