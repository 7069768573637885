"""Run the command of the first page and keep what it prints, its picture and its manifest.

python experiments/first_training/run.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORDS = ("train", "--task", "countdown", "--objective", "w_reinforce")


def main() -> None:
    """Write `output.txt`, `plot.png` and `result.json` beside this script."""
    environment = {**os.environ, "COLUMNS": "96", "TERM": "dumb", "NO_COLOR": "1"}
    environment["OMP_NUM_THREADS"] = "1"
    command = Path(sys.executable).with_name("twiceshy")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shown = subprocess.run(
            [command, *WORDS],
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        run = next((folder / "twiceshy-train").iterdir())
        shutil.copyfile(run / "curve.png", HERE / "plot.png")
        manifest = json.loads((run / "manifest.json").read_bytes())
        (HERE / "result.json").write_text(json.dumps(manifest, indent=2) + "\n")
    lines = (line.rstrip() for line in shown.strip().splitlines())
    (HERE / "output.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
