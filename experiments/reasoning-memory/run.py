"""Success-only, failure-only and both, with and without a gate: the reasoning-memory study.

    python experiments/reasoning-memory/run.py [--quick] [--processes 2]
    python experiments/reasoning-memory/run.py --model-url http://127.0.0.1:8080/v1 --model NAME

Needs `pip install "twiceshy[textworld,embed]"`, and `openai` for a model. Writes result.json,
result.md and plot.png beside this file (for `--quick` and for a model into the folder of unfinished
work). An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from twiceshy.integrations.textworld.reasoning_memory import run_reasoning_memory

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run what is still to be run and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a part that ends within 3 minutes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path, help="folder of unfinished work")
    parser.add_argument("--model-url", default="", help="endpoint of a language model that plays")
    parser.add_argument("--model", default="", help="its name")
    parser.add_argument("--so-far", action="store_true", help="only report what is there")
    given = parser.parse_args()
    part = ("-quick" if given.quick else "") + (f"-{given.model}" if given.model else "")
    work = given.work or Path.home() / ".cache" / "twiceshy" / f"reasoning-memory{part}"
    run_reasoning_memory(
        work,
        quick=given.quick,
        processes=given.processes,
        model=given.model,
        url=given.model_url,
        only_report=given.so_far,
        progress=lambda done, n, name: print(f"{done} of {n}: {name}", file=sys.stderr),
    )
    if not part:
        for name in ("result.json", "result.md", "plot.png"):
            shutil.copy(work / name, HERE / name)
    print((work / "result.md").read_text())


if __name__ == "__main__":
    main()
