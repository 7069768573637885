"""Proof, in the environment that runs, that verl knows this package: here and in Ray's workers.

verl logs a plug-in that fails to load at DEBUG, and the run then stops at "Unknown advantage
estimator", or, with an estimator of verl's own, never uses what was installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from twiceshy.errors import MissingExtra
from twiceshy.evidence.report import Alarm, Report
from twiceshy.integrations.checks import Check, checks_report
from twiceshy.integrations.ray.session import imported_ray, ray_session
from twiceshy.integrations.verl.launch import check_overrides
from twiceshy.integrations.verl.probe import EXPECTED, probe
from twiceshy.integrations.verl.versions import NEWEST, OLDEST, check_version, is_tested

OBJECT_STORE_BYTES = 100 * 2**20
TIMEOUT_S = 300.0
"""How long a process may take to import verl and answer."""


def examine(overrides: Sequence[str] = (), *, workers: bool = True) -> Report:
    """Return a report that is `ok` only if every process asked has registered everything.

    Args:
        overrides: A verl command line's `key=value`, checked as in `launch.check_overrides`.
        workers: Whether to ask a Ray worker on every node: of the cluster in RAY_ADDRESS, else of a
            local Ray with one CPU, on loopback.

    Raises:
        MissingExtra: If verl is not installed.
        BadInput: If Ray does not start, or an override is none.
    """
    findings = check_overrides(overrides) if overrides else []
    checks = [_version(), _entry_point(), _policy(), _in_fresh_process(), _sampler()]
    if workers:
        checks += in_workers()
    return checks_report(
        checks,
        kind="doctor verl",
        title="verl and twiceshy",
        all_well="verl knows twiceshy in every process that was asked.",
        alarms=[
            Alarm(name=each.where, severity=each.severity, message=f"{each.where} {each.message}")
            for each in findings
        ],
    )


def in_workers() -> list[Check]:
    """Ask one worker on each node of Ray."""
    try:
        imported_ray("asking Ray's workers")
    except MissingExtra as error:
        return [Check("Ray worker", False, str(error.__cause__), error.fix)]
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    checks: list[Check] = []
    with ray_session(
        "asking Ray's workers",
        store_bytes=OBJECT_STORE_BYTES,
        n_cpus=1,
        instead="leave Ray out with --no-ray",
    ) as ray:
        asked = {}
        for node in (each for each in ray.nodes() if each["Alive"]):
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            remote = ray.remote(num_cpus=0)(probe)
            asked[node["NodeManagerAddress"]] = remote.options(
                scheduling_strategy=strategy, max_retries=0
            ).remote()
        for address, answer in asked.items():
            name = f"Ray worker on {address}"
            try:
                checks.append(judged(name, ray.get(answer, timeout=TIMEOUT_S)))
            except ray.exceptions.RayError as error:
                told = str(error).strip().splitlines()[-1]
                fix = "Install twiceshy and verl on that node, in the Python that Ray runs."
                checks.append(Check(name, False, told, fix))
    return checks


def _version() -> Check:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        seen = check_version()
    fix = f"Tested: {OLDEST} to {NEWEST}. The checks below say whether this one works."
    return Check("verl's version", True if is_tested(seen) else None, seen, fix)


def _entry_point() -> Check:
    found = [each.value for each in entry_points(group="verl.plugins") if each.name == "twiceshy"]
    fix = "Install twiceshy itself (pip install twiceshy): a path in PYTHONPATH has no entry point."
    return Check("entry point verl.plugins", bool(found), found[0] if found else "none", fix)


def _policy() -> Check:
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto")
    names = {name.strip().lower() for name in policy.split(",")}
    fix = "Unset VERL_USE_EXTERNAL_PLUGINS, or add twiceshy to it."
    return Check("VERL_USE_EXTERNAL_PLUGINS", bool(names & {"auto", "twiceshy"}), policy, fix)


def _in_fresh_process() -> Check:
    name = "fresh process"
    command = [sys.executable, "-W", "ignore", "-m", probe.__module__]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
        answer = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return Check(name, False, f"no answer: {error}", "Run: python -c 'import verl'")
    if answer is None:
        told = done.stderr.strip().splitlines()
        return Check(name, False, told[-1] if told else "no answer", "Run: python -c 'import verl'")
    return judged(name, answer)


def judged(name: str, answer: dict[str, Any]) -> Check:
    """Return what a process's answer to `probe.probe` says."""
    about = f"verl {answer['verl']}, twiceshy {answer['twiceshy']}, Python {answer['python']}"
    if answer["missing"]:
        why = answer["error"] or "the entry point was not loaded"
        fix = "Put right what is named; verl itself logs it at DEBUG only."
        return Check(name, False, f"{len(answer['missing'])} names missing: {why}", fix)
    if answer["advantages"] != EXPECTED:
        return Check(name, False, f"advantages {answer['advantages']}", f"Expected {EXPECTED}.")
    return Check(name, True, f"registered and answering ({about})")


def _sampler() -> Check:
    """Look whether the optional sampler could be used: it needs TransferQueue."""
    found = find_spec("transfer_queue") is not None
    fix = "Only for the sampler KeepAllWrong: pip install TransferQueue"
    return Check("TransferQueue", found or None, "installed" if found else "not installed", fix)
