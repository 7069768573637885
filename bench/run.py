"""Run every benchmark in a process of its own and gather the figures.

Each `bench/<name>.py` prints one JSON object as its last line: what was measured, the peer or floor
it was measured against in the same run, and the target. This script prints them as a table and
writes `bench/result.json` with the machine's name and the load it began under. A missed target is
shown, and is not an error. Names as arguments run those alone and keep what is known of the others.

    python bench/run.py                        # all
    python bench/run.py fused_head rollouts    # two of them

TRL's figures are there when TRL is importable (extra `trl`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
NAMES = (
    "import_package",
    "import_chat",
    "triage",
    "weights",
    "fused_head",
    "fused_head_gpu",
    "rollouts",
    "trl_overhead",
    "bank_writes",
    "recall",
    "completer",
)
RESULT = FOLDER / "result.json"


def run(name: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, FOLDER / f"{name}.py"], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME")
    chosen = parser.parse_args().names or list(NAMES)
    version = platform.python_version()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {version}"
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in chosen:
        load = round(os.getloadavg()[0], 1)
        known[name] = run(name) | {"load_average_at_start": load}
        print(f"{name}:")
        for key, value in known[name].items():
            print(f"  {key}: {value}")
        ordered = {other: known[other] for other in NAMES if other in known}
        RESULT.write_text(json.dumps({"machine": machine, **ordered}, indent=2) + "\n")


if __name__ == "__main__":
    main()
