"""The doctor for TRL: what the tiny trainings say, by hand and for real, and settings as a file."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from trl_case import quiet
from typer.testing import CliRunner

from twiceshy.cli.app import app
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm
from twiceshy.integrations.trl import OutcomeMixin
from twiceshy.integrations.trl.doctor import examine, judged
from twiceshy.integrations.trl.live import METHODS
from twiceshy.integrations.trl.settings import check_file

pytestmark = quiet

STEPS = {"loss": [0.0, 0.1], "grad_norm": [0.5, 0.4], "weights": 100.0}
ANSWER: dict[str, Any] = {
    "trl": "1.16.0",
    "torch": "2.6",
    "missing": [],
    "runs": {
        "trl": {**STEPS, "n_judged": None, "n_learned": None},
        "grpo": {**STEPS, "n_judged": 64.0, "n_learned": 64.0},
        "nsr": {**STEPS, "weights": 101.0, "n_judged": 64.0, "n_learned": 64.0},
    },
}
GOOD = """
learning_rate: 1e-6
per_device_train_batch_size: 8
gradient_accumulation_steps: 2
steps_per_generation: 4
delta: 3.0
model_name_or_path: some/model
reward_funcs: [correct]
outcomes:
  labels: {reward: correct, success: 1, failure: 0}
  objective: {name: nsr}
  rows_counted: with_advantage
"""


def answered(*changed: tuple[str, str, Any]) -> list[bool | None]:
    answer = copy.deepcopy(ANSWER)
    for run, name, value in changed:
        answer["runs"][run][name] = value
    return [check.ok for check in judged(answer)]


def test_what_the_trainings_say_by_hand() -> None:
    assert answered() == [True, True, True]
    assert answered(("grpo", "weights", 100.0 + 1e-5)) == [True, True, True]  # 1e-7 of it
    assert answered(("grpo", "weights", 100.1)) == [True, False, True]
    assert answered(("grpo", "loss", [0.0, 0.2])) == [True, False, True]
    assert answered(("grpo", "grad_norm", [0.5])) == [True, False, True]
    # A plug that is not called: NSR makes TRL's own steps, and nothing is judged.
    assert answered(("nsr", "weights", 100.0), ("nsr", "n_judged", None)) == [True, True, False]
    assert answered(("nsr", "n_judged", 32.0)) == [True, True, False]
    assert answered(("nsr", "n_learned", None)) == [True, True, False]
    # Nothing is proven by two trainers that do not move.
    still = [(run, "grad_norm", [0.0, 0.0]) for run in ("trl", "grpo")]
    assert answered(*still) == [True, False, True]


def test_a_method_that_is_gone_is_named() -> None:
    (check,) = judged({"trl": "9", "torch": "2", "missing": ["_compute_loss"]})
    assert (check.ok, check.found) == (False, "missing: _compute_loss")


def test_the_methods_looked_for_are_those_overridden() -> None:
    from trl import GRPOTrainer

    own = {name for name, value in vars(OutcomeMixin).items() if callable(value)}
    assert {name for name in own if hasattr(GRPOTrainer, name)} - {"__init__"} == set(METHODS)


def test_this_trl_trains_by_the_plug() -> None:
    report = examine()
    checks = {check["name"]: check for check in report.numbers["checks"]}
    assert report.ok, checks
    assert "the same to the bit" in checks["GRPO by the plug is TRL's GRPO"]["found"]
    assert checks["NSR by the plug takes effect"]["found"].startswith(
        "64 of 64 attempts judged, 64 seen"
    )
    assert report.summary == ("TRL trains by twiceshy.",)


def test_a_process_that_does_not_answer_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twiceshy.integrations.trl.doctor._LIVE", "twiceshy.no_such_module")
    report = examine()
    assert not report.ok
    (alarm,) = report.alarms
    assert "No module named twiceshy.no_such_module" in alarm.message


def told(tmp_path: Path, text: str, *, name: str = "run.yaml") -> list[Alarm]:
    path = tmp_path / name
    path.write_text(text)
    return check_file(path)


def test_good_settings_are_passed_in_silence(tmp_path: Path) -> None:
    """A GPU's settings, bfloat16 by TRL's default, on a machine without one."""
    assert told(tmp_path, GOOD) == []


def test_traps_come_first_and_a_misspelt_name_is_one(tmp_path: Path) -> None:
    alarms = told(tmp_path, GOOD + "loss_type: cispo\nepsilon_hihg: 5.0\n")
    assert {each.name: each.severity for each in alarms} == {
        "epsilon_hihg": "alarm",
        "epsilon_high": "alarm",
    }
    assert "Did you mean epsilon_high?" in alarms[0].message
    (warning,) = told(tmp_path, GOOD + "off_policy_mask_threshold: 0.5\n")
    assert (warning.severity, warning.name) == ("warning", "off_policy_mask_threshold")


def test_json_and_no_outcomes(tmp_path: Path) -> None:
    alarms = told(tmp_path, '{"loss_type": "cispo", "delta": 3.0}', name="run.json")
    assert [each.name for each in alarms if each.severity == "alarm"] == ["epsilon_high"]
    assert (alarms[-1].name, alarms[-1].severity) == ("outcomes", "info")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "run.yaml",
            "outcomes: {labels: {reward: a, success: 1, failure: 0, sucess: 2}}",
            "succes",
        ),
        ("run.yaml", "outcomes: {labels: {reward: a, success: 0, failure: 0}}", "below success"),
        ("run.yaml", "outcomes: {objective: {name: nsr}}", "labels"),
        ("run.yaml", "outcomes: [nsr]", "settings by name"),
        ("run.yaml", "[1, 2]", "settings by name"),
        ("run.yaml", "a: [", "JSON or YAML"),
        ("run.json", "{", "JSON or YAML"),
        ("run.toml", "a = 1", "named .json, .yaml or .yml"),
        ("run.json", '{"num_generations": 1}', "settings that TRL takes"),
    ],
)
def test_what_cannot_be_read_is_bad_input(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        told(tmp_path, text, name=name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a file that can be read"):
        check_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(("more", "code"), [("", 0), ("loss_type: cispo\n", 1)])
def test_the_command_leaves_with_1_on_a_trap(tmp_path: Path, more: str, code: int) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(GOOD + more)
    words = ["doctor", "trl", str(path), "--no-step", "--json"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == code
    found = json.loads(done.stdout)
    assert found["ok"] is (code == 0)
    assert [check["name"] for check in found["checks"]] == ["TRL's version", "torch", "vLLM"]
    assert len(found["alarms"]) == code
