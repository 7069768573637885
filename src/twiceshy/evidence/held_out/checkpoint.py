"""Finished null runs in a file of JSON lines, so that an interrupted proof goes on where it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from twiceshy.errors import BadInput
from twiceshy.evidence.tables import EventTable


class NullRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the whole procedure on labels shuffled within tasks; keys are arm names."""

    key: str
    """Hash of data and configuration; lines with another key are somebody else's."""
    run: int
    within: dict[str, float | None]
    """Tested on the shuffled labels: the null."""
    adjusted: dict[str, float | None]
    placebo: dict[str, float | None]
    """Mined on the shuffled labels, tested on the true ones: lessons about nothing."""
    placebo_adjusted: dict[str, float | None]
    n_selected: dict[str, float]


def run_key(table: EventTable, configuration: str) -> str:
    """Hash what the null runs depend on."""
    digest = hashlib.sha256(configuration.encode())
    for array in (table.present, table.failed, table.task, table.policy):
        digest.update(repr(array.shape).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:32]


def finished_runs(path: Path | None, key: str) -> dict[int, NullRun]:
    """Read the finished runs of this key; unreadable lines (a cut last one) are run again.

    Raises:
        BadInput: When the file cannot be read.
    """
    if path is None or not path.exists():
        return {}
    found: dict[int, NullRun] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise _unusable(path, error) from error
    for line in lines:
        try:
            run = msgspec.json.decode(line, type=NullRun)
        except msgspec.DecodeError:
            continue
        if run.key == key:
            found[run.run] = run
    return found


def append_run(path: Path | None, run: NullRun) -> None:
    """Add one finished run; a line cut by an interrupt is closed first.

    Raises:
        BadInput: When the file cannot be written.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.tell() > 0:
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(msgspec.json.encode(run) + b"\n")
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> BadInput:
    return BadInput(
        "a checkpoint file that can be read and written",
        got=(error.strerror or str(error)).lower(),
        where=str(path),
        fix="Name a file in a folder that can be written to.",
    )
