"""Measure triage from Parquet: wall time and peak memory for up to two million rollouts.

Makes seeded rollouts (groups of 8, with a bulky text column that triage must leave unread), runs
triage on each size in a process of its own held to two cores, and prints one JSON object last.

    python bench/triage.py            # 10^4, 10^5, 10^6 and 2·10^6 rollouts
    python bench/triage.py --quick    # without the two largest
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from sized_runs import P0, SIZES, best_run, hold_to_cores, summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out the two largest sizes")
    parser.add_argument("--child", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(Path(options.child))))
        return
    sizes = SIZES[:2] if options.quick else SIZES
    with tempfile.TemporaryDirectory() as folder:
        runs = [bench(size, Path(folder)) for size in sizes]
    print(json.dumps(summary(runs, name="triage", seconds="triage_seconds")))


def bench(n_rollouts: int, folder: Path) -> dict[str, Any]:
    best = best_run(__file__, n_rollouts, folder)
    print(
        f"{n_rollouts:>9,} rollouts: {best['process_seconds']:.2f} s in all,"
        f" {best['triage_seconds']:.2f} s without start-up,"
        f" {best['peak_rss_bytes'] / 1e6:,.0f} MB (file {best['file_bytes'] / 1e6:,.0f} MB)"
    )
    return best


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


if __name__ == "__main__":
    main()
