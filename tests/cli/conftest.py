from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import twiceshy.cli

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]

COMMAND = str(Path(sys.executable).with_name("twiceshy"))
ENVIRONMENT = {**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def _in_process(*arguments: object) -> Done:
    """Run the command line as its entry point does, without the cost of a new process."""
    words = ["twiceshy", *map(str, arguments)]
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    told = io.StringIO()
    before, sys.argv = sys.argv, words
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
            try:
                twiceshy.cli.main()
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.argv = before
    written = out.buffer
    assert isinstance(written, io.BytesIO)
    return Done(words, code, written.getvalue().decode(), told.getvalue())


def _as_process(*arguments: object) -> Done:
    words = [COMMAND, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, check=False)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line inside this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return _in_process


@pytest.fixture(scope="session")
def run_anywhere() -> Run:
    """The command line inside this process, for results that several tests share."""
    return _in_process


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line as a process of its own, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return _as_process
