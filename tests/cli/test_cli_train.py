"""`twiceshy train` and `twiceshy reproduce`: what they print, refuse, and survive."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from twiceshy.cli import reproduce
from twiceshy.evidence.report import Report
from twiceshy.training.checkpoint import load_policy, save_policy
from twiceshy.training.policy import PolicyConfig, TinyPolicy
from twiceshy.training.sft import untrained
from twiceshy.training.tasks import Change

Run = Callable[..., subprocess.CompletedProcess[str]]

COMMAND = str(Path(sys.executable).with_name("twiceshy"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
PATIENCE_SECONDS = 60

TINY = """
base = "none"

[task]
name = "change"
n_coins = 2

[model]
width = 16
n_layers = 1
n_heads = 2

[sft]
n_steps = 30
batch = 32

[rl]
n_prompts = 30
prompts_per_step = 4
group_size = 4
n_steps = 6
checkpoint_every = 3

[evaluation]
every = 3
n_prompts = 12
n_samples = 16
ks = [1, 8, 16]

[stop]
malformed = 1.0
length_low = 0.0
accuracy_drop = 1.0
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Check that this is an error the user can mend; return it."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("twiceshy: ")
    assert "expected" in done.stderr
    return done.stderr


def test_what_it_prints_and_writes(run: Run, config: Path) -> None:
    done = run("train", "--config", config, "--objective", "nsr", "--out", "out")
    assert done.returncode in (0, 1), done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("pass@1 went from 0.")
    assert "12 unseen prompts, 16 responses each" in lines
    assert any("before, step 0" in each and "after, step 6" in each for each in lines)
    assert "during, step 3" in done.stdout
    for row in ("pass@1 ", "pass@8 ", "pass@16 ", "entropy", "distinct"):
        assert any(each.startswith(row) for each in lines), row
    assert lines[-2:] == ["Picture: out/curve.png", "Details: out"]
    assert max(map(len, lines)) <= 80
    assert Path("out/curve.png").read_bytes().startswith(b"\x89PNG")
    made = load_policy(Path("out/policy.pt"))
    assert made.about == {"task": "change", "objective": "nsr", "base": "none", "seed": "0"}
    manifest = json.loads(Path("out/manifest.json").read_bytes())
    assert manifest["config"]["objective"]["name"] == "nsr"
    assert manifest["config"]["sft"]["n_steps"] == 30
    assert manifest["config"]["rl"]["learning_rate"] == 3e-5, "defaults are filled in"
    assert (manifest["n_steps"], manifest["n_rollouts"]) == (6, 96)
    assert manifest["n_evaluated_responses"] == 3 * 12 * 16
    assert set(manifest["cpu_seconds"]) == {"base policy", "rollouts", "updates", "evaluation"}
    again = run("train", "--config", config, "--objective", "nsr", "--out", "out")
    assert again.stdout == done.stdout


def test_json_and_a_saved_policy_as_the_next_base(run: Run, config: Path) -> None:
    one = run("train", "--config", config, "--out", "one", "--json", "--seed", "3")
    first = json.loads(one.stdout)
    assert first["kind"] == "train"
    assert first["manifest"]["seed"] == 3
    assert first["before"]["step"] == 0
    assert first["after"]["pass_at"][0]["n_prompts"] == 12
    assert first["change"]["pass@8"]["n_tasks"] == 12
    assert [each["step"] for each in first["path"]] == [0, 3, 6]
    bare = TINY.split("[model]")[0] + "[rl]" + TINY.split("[rl]")[1]
    config.write_text(bare.replace('base = "none"', ""))
    words = ("--base", "one/policy.pt", "--set", "rl.n_steps=0", "--json")
    two = run("train", "--config", config, *words)
    second = json.loads(two.stdout)
    assert second["manifest"]["base"] == "one/policy.pt"
    assert second["before"]["pass_at"] == first["after"]["pass_at"]
    assert Path("twiceshy-train/change-grpo-0/curve.png").exists(), "the default folder"


