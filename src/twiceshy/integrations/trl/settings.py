"""Settings of a run as a file, checked before anything is started.

loss_type: cispo             # of a GRPOConfig, as in the YAML files that TRL itself takes
num_generations: 8
outcomes:                    # of an OutcomeConfig
labels: {reward: correct, success: 1, failure: 0}
objective: {name: nsr}
"""

from __future__ import annotations

import difflib
import re
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm
from twiceshy.integrations.trl.config import LabelRule, OutcomeConfig
from twiceshy.integrations.trl.startup import Finding, check_arguments
from twiceshy.training.config import config_of

_EXPONENT = re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+")
"""What YAML 1.1 takes for a word: 1e-6."""
_SCRIPTS_OWN = ("reward_funcs", "reward_model_name_or_path")
"""Of TRL's own script, beside its `ScriptArguments`."""


def check_file(path: Path) -> list[Alarm]:
    """Return what is to be said of a file of settings, the traps first.

    A trap, and a name that nothing of TRL has, is an alarm. Without `outcomes` those of an
    `OutcomeConfig` are at their defaults.

    Args:
        path: JSON (`.json`) or YAML (`.yaml`, `.yml`).

    Raises:
        BadInput: It cannot be read, TRL refuses a setting, or one of `outcomes` is wrong.
    """
    raw = _read(path)
    told = raw.pop("outcomes", None)
    if told is not None and not isinstance(told, dict):
        raise BadInput("settings by name", got=str(told), where=f"{path}: outcomes")
    known, unknown = _sorted_out(raw)
    if told is None:
        outcomes = OutcomeConfig(labels=LabelRule(reward="", success=1, failure=0))
        message = "outcomes is not in the file: checked as at OutcomeConfig's defaults."
        unknown.append(Alarm(name="outcomes", severity="info", message=message))
    else:
        outcomes = config_of(told, OutcomeConfig, where=f"{path}: outcomes")
    found = check_arguments(_grpo_config(known, where=str(path)), outcomes)
    alarms = [*unknown, *map(_alarm, found)]
    return sorted(alarms, key=lambda each: ("alarm", "warning", "info").index(each.severity))


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BadInput("a file that can be read", got=str(error), where=str(path)) from error
    try:
        if path.suffix == ".json":
            raw = msgspec.json.decode(text)
        elif path.suffix in (".yaml", ".yml"):
            raw = _numbers(msgspec.yaml.decode(text))
        else:
            raise BadInput("a file named .json, .yaml or .yml", got=path.name, where=str(path))
    except msgspec.DecodeError as error:
        raise BadInput("JSON or YAML", got=str(error), where=str(path)) from error
    if not isinstance(raw, dict):
        raise BadInput("settings by name", got=type(raw).__name__, where=str(path))
    return raw


def _numbers(value: Any) -> Any:
    """Return a value of a YAML file with 1e-6 as a number, which is what was meant."""
    if isinstance(value, dict):
        return {key: _numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_numbers(each) for each in value]
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _sorted_out(raw: dict[str, Any]) -> tuple[dict[str, Any], list[Alarm]]:
    """Return the settings of a GRPOConfig, and an alarm for each name that nothing of TRL has."""
    from trl import GRPOConfig, ModelConfig, ScriptArguments

    ours = {each.name for each in fields(GRPOConfig)}
    others = {each.name for kind in (ModelConfig, ScriptArguments) for each in fields(kind)}
    others |= set(_SCRIPTS_OWN)
    alarms: list[Alarm] = []
    for name in raw:
        if name not in ours | others:
            near = difflib.get_close_matches(name, sorted(ours), n=1)
            fix = f"Did you mean {near[0]}?" if near else "Leave it out."
            message = f"{name} is no setting of this TRL's GRPOConfig. {fix}"
            alarms.append(Alarm(name=name, severity="alarm", message=message))
    return {name: value for name, value in raw.items() if name in ours}, alarms


def _grpo_config(settings: dict[str, Any], *, where: str) -> Any:
    """Return the settings as a GRPOConfig, also those of a GPU where there is none."""
    import torch
    from trl import GRPOConfig

    on_cpu = settings.get("use_cpu", False)
    without = not torch.cuda.is_available()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = GRPOConfig(**(settings | {"use_cpu": True} if without else settings))
    except (TypeError, ValueError) as error:
        told = str(error).strip()
        raise BadInput("settings that TRL takes", got=told, where=where) from error
    made.use_cpu = on_cpu
    return made


def _alarm(finding: Finding) -> Alarm:
    severity = "alarm" if finding.severity == "trap" else "warning"
    return Alarm(name=finding.where, severity=severity, message=str(finding), source="ours")
