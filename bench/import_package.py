"""Time of `import twiceshy` in a fresh interpreter, against an interpreter that imports nothing."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

RUNS = 15
TARGET_SECONDS = 0.2


def seconds(statement: str) -> float:
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    floor = seconds("pass")
    whole = seconds("import twiceshy")
    print(
        json.dumps(
            {
                "import_seconds": round(whole - floor, 4),
                "interpreter_seconds": round(floor, 4),
                "target_seconds": TARGET_SECONDS,
                "runs": RUNS,
            }
        )
    )


if __name__ == "__main__":
    main()
