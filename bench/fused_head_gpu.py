"""Measure the fused head in bfloat16 on a CUDA device: D 4096, V 131,072, 8192 rows.

First it is checked against float64 on the device (256 rows, the whole vocabulary); if that fails,
nothing is timed. Then forward and backward pass, gradient of the weight included, against the three
matrix products alone, torch's log-softmax, our torch path without Triton, and Liger's
`LigerFusedLinearScaledCrossEntropyFunction` where `liger_kernel` can be imported. Times are medians
of 10 runs after 3, by CUDA events; memory is the peak above the inputs. Prints one JSON object
last, which says why where there is no device.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install -e . torch "liger-kernel==0.8.5" \
        && /tmp/peers/bin/python bench/fused_head_gpu.py

    TRITON_INTERPRET=1 python bench/fused_head_gpu.py --rehearse    # the check alone, small, no GPU
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

SEED = 7
ROWS, WIDTH, TOKENS = 8192, 4096, 131_072
CHECKED_ROWS = 256
WARM, RUNS = 3, 10
TARGETS = {
    "logp_error": 1e-3,
    "gradient_error": 1e-2,
    "over_products": 1.3,
    "liger_over_fused": 1.0,
}
"""Errors in nats, and as a share of the largest entry; ours, as are the ratios."""

Variant = Callable[[], Any]


class Inputs(NamedTuple):
    hidden: Any
    weight: Any
    targets: Any
    advantages: Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="the check alone, on a CPU")
    options = parser.parse_args()
    print(json.dumps({"bench": "fused_head_gpu", "seed": SEED} | measured(options.rehearse)))


def measured(rehearse: bool) -> dict[str, Any]:
    import torch

    if importlib.util.find_spec("triton") is None:
        return {"skipped": "triton cannot be imported here"}
    if rehearse:
        return {"rehearsal": checked(inputs(12, width=32, tokens=500, device="cpu"))}
    if not torch.cuda.is_available():
        return {"skipped": "no CUDA device"}
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "rows_width_tokens": [ROWS, WIDTH, TOKENS],
        "correctness": checked(inputs(CHECKED_ROWS, width=WIDTH, tokens=TOKENS, device="cuda")),
        "targets": TARGETS,
    }
    torch.cuda.empty_cache()
    if not all(figures["correctness"]["met"].values()):
        return figures | {"timings": "none: the results are wrong"}
    return figures | timings(inputs(ROWS, width=WIDTH, tokens=TOKENS, device="cuda"))


def inputs(rows: int, *, width: int, tokens: int, device: str) -> Inputs:
    """Seeded states with logits of a spread of about 3."""
    import torch

    source = torch.Generator(device).manual_seed(SEED)
    weight = torch.randn(tokens, width, generator=source, device=device) * (3 / width**0.5)
    return Inputs(
        hidden=torch.randn(rows, width, generator=source, device=device).bfloat16(),
        weight=weight.bfloat16(),
        targets=torch.randint(tokens, (rows,), generator=source, device=device),
        advantages=torch.randn(rows, generator=source, device=device) / rows,
    )


def fused(given: Inputs, *, triton: bool) -> Any:
    from twiceshy.objectives import head_tiles
    from twiceshy.objectives.fused_head import fused_head

    chosen = head_tiles.uses_triton
    head_tiles.uses_triton = lambda _: triton
    try:
        return fused_head(
            given.hidden,
            given.weight,
            targets=given.targets,
            coefficients_of=lambda seen: given.advantages[seen.rows],
        )
    finally:
        head_tiles.uses_triton = chosen


def checked(given: Inputs) -> dict[str, Any]:
    """Largest errors against autograd through a float64 log-softmax of the same 16-bit inputs."""
    exact = Inputs(*(x.double() if x.is_floating_point() else x for x in given))
    logp, grad_hidden, grad_weight = through_autograd(exact)
    done = fused(given, triton=True)

    def error(ours: Any, theirs: Any) -> float:
        return float((ours.double() - theirs).abs().max() / theirs.abs().max())

    found = {
        "logp_error": float((done.logp.double() - logp).abs().max()),
        "grad_hidden_error": error(done.grad_hidden, grad_hidden),
        "grad_weight_error": error(done.grad_weight, grad_weight),
    }
    met = {
        "logp_error": found["logp_error"] <= TARGETS["logp_error"],
        "gradient_error": max(found["grad_hidden_error"], found["grad_weight_error"])
        <= TARGETS["gradient_error"],
    }
    return {"rows": len(given.hidden), **found, "met": met}


def through_autograd(given: Inputs) -> tuple[Any, Any, Any]:
    hidden = given.hidden.detach().requires_grad_()
    weight = given.weight.detach().requires_grad_()
    logits = hidden @ weight.t()
    if logits.itemsize < 4:
        logits = logits.float()
    logp = logits.log_softmax(-1).gather(1, given.targets[:, None])[:, 0]
    logp.backward(given.advantages.to(logp.dtype))
    return logp.detach(), hidden.grad, weight.grad


def products(given: Inputs) -> None:
    """The three matrix products in 16 bits, in tiles as ours."""
    import torch

    grad_weight = torch.zeros_like(given.weight)
    for part in given.hidden.split(2048):
        logits = part @ given.weight.t()
        torch.mm(logits, given.weight)
        grad_weight.addmm_(logits.t(), part)


def variants_of(given: Inputs) -> dict[str, Variant]:
    variants: dict[str, Variant] = {
        "products": lambda: products(given),
        "fused": lambda: fused(given, triton=True),
        "fused_without_triton": lambda: fused(given, triton=False),
        "torch": lambda: through_autograd(given),
    }
    try:
        from liger_kernel.ops.fused_linear_scaled_cross_entropy import (  # pyrefly: ignore[missing-import]
            LigerFusedLinearScaledCrossEntropyFunction as Liger,
        )
    except ImportError:
        return variants

    def liger() -> None:
        hidden = given.hidden.detach().requires_grad_()
        weight = given.weight.detach().requires_grad_()
        outputs = Liger.apply(hidden, weight, given.targets)
        nll = outputs[0] if isinstance(outputs, tuple) else outputs
        nll.backward(-given.advantages.to(nll.dtype))

    return variants | {"liger": liger}


def timings(given: Inputs) -> dict[str, Any]:
    variants = variants_of(given)
    done = {name: timed(run) for name, run in variants.items()}
    milliseconds = {name: one["milliseconds"] for name, one in done.items()}
    flops = 6 * ROWS * WIDTH * TOKENS
    ratios = {
        "over_products": round(milliseconds["fused"] / milliseconds["products"], 3),
        "torch_over_fused": round(milliseconds["torch"] / milliseconds["fused"], 3),
    }
    met = {"over_products": ratios["over_products"] <= TARGETS["over_products"]}
    if "liger" in done:
        ratios["liger_over_fused"] = round(milliseconds["liger"] / milliseconds["fused"], 3)
        met["liger_over_fused"] = ratios["liger_over_fused"] >= TARGETS["liger_over_fused"]
    return {
        "timings": done,
        "fused_tflops_per_second": round(flops / milliseconds["fused"] / 1e9, 1),
        "liger": "measured" if "liger" in done else "not measured: liger_kernel is not importable",
        **ratios,
        "met": met,
    }


def timed(run: Variant) -> dict[str, float]:
    import torch

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    for _ in range(WARM):
        run()
    times = []
    for _ in range(RUNS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return {
        "milliseconds": round(statistics.median(times), 3),
        "peak_bytes_above_inputs": torch.cuda.max_memory_allocated() - before,
    }


if __name__ == "__main__":
    main()
