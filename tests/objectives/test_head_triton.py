"""The tests of the fused head again, with its kernels in Triton's interpreter.

What runs on a device, and how fast, is for `bench/fused_head_gpu.py`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
import test_fused_head
import torch
from test_fused_head import (
    TERMS,
    a_problem,
    assert_same,
    assert_same_gradients,
    coefficients,
    naive,
)
from torch import Tensor

from twiceshy.objectives import head_tiles
from twiceshy.objectives.fused_head import HeadRows, fused_head

if importlib.util.find_spec("triton") is None:
    pytest.skip("needs triton (not installed by default)", allow_module_level=True)
os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are defined
pytestmark = [
    pytest.mark.slow,  # a program of the grid after the other
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # numpy's, where logits are not finite
]

_TORCH_ONLY = {
    # About memory and blocks inside torch's tiles; ours has tests of its own below.
    "test_nothing_larger_than_a_tile_is_made",
    "test_the_size_of_tiles_and_blocks_changes_nothing",
    "test_tiles_fit_the_budget",
    # 16-bit products round their operands here, by design: below, with the tolerance that takes.
    "test_16_bits_are_computed_and_summed_in_float32",
    "test_gradients_have_the_dtype_of_their_tensors",
}
for _name, _test in vars(test_fused_head).items():
    if _name.startswith("test_") and _name not in _TORCH_ONLY:
        globals()[_name] = _test


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Send every head to Triton; count the tiles it opens."""
    from twiceshy.objectives.head_triton import TritonTiles

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    counts: list[int] = []
    plain = TritonTiles.open

    def counted(self: Any, rows: Tensor) -> HeadRows:
        counts.append(len(rows))
        return plain(self, rows)

    monkeypatch.setattr(head_tiles, "uses_triton", Mock(return_value=True))
    monkeypatch.setattr(TritonTiles, "open", counted)
    yield counts
    torch.set_num_threads(threads)


def test_triton_is_what_runs(opened: list[int]) -> None:
    problem = a_problem(1)
    fused_head(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=coefficients(problem, TERMS[0]),
        tile_rows=5,
    )
    assert opened == [5, 2]


@pytest.mark.parametrize("block", [8, 64])
@pytest.mark.parametrize("tile_rows", [1, 4])
def test_the_size_of_blocks_changes_nothing(
    block: int, tile_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twiceshy.objectives.head_triton.BLOCK", block)
    problem = a_problem(6, m=6, d=3, v=130)
    theirs = naive(problem, TERMS[1], temperature=0.7)
    ours = fused_head(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=coefficients(problem, TERMS[1]),
        bias=problem.bias,
        temperature=0.7,
        entropy=True,
        tile_rows=tile_rows,
    )
    assert_same(ours.logp, theirs.logp, relative=1e-12)
    assert_same(ours.entropy, theirs.entropy, relative=1e-12)
    assert_same_gradients(ours, theirs, relative=1e-12)
    assert_same(ours.grad_bias, theirs.bias, relative=1e-12)


@pytest.mark.parametrize(("dtype", "relative"), [(torch.bfloat16, 1e-2), (torch.float16, 1e-3)])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_16_bit_operands(dtype: torch.dtype, relative: float, scale: float) -> None:
    """Log-probs as exact as ever; gradients to the rounding of the operands, small ones too."""
    problem = a_problem(1, m=64, d=16, v=50, dtype=dtype)
    theirs = naive(problem, TERMS[0])
    plain = coefficients(problem, TERMS[0])
    ours = fused_head(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=lambda seen: scale * plain(seen),
        bias=problem.bias,
        tile_rows=30,
    )
    assert_same(ours.logp, theirs.logp, relative=1e-5)
    for got, want in zip(ours[3:6], theirs[2:], strict=True):
        assert isinstance(got, Tensor)
        assert got.dtype == torch.float32
        error = (got.double() / scale - want).abs().max() / want.abs().max()
        assert float(error) < relative
        assert float(error) > 1e-7  # the rounding is there: otherwise this tests another path


def test_mixed_dtypes_are_computed_in_float32() -> None:
    problem = a_problem(2, dtype=torch.bfloat16)
    theirs = naive(problem, TERMS[0], with_bias=False)
    ours = fused_head(
        problem.hidden,
        problem.weight.float(),
        targets=problem.targets,
        coefficients_of=coefficients(problem, TERMS[0]),
    )
    assert_same(ours.logp, theirs.logp, relative=1e-5)
    assert_same_gradients(ours, theirs, relative=1e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("capability", [80, 90, 100])
@pytest.mark.parametrize(
    ("logits", "operands"), [("fp32", "bf16"), ("fp32", "fp16"), ("fp32", "fp32"), ("fp64", "fp64")]
)
def test_the_kernels_compile_for_devices(capability: int, logits: str, operands: str) -> None:
    """Down to the machine code of Ampere, Hopper and Blackwell; no device is needed for that."""
    from triton.backends.compiler import GPUTarget  # pyrefly: ignore[missing-import]
    from triton.compiler import ASTSource, compile  # pyrefly: ignore[missing-import]
    from triton.runtime.jit import JITFunction  # pyrefly: ignore[missing-import]

    from twiceshy.objectives.head_triton import _row_sums, _softmax_minus_target

    f, o = f"*{logits}", f"*{operands}"
    kernels = (
        (_row_sums, [f, o, f, f, f, "i32"]),
        (_softmax_minus_target, [f, o, o, "*i64", "*i64", f, f, "i32"]),
    )
    for kernel, types in kernels:
        constants = {"INVERSE_TEMPERATURE": 1 / 0.7, "HAS_BIAS": True, "BLOCK": 4096}
        if kernel is _row_sums:
            constants["WEIGHTED"] = True
        compiled = JITFunction(kernel.fn)
        signature = dict(zip(compiled.arg_names, types, strict=False))
        signature |= dict.fromkeys(constants, "constexpr")
        source = ASTSource(compiled, signature, constexprs=constants)
        assert compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
