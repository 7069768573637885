"""Proof, in the environment that runs, that TRL trains by this package, and a look at its settings.

The plug overrides methods that TRL does not promise to keep. A version that calls them no longer
would train on, without an error and without what was asked for.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from math import isclose
from pathlib import Path
from typing import Any

from twiceshy.evidence.report import Alarm, Report
from twiceshy.integrations.checks import Check, checks_report
from twiceshy.integrations.trl.live import GROUP, N_STEPS
from twiceshy.integrations.trl.versions import NEWEST, OLDEST, check_version, is_tested

TIMEOUT_S = 180.0
"""How long the tiny trainings may take."""
TOLERANCE = 1e-6
"""Relative difference up to which two sums of weights, or norms of gradients, are the same."""
_LIVE = "twiceshy.integrations.trl.live"


def examine(config: str | Path | None = None, *, step: bool = True) -> Report:
    """Return a report that is `ok` only if TRL trains by the plug and the settings hold no trap.

    Args:
        config: Settings of a run, as JSON or YAML, checked as by `check_arguments`: those of a
            `GRPOConfig`, and under `outcomes` those of an `OutcomeConfig`.
        step: Whether to train a tiny model, in a process of its own and on the CPU.

    Raises:
        MissingExtra: If TRL is not installed.
        BadInput: If the settings cannot be read, or TRL refuses them.
    """
    checks = [_version(), _torch(), _vllm()]
    if step:
        checks += _in_fresh_process()
    alarms: list[Alarm] = []
    if config is not None:
        from twiceshy.integrations.trl.settings import check_file

        alarms = check_file(Path(config))
    tried = "TRL trains by twiceshy" if step else "TRL is there; no step was tried"
    return checks_report(
        checks,
        kind="doctor trl",
        title="TRL and twiceshy",
        all_well=f"{tried}{_of_settings(alarms) if config is not None else ''}.",
        alarms=alarms,
    )


def _of_settings(alarms: Sequence[Alarm]) -> str:
    n_traps = sum(each.severity == "alarm" for each in alarms)
    n_warnings = sum(each.severity == "warning" for each in alarms)
    return f"; the settings hold {n_traps} traps and give {n_warnings} warnings"


def _version() -> Check:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        seen = check_version()
    oldest, newest = (".".join(map(str, each)) for each in (OLDEST, NEWEST))
    fix = f"Tested: {oldest} to {newest}. The checks below say whether this one works."
    return Check("TRL's version", True if is_tested(seen) else None, seen, fix)


def _torch() -> Check:
    found = _installed("torch")
    return Check("torch", found is not None, found or "not installed", "Install torch.")


def _vllm() -> Check:
    """Look which vLLM there is, and what TRL says of it: it is optional, and TRL's own affair."""
    found = _installed("vllm")
    if found is None or find_spec("trl") is None:
        return Check("vLLM", None, found or "not installed")
    from trl.import_utils import is_vllm_available

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        is_vllm_available()
    told = "; ".join(str(each.message) for each in said)
    return Check("vLLM", None if told else True, f"{found}: {told}" if told else found)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _in_fresh_process() -> list[Check]:
    name, fix = "fresh process", f"Run: python -m {_LIVE}"
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", _LIVE],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        answer = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return [Check(name, False, f"no answer: {error}", fix)]
    if answer is None:
        told = done.stderr.strip().splitlines()
        return [Check(name, False, told[-1] if told else "no answer", fix)]
    return judged(answer)


def judged(answer: dict[str, Any]) -> list[Check]:
    """Return what the tiny trainings (`live.trained`) say."""
    missing = answer["missing"]
    about = f"all there (trl {answer['trl']}, torch {answer['torch']})"
    there = Check(
        "methods that the plug overrides",
        not missing,
        f"missing: {', '.join(missing)}" if missing else about,
        "Install a tested version of TRL.",
    )
    return [there] if missing else [there, _same(answer["runs"]), _its_own(answer["runs"])]


def _same(runs: dict[str, dict[str, Any]]) -> Check:
    """Check that ours, asked for GRPO, makes the same steps as TRL's own trainer."""
    name, (plain, ours) = "GRPO by the plug is TRL's GRPO", (runs["trl"], runs["grpo"])
    if not any(plain["grad_norm"]):
        return Check(name, False, "TRL's own trainer had no gradient", f"Run: python -m {_LIVE}")
    first, second = ([each["weights"], *each["grad_norm"], *each["loss"]] for each in (plain, ours))
    close = len(first) == len(second) and all(
        isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for a, b in zip(first, second, strict=True)
    )
    how = "to the bit" if first == second else "to rounding" if close else "NOT"
    told = f"weights {plain['weights']:.6f} and {ours['weights']:.6f}"
    found = f"{len(plain['loss'])} updates, losses and gradients the same {how}; {told}"
    return Check(name, close, found, "Install a tested version of TRL.")


def _its_own(runs: dict[str, dict[str, Any]]) -> Check:
    """Check that another objective is seen: NSR sees every attempt and makes other weights."""
    plain, nsr, expected = runs["trl"], runs["nsr"], 2 * GROUP * N_STEPS
    moved = not isclose(plain["weights"], nsr["weights"], rel_tol=TOLERANCE)
    judged, learned = (nsr[name] or 0 for name in ("n_judged", "n_learned"))
    found = (
        f"{judged:g} of {expected} attempts judged, {learned:g} seen in the loss; weights "
        f"{'other than' if moved else 'THE SAME as'} GRPO's"
    )
    ok = moved and judged == learned == expected
    return Check("NSR by the plug takes effect", ok, found, "Install a tested version of TRL.")
