"""Measure the fused head at 2048 rows, 576 dimensions, 49,152 tokens, float32 on a CPU.

Times are CPU seconds of the process, in rounds that run every variant once, in turn; a ratio is the
median over rounds of the ratio within a round, so that a busy machine weighs on both sides. The
floor is the faster, in each round, of the three matrix products at once and in tiles of 256 rows.
Peak memory is taken in a process per variant, above what the inputs already hold, and includes the
gradients themselves. TRL's chunked kernel is measured where `trl` can be imported: `bench/run.py`
says how to have it. Prints one JSON object last.

    python bench/fused_head.py            # 3 rounds, 1 and 2 threads
    python bench/fused_head.py --quick    # 1 round at a quarter of the rows
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

SEED = 7
M, D, V = 2048, 576, 49152
ROUNDS = 3
THREADS = (1, 2)
FLOOR_TILE = 256
MEMORY_OF = ("fused", "naive", "trl")
TARGETS = {
    "over_floor": 1.2,
    "over_naive": 1.0,
    "memory_over_naive": 0.2,
    "saving_of_half_the_rows": 1.6,
    "trl_over_fused": 2.0,
}

Variant = Callable[[], Any]


class Inputs(NamedTuple):
    hidden: Any
    weight: Any
    targets: Any
    advantages: Any
    keep: Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, a quarter of the rows")
    parser.add_argument("--peak", metavar="VARIANT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    m = M // 4 if options.quick else M
    if options.peak:
        print(json.dumps(peak(options.peak, m=m)))
        return
    variants = variants_of(inputs(m))
    rounds = 1 if options.quick else ROUNDS
    timings = {str(threads): timed(variants, threads=threads, rounds=rounds) for threads in THREADS}
    peaks = {name: peak_in_child(name, m=m) for name in MEMORY_OF if name in variants}
    print(json.dumps(summary(timings, peaks, m=m, rounds=rounds)))


def inputs(m: int) -> Inputs:
    """Seeded states with logits of a spread of about 3, half of the rows kept at random."""
    import torch

    source = torch.Generator().manual_seed(SEED)
    return Inputs(
        hidden=torch.randn(m, D, generator=source),
        weight=torch.randn(V, D, generator=source) * (3 / D**0.5),
        targets=torch.randint(V, (m,), generator=source),
        advantages=torch.randn(m, generator=source) / m,
        keep=torch.randperm(m, generator=source) < m // 2,
    )


def variants_of(given: Inputs) -> dict[str, Variant]:
    from twiceshy.objectives.fused_head import fused_head, selected_logp

    def fused(**options: Any) -> Any:
        return fused_head(
            given.hidden,
            given.weight,
            targets=given.targets,
            coefficients_of=lambda seen: given.advantages[seen.rows],
            **options,
        )

    def two_passes() -> Any:
        return through_autograd(
            given,
            lambda hidden, weight: selected_logp(hidden, weight, targets=given.targets),
        )

    variants: dict[str, Variant] = {
        "products": lambda: products(given, tile=len(given.hidden)),
        "products_in_tiles": lambda: products(given, tile=FLOOR_TILE),
        "fused": fused,
        "fused_with_entropy": lambda: fused(entropy=True),
        "fused_half_the_rows": lambda: fused(keep=given.keep),
        "fused_frozen_head": lambda: fused(train_head=False),
        "two_passes": two_passes,
        "naive": lambda: through_autograd(
            given, lambda hidden, weight: naive(hidden, weight, given.targets)
        ),
    }
    kernel = trl_kernel()
    if kernel is not None:
        variants["trl"] = lambda: through_autograd(
            given, lambda hidden, weight: kernel(hidden, weight, given.targets)
        )
    return variants


def products(given: Inputs, *, tile: int) -> None:
    """The three matrix products of a head's forward and backward pass, and nothing else."""
    import torch

    hidden, weight = given.hidden, given.weight
    logits = torch.empty(tile, V)
    grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
    for start in range(0, len(hidden), tile):
        part = hidden[start : start + tile]
        torch.mm(part, weight.t(), out=logits)
        torch.mm(logits, weight, out=grad_hidden[start : start + tile])
        grad_weight.addmm_(logits.t(), part)


