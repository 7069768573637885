"""Every code block of the README and the documentation runs.

`python` blocks of one page share a namespace, top to bottom. `sh` blocks run line by line in an
empty folder that holds `runs.jsonl`, some of the attempts that ship with the package. A block whose
language is `text`, `json` or `toml` is not code. Lines that start with `make` are what CI itself
runs and are not run again here.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from twiceshy.demo_data import demo_path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
NOT_CODE = {"text", "json", "toml", "console"}
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
N_RUNS = 120


def blocks(page: Path) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in FENCE.finditer(page.read_text())]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lines = gzip.decompress(demo_path("train").read_bytes()).splitlines(keepends=True)
    (tmp_path / "runs.jsonl").write_bytes(b"".join(lines[:N_RUNS]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_code_block_runs(page: Path, folder: Path) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    for language, code in blocks(page):
        if language == "python":
            exec(compile(code, str(page), "exec"), namespace)
        elif language == "sh":
            for line in code.splitlines():
                run_line(line.partition(" #")[0].strip(), folder)
        else:
            assert language in NOT_CODE, f"{page.name}: a block in {language!r}: say what it is"


def run_line(line: str, folder: Path) -> None:
    if not line or line.startswith(("#", "make", "pip", "git ")):
        return
    binaries = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), f"{line}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr


def test_pages_name_no_machine() -> None:
    for page in PAGES:
        assert not re.search(r"/root/|/home/\w+/", page.read_text()), page
