"""Check that the type checker checks: a file with a known error must be refused."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "src"
CANARY = """
from twiceshy.attempts.types import Verdict

verdict = Verdict(outcome=3)
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "canary.py"
        path.write_text(CANARY)
        command = [
            Path(sys.executable).with_name("pyrefly"),
            *("check", "--preset", "strict"),
            *("--python-interpreter-path", sys.executable),
            *("--search-path", SOURCES),
            path,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
    caught = done.returncode != 0 and "bad-argument-type" in done.stdout + done.stderr
    sys.stdout.write(
        "type canary: refused, as it must be\n"
        if caught
        else f"type canary: NOT refused\n{done.stdout}{done.stderr}\n"
    )
    return 0 if caught else 1


if __name__ == "__main__":
    raise SystemExit(main())