def through_autograd(given: Inputs, logp_of: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    hidden = given.hidden.detach().requires_grad_()
    weight = given.weight.detach().requires_grad_()
    logp_of(hidden, weight).backward(given.advantages)
    return hidden.grad, weight.grad


def naive(hidden: Any, weight: Any, targets: Any) -> Any:
    logits = hidden @ weight.t()
    return logits.log_softmax(dim=-1).gather(1, targets[:, None])[:, 0]


def trl_kernel() -> Callable[[Any, Any, Any], Any] | None:
    """TRL's kernel as its GRPO trainer calls it, for log-probs only; None where it is missing."""
    try:
        import trl.trainer.utils  # pyrefly: ignore[missing-import]  # the backward pass needs it
        from trl.kernels import ChunkedLogProbFunction  # pyrefly: ignore[missing-import]
        from trl.kernels.chunked_divergence import (  # pyrefly: ignore[missing-import]
            VOCAB_CHUNK_SIZE,
        )
    except ImportError:
        return None

    def logp_of(hidden: Any, weight: Any, targets: Any) -> Any:
        apply = ChunkedLogProbFunction.apply
        return apply(hidden, weight, None, targets, 1.0, VOCAB_CHUNK_SIZE, None, 1.0, ())[0]

    assert trl.trainer.utils
    return logp_of


def timed(variants: dict[str, Variant], *, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Run all variants in turn; CPU and wall seconds of each, a dictionary per round."""
    import torch

    torch.set_num_threads(threads)
    variants["products_in_tiles"]()  # the first call sets up the threads
    return [{name: seconds(run) for name, run in variants.items()} for _ in range(rounds)]


def seconds(run: Variant) -> dict[str, float]:
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def peak_in_child(name: str, *, m: int) -> int:
    flags = ["--quick"] if m < M else []
    done = subprocess.run(
        [sys.executable, __file__, "--peak", name, *flags],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def peak(name: str, *, m: int) -> int:
    """Bytes that a variant adds to this process at its peak."""
    given = inputs(m)
    run = variants_of(given)[name]
    through_autograd(
        Inputs(*(part[:8] if len(part) == m else part for part in given)),
        lambda hidden, weight: (hidden @ weight[:8].t()).sum(1),
    )  # loads what the first product loads
    with Resident() as resident:
        run()
    return resident.added


class Resident:
    """Samples this process's resident memory, where the system tells it; else its peak so far."""

    def __enter__(self) -> Resident:
        self.before = self.largest = self.now()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    @property
    def added(self) -> int:
        return self.largest - self.before

    def watch(self) -> None:
        while not self.over.wait(0.002):
            self.largest = max(self.largest, self.now())

    @staticmethod
    def now() -> int:
        try:
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * resource.getpagesize()
        except FileNotFoundError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def summary(
    timings: dict[str, list[dict[str, Any]]], peaks: dict[str, int], *, m: int, rounds: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "bench": "fused_head",
        "seed": SEED,
        "rows_dimensions_tokens": [m, D, V],
        "rounds": rounds,
        "floor": f"three products, at once or in tiles of {FLOOR_TILE} rows: the faster",
    }
    for threads, done in timings.items():
        figures[f"threads_{threads}"] = {
            kind: ratios(done, kind) | {"median_seconds": medians(done, kind)}
            for kind in ("cpu", "wall")
        }
    figures["peak_bytes_above_inputs"] = peaks
    figures["memory_over_naive"] = round(peaks["fused"] / peaks["naive"], 3)
    if "trl" not in peaks:
        figures["trl"] = "not measured: trl cannot be imported here"
    figures["targets"] = TARGETS
    return figures | {"met": met(figures)}


def ratios(done: list[dict[str, Any]], kind: str) -> dict[str, float]:
    def ratio(over: str, under: Callable[[dict[str, Any]], float]) -> float:
        return round(statistics.median(one[over][kind] / under(one) for one in done), 3)

    def floor(one: dict[str, Any]) -> float:
        return min(one["products"][kind], one["products_in_tiles"][kind])

    found = {
        "over_floor": ratio("fused", floor),
        "over_floor_with_entropy": ratio("fused_with_entropy", floor),
        "over_floor_in_two_passes": ratio("two_passes", floor),
        "over_naive": ratio("fused", lambda one: one["naive"][kind]),
        "saving_of_half_the_rows": ratio("fused", lambda one: one["fused_half_the_rows"][kind]),
        "saving_of_a_frozen_head": ratio("fused", lambda one: one["fused_frozen_head"][kind]),
    }
    if "trl" in done[0]:
        found["trl_over_fused"] = ratio("trl", lambda one: one["fused"][kind])
    return found


def medians(done: list[dict[str, Any]], kind: str) -> dict[str, float]:
    return {name: round(statistics.median(one[name][kind] for one in done), 3) for name in done[0]}


def met(figures: dict[str, Any]) -> dict[str, bool]:
    """Whether each target holds in CPU time on one thread; wall time depends on the neighbours."""
    cpu = figures["threads_1"]["cpu"]
    found = {
        "over_floor": cpu["over_floor"] <= TARGETS["over_floor"],
        "over_naive": cpu["over_naive"] <= TARGETS["over_naive"],
        "memory_over_naive": figures["memory_over_naive"] <= TARGETS["memory_over_naive"],
        "saving_of_half_the_rows": cpu["saving_of_half_the_rows"]
        >= TARGETS["saving_of_half_the_rows"],
    }
    if "trl_over_fused" in cpu:
        found["trl_over_fused"] = cpu["trl_over_fused"] >= TARGETS["trl_over_fused"]
    return found


if __name__ == "__main__":
    main()
