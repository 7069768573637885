"""Labels for coding agents, from the SWE-bench report beside or above a trajectory.

A trajectory says how a run ended, never whether the patch was right. That is in a report: one per
instance (`report.json`, `{instance: {"resolved": true, ...}}`) or one per run (`results.json` or
`<model>.<run>.json`, with `resolved_ids`, `unresolved_ids`, `error_ids`, ...).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from twiceshy.attempts.readers import parts
from twiceshy.attempts.readers.parts import Record
from twiceshy.attempts.readers.verdicts import broken, unscored
from twiceshy.attempts.types import Outcome, Unreadable, Verdict

NO_REPORT = "no SWE-bench report found beside or above the trajectory"
_LEVELS = 3
_MAX_OTHER_FILES = 50
_PLAIN = re.compile(r"[\w.\-]{1,200}")
_FAILED = ("unresolved_ids", "unresolved", "empty_patch_ids", "no_generation", "generated")


class _File(NamedTuple):
    path: Path
    changed_ns: int


def swebench_verdict(trajectory: Path, *, instance: str) -> Verdict:
    """Return what the nearest report says of an instance.

    A report for the instance itself goes before one for the run, and a nearer folder before one
    further up (three levels). An instance that the evaluation could not run is `broken`, one that
    no report lists is `unscored`.
    """
    for file in _candidates(trajectory, instance=instance):
        record = _read(file)
        verdict = _of_instance(record, file=file, instance=instance)
        if verdict is None:
            verdict = _of_run(record, file=file, instance=instance)
        if verdict is not None:
            return verdict
    return unscored(NO_REPORT)


def predicted_by(trajectory: Path, *, instance: str) -> str | None:
    """Return the model's name from the `preds.json` beside or above, when it lists the instance."""
    for folder in _folders(trajectory):
        file = folder / "preds.json"
        if file.is_file():
            entry = parts.as_dict(_read(file).get(instance))
            if name := parts.as_text(entry.get("model_name_or_path")):
                return name
    return None


def _folders(trajectory: Path) -> list[Path]:
    parents = trajectory.absolute().parents
    return [parents[level] for level in range(min(_LEVELS, len(parents)))]


def _candidates(trajectory: Path, *, instance: str) -> Iterator[Path]:
    own = trajectory.absolute()
    for folder in _folders(trajectory):
        places = _places(folder, instance=instance)
        yield from (path for path in places if path != own and path.is_file())


def _places(folder: Path, *, instance: str) -> Iterator[Path]:
    yield folder / "report.json"
    if _PLAIN.fullmatch(instance):
        yield folder / instance / "report.json"
        yield folder / "logs" / instance / "report.json"
        yield from _evaluations(folder, instance=instance)
    yield folder / "results.json"
    yield folder / "results" / "results.json"
    yield folder / "preds.json"
    yield from _other_reports(folder)


def _evaluations(folder: Path, *, instance: str) -> list[Path]:
    """Return the harness's `logs/run_evaluation/<run>/<model>/<instance>/report.json`."""
    root = folder / "logs" / "run_evaluation"
    if not root.is_dir():
        return []
    found = (model / instance / "report.json" for run in _dirs(root) for model in _dirs(run))
    return [path for path in found if path.is_file()]


def _dirs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _other_reports(folder: Path) -> list[Path]:
    """Return `<model>.<run>.json` files, known by the count they begin with."""
    files = sorted(path for path in folder.glob("*.json") if ".traj" not in path.name)
    return [path for path in files[:_MAX_OTHER_FILES] if path.is_file() and _is_report(path)]


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b'"total_instances"' in file.read(200)
    except OSError:
        return False


def _read(path: Path) -> Record:
    try:
        return _load(_File(path, path.stat().st_mtime_ns))
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _load(file: _File) -> Record:
    found = parts.decode(file.path.read_bytes(), where=str(file.path))
    return {} if isinstance(found, Unreadable) else found


def _of_instance(record: Record, *, file: Path, instance: str) -> Verdict | None:
    entry = parts.as_dict(record.get(instance))
    resolved = entry.get("resolved")
    if not isinstance(resolved, bool):
        return None
    if isinstance(entry.get("error"), str):
        return _not_evaluated(f"evaluation error: {parts.first_line(entry['error'])}", file=file)
    applied = entry.get("patch_successfully_applied")
    note = ", the patch did not apply" if applied is False else ""
    return _judged(resolved, evidence=f"{file.name}: resolved={resolved}{note}")


def _of_run(record: Record, *, file: Path, instance: str) -> Verdict | None:
    if instance in _ids(record, "resolved_ids", "resolved"):
        return _judged(True, evidence=f"{file.name}: resolved")
    if instance in _ids(record, "error_ids"):
        return _not_evaluated("the evaluation of the patch ended in an error", file=file)
    for key in _FAILED:
        if instance in _ids(record, key):
            return _judged(False, evidence=f"{file.name}: {key.removesuffix('_ids')}")
    return None


def _ids(record: Record, *keys: str) -> list[Any]:
    return [one for key in keys for one in parts.as_list(record.get(key))]


def _judged(resolved: bool, *, evidence: str) -> Verdict:
    outcome = Outcome.SUCCESS if resolved else Outcome.FAILURE
    return Verdict(outcome=outcome, source="test", evidence=evidence)


def _not_evaluated(reason: str, *, file: Path) -> Verdict:
    recorded = _judged(False, evidence=file.name)
    return broken("checker_error", reason=reason, recorded=recorded)
