"""Run every benchmark in a process of its own and gather the figures.

Each `bench/<name>.py` prints one JSON object as its last line: what was measured, the peer or floor
it was measured against in the same run, and the target. This script prints them as a table and
writes `bench/result.json` with the machine's name. A missed target is shown, and is not an error.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
NAMES = ("import_package", "import_chat", "triage", "fused_head", "bank_writes")


def run(name: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py"], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    version = platform.python_version()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {version}"
    results: dict[str, object] = {"machine": machine}
    for name in NAMES:
        results[name] = run(name)
        print(f"{name}:")
        for key, value in results[name].items():  # pyrefly: ignore[missing-attribute]
            print(f"  {key}: {value}")
    (FOLDER / "result.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
