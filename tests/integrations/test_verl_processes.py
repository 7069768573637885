"""Whole processes: the doctor, in a fresh process and in a Ray worker, and the example's two steps.

The entry point is read from pyproject.toml and put on the path as an installed package's metadata,
so that what is tested is this checkout, however it was installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLDEST = Path(sys.prefix) / "verl-oldest"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the metadata that an installed twiceshy has."""
    text = (ROOT / "pyproject.toml").read_text()
    points = tomllib.loads(text)["project"]["entry-points"]["verl.plugins"]
    folder = tmp_path_factory.mktemp("metadata")
    about = folder / "twiceshy-0.0.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: twiceshy\nVersion: 0.0.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join(["[verl.plugins]", *lines, ""]))
    return str(folder)


def run(
    *command: str, path: list[str], extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **(extra or {}), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    env["PYTHONPATH"] = os.pathsep.join([*path, str(ROOT / "src")])
    env.pop("RAY_ADDRESS", None)

    def once() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "ignore", *command],
            env=env, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    done = once()
    return once() if "timed out during startup" in done.stderr else done  # Ray waits for 30 s only


def doctor(*arguments: str, path: list[str], extra: Mapping[str, str] | None = None) -> Any:
    code = "from twiceshy.cli import main; main()"
    done = run("-c", code, "doctor", "verl", "--json", *arguments, path=path, extra=extra)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    return done.returncode, told, {check["name"]: check for check in told["checks"]}


def test_the_doctor_proves_registration_in_a_fresh_process_and_in_a_ray_worker(
    installed: str,
) -> None:
    code, told, checks = doctor(path=[installed])
    assert (code, told["ok"], told["n_failed"]) == (0, True, 0)
    assert checks["fresh process"]["ok"] is True
    (worker,) = [check for name, check in checks.items() if name.startswith("Ray worker")]
    assert (worker["name"], worker["ok"]) == ("Ray worker on 127.0.0.1", True)
    assert "verl 0.9.1" in worker["found"]


def test_the_oldest_version_stated_registers_and_answers(installed: str) -> None:
    assert OLDEST.is_dir(), "make test installs verl 0.9.0 there"
    done = run("-m", "twiceshy.integrations.verl.probe", path=[str(OLDEST), installed])
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["verl"], told["missing"]) == ("0.9.0", [])
    assert told["advantages"] == [[0.0, 0.5], [-1.0, 0.0], [0.0, 0.0]]


@pytest.mark.slow
def test_the_doctor_says_why_nothing_is_registered(installed: str) -> None:
    off = {"VERL_USE_EXTERNAL_PLUGINS": "none"}
    line = ["algorithm.adv_estimator=twiceshy_nsr", "algorithm.filter_groups.enable=True"]
    code, told, checks = doctor("--no-ray", *line, path=[installed], extra=off)
    assert (code, told["ok"]) == (1, False)
    assert checks["VERL_USE_EXTERNAL_PLUGINS"]["ok"] is False
    assert "names missing: the entry point was not loaded" in checks["fresh process"]["found"]
    alarms = {alarm["name"]: alarm["severity"] for alarm in told["alarms"]}
    assert alarms["algorithm.filter_groups.enable"] == "alarm"


def test_the_example_learns_from_failures_in_two_steps_where_grpo_stands_still(
    installed: str,
) -> None:
    done = run("examples/verl_tiny.py", "twiceshy_nsr", "grpo", path=[installed])
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) == 4, done.stderr
    nsr, plain = steps[:2], steps[2:]
    assert [step["gradient_norm"] > 0.1 for step in nsr] == [True, True]
    assert (plain[0]["success"], plain[0]["failure"], plain[0]["broken"]) == (0, 24, 8)
    assert plain[0]["gradient_norm"] == 0


@pytest.mark.slow
def test_a_sampler_on_a_real_queue_drops_right_groups_and_renames_rows(installed: str) -> None:
    done = run("tests/integrations/verl_queue.py", path=[installed])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    kept = {key.split("_")[0] for key in told["keys"]}
    assert kept == {"wrong", "mixed", "new0", "new1"}
    assert told["uids"] == told["keys"]
    assert told["metrics"]["training/filter_groups/evicted_samples"] == 1