def test_a_rule_that_stops_the_run_is_exit_code_1(run: Run, config: Path) -> None:
    done = run("train", "--config", config, "--set", "stop.malformed=0.0", "--out", "out")
    assert done.returncode == 1, done.stderr
    assert "A rule stopped it at step 1 of 6: malformed attempts:" in " ".join(done.stdout.split())
    assert "ALARM: malformed attempts" in done.stdout
    shown = json.loads(
        run(
            "train", "--config", config, "--set", "stop.malformed=0.0", "--out", "out", "--json"
        ).stdout
    )
    assert shown["stopped_by"]["name"] == "malformed attempts"
    assert shown["ok"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "countdwon"), "Did you mean countdown?"),
        (("--objective", "w_reinforced"), "Did you mean w_reinforce or reinforce?"),
        (("--set", "objective.loss=ppo"), "Did you mean ppo_clip?"),
        (("--set", "objective.credit=entropy"), "Did you mean top_entropy?"),
        (("--set", "objective.all_wrong=dorp"), "objective.all_wrong"),
        (("--objective", "grpo", "--set", "rl.group_size=1"), "at least 2 attempts"),
        (("--set", "rl.n_step=5"), "Did you mean n_steps?"),
        (("--set", "stop.malformd=0.5"), "Did you mean malformed?"),
        (
            ("--objective", "w_reinforce", "--set", "objective.options.lambda_pos=7"),
            "a number from 0 to 1, got 7",
        ),
        (
            ("--objective", "w_reinforce", "--set", "objective.options.lambda_pos=nan"),
            "a number from 0 to 1, got nan",
        ),
        (("--set", "objective.guards.drift=0.5"), "rl.update.n_minibatches"),
        (("--set", "rl.n_steps"), "--set: expected KEY=VALUE"),
        (("--set", "rl.n_steps=[5"), "--set: expected KEY=VALUE"),
        (("--gate", "fronteir"), "Did you mean frontier?"),
        (("--objective", "luck_capped"), 'kind = "frontier"'),
        (("--base", "countdown-week"), "Did you mean countdown-weak"),
        (("--base", "chain"), "a policy for the task countdown"),
        (("--base", "chain", "--set", "model.width=32"), "no [model] and no [sft]"),
        (("--config", "absent.toml"), "absent.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused(run: Run, words: tuple[str, ...], message: str) -> None:
    assert message in told(run("train", *words))
    assert not Path("twiceshy-train").exists() or not any(Path("twiceshy-train").glob("*/*"))


def test_a_dataset_is_checked_by_name(run: Run) -> None:
    pytest.importorskip("reasoning_gym")
    assert "Did you mean chain_sum" in told(run("train", "--task", "chain_sums"))
    named = told(run("train", "--task", "chain_sum", "--set", "task.options.max_term=2"))
    assert "task.options" in named


def test_a_policy_with_nan_weights_is_refused_before_it_trains(run: Run, tmp_path: Path) -> None:
    policy = untrained(Change(), config=PolicyConfig(width=16, n_layers=1, n_heads=2), seed=0)
    with torch.no_grad():
        policy.head.weight[0, 0] = float("nan")
    save_policy(tmp_path / "nan.pt", policy, about={"task": "change"})
    shown = told(run("train", "--task", "change", "--base", "nan.pt", "--out", "out"))
    assert "nan.pt: expected finite weights" in shown
    assert not Path("out/metrics.jsonl").exists()


def test_nan_log_probabilities_during_a_run_are_an_error_without_traceback(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = TinyPolicy.logp

    def diverged(self: TinyPolicy, *tensors: torch.Tensor, prompt_of: torch.Tensor) -> torch.Tensor:
        return plain(self, *tensors, prompt_of=prompt_of) * float("nan")

    run("train", "--config", config, "--set", "rl.n_steps=0", "--out", "out")  # makes the base
    monkeypatch.setattr(TinyPolicy, "logp", diverged)
    shown = told(run("train", "--config", config, "--set", "seed=0", "--out", "out2"))
    assert "logp: expected finite log-probabilities" in shown or "finite loss" in shown


def test_without_torch_it_says_what_to_install(tmp_path: Path) -> None:
    script = "import sys; sys.modules['torch'] = None; import twiceshy.cli as c; c.main()"
    for words in (
        ["train", "--task", "countdown"],
        ["reproduce", "over-hard"],
        ["reproduce", "teacher-context"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 2, done.stderr
        assert 'pip install "twiceshy[torch]"' in done.stderr
        assert "Traceback" not in done.stderr


def n_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def ended_by(sent: signal.Signals, words: list[str], *, metrics: Path, after: int) -> str:
    """Start the command, send it a signal once it has written enough lines; return its stderr."""
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as running:
        limit = time.monotonic() + PATIENCE_SECONDS
        while running.poll() is None and n_lines(metrics) < after:
            assert time.monotonic() < limit
            time.sleep(0.002)
        running.send_signal(sent)
        told = running.communicate(timeout=PATIENCE_SECONDS)[1]
        assert running.returncode == (130 if sent is signal.SIGINT else -sent), told
    return told


def test_killed_at_a_random_step_it_ends_bit_identical(
    run: Run, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted by Ctrl-C, then killed by the kernel, then let run to its end."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # the command then takes one thread
    n_steps = 80
    words = ["train", "--config", str(config), "--set", f"rl.n_steps={n_steps}", "--out"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(*words, whole)
    assert n_lines(whole / "metrics.jsonl") == n_steps + 1
    first = random.Random().randint(1, 40)
    command, metrics = [COMMAND, *words, str(broken)], broken / "metrics.jsonl"
    shown = ended_by(signal.SIGINT, command, metrics=metrics, after=first)
    assert "Traceback" not in shown
    assert f"Go on with: twiceshy train --config {config}" in shown
    assert "a checkpoint is kept" in shown
    reached = n_lines(metrics)
    assert reached < n_steps
    ended_by(signal.SIGKILL, command, metrics=metrics, after=min(reached + 10, n_steps - 15))
    done = run(*words, broken)
    assert done.returncode in (0, 1), done.stderr
    assert metrics.read_bytes() == (whole / "metrics.jsonl").read_bytes(), f"stopped at {first}"
    assert (broken / "curve.png").read_bytes() == (whole / "curve.png").read_bytes()
    one, other = (load_policy(each / "policy.pt").policy for each in (whole, broken))
    assert torch.equal(one.head.weight, other.head.weight)


class TestReproduce:
    def test_an_unknown_study(self, run: Run) -> None:
        assert "Did you mean over-hard?" in told(run("reproduce", "overhard"))

    def test_a_study_is_one_line(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[tuple[object, ...]] = []

        def study(
            folder: Path, *, quick: bool, processes: int, progress: Callable[[int, int, str], None]
        ) -> Report:
            progress(1, 2, "one")
            seen.append((folder, quick, processes))
            return Report(kind="reproduce", title="A study", summary=("It held.",), ok=False)

        monkeypatch.setattr(sys.modules[__name__], "study", study, raising=False)
        monkeypatch.setitem(reproduce.STUDIES, "mine", f"{__name__}:study")
        done = run("reproduce", "mine", "--quick", "--processes", "1")
        assert done.returncode == 1, done.stderr
        assert done.stdout.splitlines()[0] == "It held."
        assert done.stdout.splitlines()[-1] == "Details: twiceshy-reproduce/mine-quick"
        assert seen == [(Path("twiceshy-reproduce/mine-quick"), True, 1)]
        shown = run("reproduce", "mine", "--out", "there", "--json")
        assert json.loads(shown.stdout)["manifest"]["inputs"] == ["mine"]
