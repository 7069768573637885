"""Measure triage from Parquet: wall time and peak memory for up to two million rollouts.

Makes seeded rollouts (groups of 8, with a bulky text column that triage must leave unread), runs
triage on each size in a process of its own held to two cores, and prints one JSON object last.

    python bench/triage.py            # 10^4, 10^5, 10^6 and 2·10^6 rollouts
    python bench/triage.py --quick    # without the two largest
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SEED = 7
GROUP_SIZE = 8
SIZES = (10_000, 100_000, 1_000_000, 2_000_000)
CHUNK = 250_000
TARGET_SECONDS = 3.0
TARGET_BYTES = 1_000_000_000
CORES = 2
P0 = 0.05
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the two largest sizes")
    parser.add_argument("--child", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--make", type=int, metavar="N", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        write_rollouts(Path(options.child), n_rollouts=options.make)
        return
    if options.child:
        print(json.dumps(measure(Path(options.child))))
        return
    sizes = SIZES[:2] if options.quick else SIZES
    with tempfile.TemporaryDirectory() as folder:
        runs = [bench(size, Path(folder)) for size in sizes]
    print(json.dumps(summary(runs)))


def bench(n_rollouts: int, folder: Path) -> dict[str, Any]:
    path = folder / f"rollouts_{n_rollouts}.parquet"
    # Peak memory survives fork and exec: another process makes the file, so that this stays small.
    in_child("--child", str(path), "--make", str(n_rollouts))
    size = path.stat().st_size
    runs = [timed(path) for _ in range(REPEATS)]
    path.unlink()
    best = min(runs, key=lambda run: run["process_seconds"])
    best["process_seconds_all"] = [run["process_seconds"] for run in runs]
    best["peak_rss_bytes"] = max(run["peak_rss_bytes"] for run in runs)
    best |= {"n_rollouts": n_rollouts, "file_bytes": size}
    print(
        f"{n_rollouts:>9,} rollouts: {best['process_seconds']:.2f} s in all,"
        f" {best['triage_seconds']:.2f} s without start-up,"
        f" {best['peak_rss_bytes'] / 1e6:,.0f} MB (file {size / 1e6:,.0f} MB)"
    )
    return best


def write_rollouts(path: Path, *, n_rollouts: int) -> None:
    """Write rollouts whose solve rates come from a U-shaped Beta, with 1 % nobody judged."""
    import duckdb
    import numpy as np

    rng = np.random.default_rng(SEED)
    rate = rng.beta(0.6, 0.9, size=-(-n_rollouts // GROUP_SIZE))
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE rollouts (task VARCHAR, policy VARCHAR, reward DOUBLE, tokens VARCHAR)"
    )
    for start in range(0, n_rollouts, CHUNK):
        task = np.arange(start, min(start + CHUNK, n_rollouts)) // GROUP_SIZE
        reward = (rng.random(len(task)) < rate[task]).astype(float)
        reward[rng.random(len(task)) < 0.01] = np.nan
        connection.register("chunk", {"task": task, "reward": reward})
        connection.execute(
            "INSERT INTO rollouts SELECT 'task-' || task, 'policy-1', reward,"
            " md5(seed) || md5(seed || 'a') || md5(seed || 'b') || md5(seed || 'c') FROM"
            " (SELECT *, task || ':' || row_number() OVER () AS seed FROM chunk)"
        )
    connection.execute(f"COPY rollouts TO '{path}' (FORMAT parquet)")
    connection.close()


def timed(path: Path) -> dict[str, Any]:
    start = time.perf_counter()
    output = in_child("--child", str(path))
    seconds = time.perf_counter() - start
    return json.loads(output.splitlines()[-1]) | {"process_seconds": seconds}


def in_child(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(CORES)},
    )
    return done.stdout


def measure(path: Path) -> dict[str, Any]:
    hold_to_cores()
    start = time.perf_counter()
    from twiceshy.frontier.tally import tally_file
    from twiceshy.frontier.triage import triage

    imported = time.perf_counter()
    tallies = tally_file(path)
    tallied = time.perf_counter()
    result = triage(tallies, p0=P0)
    end = time.perf_counter()
    numbers = result.report.numbers
    return {
        "import_seconds": imported - start,
        "tally_seconds": tallied - imported,
        "triage_seconds": end - imported,
        "n_attempts": numbers["n_attempts"],
        "n_groups": numbers["n_groups"],
        "n_unscored": numbers["n_unscored"],
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def hold_to_cores() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    largest = runs[-1]
    marginal = [
        (b["triage_seconds"] - a["triage_seconds"]) / (b["n_rollouts"] - a["n_rollouts"]) * 1e6
        for a, b in itertools.pairwise(runs)
    ]
    return {
        "bench": "triage",
        "seed": SEED,
        "cores": CORES,
        "runs": runs,
        "marginal_seconds_per_million": marginal,
        "target_seconds": TARGET_SECONDS,
        "target_bytes": TARGET_BYTES,
        "met": largest["process_seconds"] <= TARGET_SECONDS
        and largest["peak_rss_bytes"] <= TARGET_BYTES,
    }


if __name__ == "__main__":
    main()
