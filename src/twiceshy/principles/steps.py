"""The step file: every call with its answer, one JSON line each, so that none is paid for twice.

A line is written, and handed to the system, as soon as its answer is there. A process that is
killed loses the calls in flight and nothing else; a line cut in half is dropped and counted.
Entries are found by what was asked of which model, so a run with other settings asks anew and uses
what it can. Answers that never came (time-outs, limits) are kept to be looked at, and asked again.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from twiceshy.errors import BadInput
from twiceshy.models import Completion, Request
from twiceshy.principles.types import hash_of


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call."""

    step: str
    """What it was for: "induce", "low_level", "high_level", a gate's name, …"""
    key: str
    """Which one: an example with its sample, a mistake, a principle."""
    id: str
    """Hash of the model's name and the request."""
    request: Request
    completion: Completion


class StepFile:
    """Calls on disk, appended as they come. Close it, or use it in a `with`.

    Args:
        path: A JSONL file; None keeps the steps in memory only.

    Raises:
        BadInput: The file cannot be written, or is not a step file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.steps: list[Step] = []
        self.n_loaded = 0
        """Calls of earlier runs."""
        self.n_torn = 0
        """Lines that were cut in half when an earlier run was killed: 0 or 1."""
        self._known: dict[str, Completion] = {}
        self._file: IO[bytes] | None = None
        if path is not None:
            self._open(path)

    def find(self, request: Request, *, model: str) -> Completion | None:
        """Return the answer this model gave to this request before, if any."""
        return self._known.get(step_id(request, model=model))

    def add(self, step: Step) -> None:
        """Keep a call."""
        self._keep(step)
        if self._file is not None:
            self._file.write(msgspec.json.encode(step) + b"\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> StepFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _keep(self, step: Step) -> None:
        self.steps.append(step)
        if step.completion.answered:
            self._known[step.id] = step.completion

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes() if path.exists() else b""
            whole = content.rfind(b"\n") + 1
            self.n_torn = int(whole < len(content))
            for number, line in enumerate(content[:whole].splitlines(), start=1):
                self._keep(_read(line, where=f"{path}:{number}"))
            self.n_loaded = len(self.steps)
            self._file = path.open("r+b" if path.exists() else "xb")
            self._file.truncate(whole)
            self._file.seek(whole)
        except OSError as error:
            raise BadInput("a step file", got=str(error), where=str(path)) from error


def step_id(request: Request, *, model: str) -> str:
    """Return what a call is found by."""
    return hash_of(model, msgspec.json.encode(request).decode())


def _read(line: bytes, *, where: str) -> Step:
    try:
        return msgspec.json.decode(line, type=Step)
    except msgspec.MsgspecError as error:
        raise BadInput(
            "a step of an earlier run",
            got=str(error),
            where=where,
            fix="Name another folder, or take the line out: its call is then made again.",
        ) from error
