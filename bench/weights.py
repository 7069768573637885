"""Measure `weights` from Parquet: wall time, CPU time, peak memory, up to two million rollouts.

Takes the seeded rollouts of `bench/sized_runs.py` (groups of 8, with a bulky text column that is to
be left unread), writes the sidecar of each size in a process of its own held to two cores, and
prints one JSON object last. Seconds are of the whole process, start-up and imports included.

    python bench/weights.py            # 10^4, 10^5, 10^6 and 2·10^6 rollouts
    python bench/weights.py --quick    # without the two largest
    python bench/weights.py --ray      # 10^5 rollouts by Ray as well, and whether the file is equal
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from sized_runs import GROUP_SIZE, P0, SIZES, best_run, hold_to_cores, make, summary, timed

OBJECTIVE = "grpo"
RAY_ROLLOUTS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the two largest sizes")
    parser.add_argument("--ray", action="store_true", help="run Ray as well")
    parser.add_argument("--child", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--engine", default="duckdb", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(Path(options.child), engine=options.engine)))
        return
    sizes = SIZES[:2] if options.quick else SIZES
    with tempfile.TemporaryDirectory() as folder:
        runs = [bench(size, Path(folder)) for size in sizes]
        ray = with_ray(Path(folder)) if options.ray else None
    told = summary(runs, name="weights", seconds="weights_seconds")
    told |= {"group_size": GROUP_SIZE, "objective": OBJECTIVE}
    print(json.dumps(told | ({} if ray is None else {"ray": ray})))


def bench(n_rollouts: int, folder: Path) -> dict[str, Any]:
    best = best_run(__file__, n_rollouts, folder)
    print(
        f"{n_rollouts:>9,} rollouts: {best['process_seconds']:.2f} s in all"
        f" ({best['cpu_seconds']:.2f} s of CPU), {best['peak_rss_bytes'] / 1e6:,.0f} MB"
        f" (file {best['file_bytes'] / 1e6:,.0f} MB, sidecar {best['sidecar_bytes'] / 1e6:,.1f} MB)"
    )
    return best


def with_ray(folder: Path) -> dict[str, Any]:
    """Return one run by Ray, and whether it wrote what DuckDB writes, row by row."""
    import duckdb

    path = folder / "rollouts_ray.parquet"
    make(path, n_rollouts=RAY_ROLLOUTS)
    sides = [path.with_suffix(f".{engine}.parquet") for engine in ("duckdb", "ray")]
    timed(__file__, path)
    run = timed(__file__, path, "--engine", "ray")
    with duckdb.connect() as connection:
        numbered = [f"(SELECT *, file_row_number AS place FROM '{side}')" for side in sides]
        differing = connection.execute(
            f"SELECT count(*) FROM (FROM {numbered[0]} EXCEPT FROM {numbered[1]})"
        ).fetchone()[0]
    print(f"{RAY_ROLLOUTS:>9,} rollouts by Ray: {run['process_seconds']:.2f} s in all")
    return run | {"n_rollouts": RAY_ROLLOUTS, "rows_that_differ": differing}


def measure(path: Path, *, engine: str) -> dict[str, Any]:
    hold_to_cores()
    side = path.with_suffix(f".{engine}.parquet")
    from twiceshy.frontier.weights import WeightSettings, write_weights

    if engine == "ray":
        from twiceshy.integrations.ray import write_weights
    start = time.perf_counter()
    counts = write_weights(
        [str(path)], side, settings=WeightSettings(objective=OBJECTIVE, p0=P0)
    ).counts
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "weights_seconds": time.perf_counter() - start,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "n_groups": sum(counts.n_groups.values()),
        "n_scored": counts.n_scored,
        "sidecar_bytes": side.stat().st_size,
        "peak_rss_bytes": used.ru_maxrss * 1024,
    }


if __name__ == "__main__":
    main()
