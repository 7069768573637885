"""What the benchmarks on files of rollouts do alike: the rollouts, and runs in processes apart.

Peak memory survives fork and exec, so a child makes the file, and each run is a child too.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
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


def best_run(script: str, n_rollouts: int, folder: Path) -> dict[str, Any]:
    """Make a file, have the script measure it some times, and return the fastest run."""
    path = folder / f"rollouts_{n_rollouts}.parquet"
    make(path, n_rollouts=n_rollouts)
    size = path.stat().st_size
    runs = [timed(script, path) for _ in range(REPEATS)]
    path.unlink()
    best = min(runs, key=lambda run: run["process_seconds"])
    best["process_seconds_all"] = [run["process_seconds"] for run in runs]
    best["peak_rss_bytes"] = max(run["peak_rss_bytes"] for run in runs)
    return best | {"n_rollouts": n_rollouts, "file_bytes": size}


def make(path: Path, *, n_rollouts: int) -> None:
    """Have a child write rollouts."""
    in_child(__file__, str(path), str(n_rollouts))


def timed(script: str, path: Path, *more: str) -> dict[str, Any]:
    """Return what a child of the script says of a file, and how long the whole child took."""
    start = time.perf_counter()
    output = in_child(script, "--child", str(path), *more)
    seconds = time.perf_counter() - start
    return json.loads(output.splitlines()[-1]) | {"process_seconds": seconds}


def in_child(script: str, *arguments: str) -> str:
    """Run a script and return what it prints."""
    done = subprocess.run(
        [sys.executable, script, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(CORES)},
    )
    return done.stdout


def hold_to_cores() -> None:
    """Keep this process to as many processors as a target is for."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


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


def summary(runs: list[dict[str, Any]], *, name: str, seconds: str) -> dict[str, Any]:
    """Return all runs, what a million more rollouts cost, and whether the largest met the targets.

    `seconds` names the figure of a run that grows with its rollouts.
    """
    largest = runs[-1]
    marginal = [
        (b[seconds] - a[seconds]) / (b["n_rollouts"] - a["n_rollouts"]) * 1e6
        for a, b in itertools.pairwise(runs)
    ]
    return {
        "bench": name,
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
    write_rollouts(Path(sys.argv[1]), n_rollouts=int(sys.argv[2]))
