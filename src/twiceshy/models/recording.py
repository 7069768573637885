"""Record what a model says to a JSONL file, and play it back without the model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from twiceshy.errors import BadInput
from twiceshy.models.asking import aeach
from twiceshy.models.cache import request_key
from twiceshy.models.running import arun, run
from twiceshy.models.types import Completer, Completion, Request


class Recorded(msgspec.Struct, frozen=True):
    """One line of a recording."""

    model: str
    request: Request
    completion: Completion


class RecordingCompleter:
    """Asks another completer and appends every request with its completion to a file.

    Failures are recorded too, so that a replay goes through what the run went through.

    Args:
        completer: Whom to ask.
        path: The JSONL file; lines are added to one that exists.
    """

    def __init__(self, completer: Completer, path: str | Path) -> None:
        self.completer = completer
        self.path = Path(path)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.completer.name

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete requests and record them, each as soon as it is answered.

        Raises:
            BadInput: When the file cannot be written to, or what the completer raises.
        """
        return run(self._all(requests))

    async def acomplete(self, requests: Sequence[Request]) -> list[Completion]:
        """Do the same without blocking the event loop."""
        return await arun(self._all(requests))

    async def _all(self, requests: Sequence[Request]) -> list[Completion]:
        def done(place: int, completion: Completion) -> None:
            self._append(Recorded(self.name, requests[place], completion))

        return await aeach(self.completer, requests, done=done)

    def _append(self, line: Recorded) -> None:
        try:
            with self._lock, self.path.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise BadInput(
                "a file to record to", got=error.strerror or str(error), where=str(self.path)
            ) from error


class ReplayCompleter:
    """Answers from a recording, and fails on a request that is not in it.

    Of a request that was recorded more than once the last line counts.

    Args:
        path: The JSONL file.

    Raises:
        BadInput: When the file cannot be read or holds answers of several models.

    Example:
        >>> import tempfile
        >>> from twiceshy.models import ScriptedCompleter, request_of
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "said.jsonl")
        ...     model = RecordingCompleter(ScriptedCompleter({"capital": "Paris"}), path)
        ...     _ = model.complete([request_of("The capital?")])
        ...     replay = ReplayCompleter(path)
        >>> replay.name, replay.complete([request_of("The capital?")])[0].text
        ('scripted', 'Paris')
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        lines = _read(self.path)
        names = {each.model for each in lines}
        if len(names) != 1:
            told = ", ".join(sorted(names)) or "none"
            raise BadInput("a recording of one model", got=told, where=str(self.path))
        (self.name,) = names
        self._answers = {request_key(each.model, each.request): each.completion for each in lines}

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Return what was recorded.

        Raises:
            BadInput: When a request was not.
        """
        return [self._one(each) for each in requests]

    async def acomplete(self, requests: Sequence[Request]) -> list[Completion]:
        """Return what was recorded."""
        return self.complete(requests)

    def _one(self, request: Request) -> Completion:
        found = self._answers.get(request_key(self.name, request))
        if found is None:
            raise BadInput(
                "a request that was recorded",
                got=f'"{request.prompt[:80]}"',
                where=str(self.path),
                fix="Record it with RecordingCompleter.",
            )
        return msgspec.structs.replace(found, cached=True, n_tries=0)


def _read(path: Path) -> list[Recorded]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput("a recording", got=error.strerror or str(error), where=str(path)) from error
    # A last line without its end was cut when the run was killed.
    whole = content[: content.rfind(b"\n") + 1].splitlines()
    return [_line(each, f"{path}:{number}") for number, each in enumerate(whole, start=1)]


def _line(line: bytes, where: str) -> Recorded:
    try:
        return msgspec.json.decode(line, type=Recorded)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput("a line of a recording", got=str(error), where=where) from error
