"""Tiles of the fused head for CUDA: cuBLAS does the products, Triton all that lies between.

Two kernels take the place of the dozen passes that torch makes over a tile of logits. The first
reads the logits once and keeps maximum, sum of exponentials and (if asked) what entropy needs, by
the online softmax of Milakov and Gimelshein 2018 (1805.02867, algorithm 3). The second reads them
once more and writes softmax − onehot(target) for the rows that have a coefficient, and for no
others, in the dtype of the two products that follow.

Logits are float32 and sums are accumulated in float32, whatever the input. What differs from the
torch path: with hidden states and weight both in one 16-bit dtype the products take 16-bit operands
(and accumulate in float32), so softmax − onehot and coefficient · hidden are rounded to 16 bits
before they are multiplied. The coefficients are scaled by their largest in the tile first, so that
small ones do not vanish in float16.

How far this is checked: the kernels run in Triton's interpreter in the tests, against float64, and
compile for Ampere, Hopper and Blackwell. They have not run on a device yet, so nothing is known of
their speed. Nor has torch's 16-bit product with a float32 result, which exists on CUDA only
(`_product` and `_add_product`). `bench/fused_head_gpu.py` tries all of it where there is a GPU.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton  # pyrefly: ignore[missing-import]
import triton.language as tl  # pyrefly: ignore[missing-import]
from torch import Tensor

from twiceshy.objectives.head_checks import Head
from twiceshy.objectives.head_tiles import HeadRows, Wanted, zero_gradients

BLOCK = 4096
"""Logits of a row that a program reads at a time."""


@triton.jit
def _row_sums(
    logits: tl.tensor,
    bias: tl.tensor,
    top_of: tl.tensor,
    total_of: tl.tensor,
    weighted_of: tl.tensor,
    n_tokens: tl.tensor,
    INVERSE_TEMPERATURE: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    WEIGHTED: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Of one row's logits x: max, Σ exp(x − max) and Σ exp(x − max) · (x − max)."""
    row = tl.program_id(0).to(tl.int64)
    start_of_row = logits + row * n_tokens
    places = tl.arange(0, BLOCK)
    top = tl.full((), float("-inf"), dtype=logits.dtype.element_ty)
    total = tl.full((), 0.0, dtype=logits.dtype.element_ty)
    weighted = tl.full((), 0.0, dtype=logits.dtype.element_ty)
    for start in range(0, n_tokens, BLOCK):
        columns = start + places
        inside = columns < n_tokens
        x = tl.load(start_of_row + columns, mask=inside, other=0.0)
        if HAS_BIAS:
            x += tl.load(bias + columns, mask=inside, other=0.0).to(x.dtype)
        x = x * INVERSE_TEMPERATURE
        higher = tl.maximum(top, tl.max(tl.where(inside, x, float("-inf")), axis=0))
        moved = tl.where(total > 0, top - higher, 0.0)
        shrink = tl.exp(moved)
        centred = tl.where(inside, x - higher, 0.0)
        e = tl.where(inside, tl.exp(centred), 0.0)
        if WEIGHTED:
            weighted = shrink * (weighted + moved * total) + tl.sum(e * centred, axis=0)
        total = shrink * total + tl.sum(e, axis=0)
        top = higher
    tl.store(top_of + row, top)
    tl.store(total_of + row, total)
    if WEIGHTED:
        tl.store(weighted_of + row, weighted)


@triton.jit
def _softmax_minus_target(
    logits: tl.tensor,
    bias: tl.tensor,
    written: tl.tensor,
    order: tl.tensor,
    targets: tl.tensor,
    top_of: tl.tensor,
    total_of: tl.tensor,
    n_tokens: tl.tensor,
    INVERSE_TEMPERATURE: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Write softmax(x) − onehot(target) of row order[i] to row i, a block of columns."""
    place = tl.program_id(0).to(tl.int64)
    row = tl.load(order + place)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < n_tokens
    x = tl.load(logits + row * n_tokens + columns, mask=inside, other=0.0)
    if HAS_BIAS:
        x += tl.load(bias + columns, mask=inside, other=0.0).to(x.dtype)
    x = x * INVERSE_TEMPERATURE
    share = tl.exp(x - tl.load(top_of + row)) / tl.load(total_of + row)
    share = tl.where(columns == tl.load(targets + row), share - 1.0, share)
    tl.store(written + place * n_tokens + columns, share, mask=inside)


class _OpenTile(NamedTuple):
    """A tile between its two halves; all but the logits (R, V) one value a row, (R,)."""

    rows: Tensor
    targets: Tensor
    logits: Tensor
    top: Tensor
    total: Tensor


class TritonTiles:
    """Tiles whose row-wise work runs in Triton; the interface of `head_tiles.Arithmetic`."""

    def __init__(self, head: Head, wanted: Wanted) -> None:
        self.head, self.gradients = head, zero_gradients(head, wanted)
        same = head.hidden.dtype == head.weight.dtype
        self.dtype = head.weight.dtype if same else head.dtype  # of the products' operands
        self.weight = head.weight.to(self.dtype)
        shape = (min(head.tile_rows, len(head.rows)), len(self.weight))
        self.logits = self.weight.new_empty(shape, dtype=head.dtype)
        self.shares: Tensor | None = None
        # A constant of the kernels: as an argument it would be rounded to float32.
        self.scalars = {"n_tokens": shape[1], "INVERSE_TEMPERATURE": 1.0 / head.temperature}
        self.tile: _OpenTile | None = None

    def open(self, rows: Tensor) -> HeadRows:
        """Compute logits into the buffer and read off what is needed."""
        head, targets = self.head, self.head.targets[rows]
        logits = self.logits[: len(rows)]
        _product(head.hidden[rows].to(self.dtype), self.weight.t(), out=logits)
        top, total, weighted = (logits.new_empty(len(rows)) for _ in range(3))
        bias = logits if head.bias is None else head.bias
        _row_sums[(len(rows),)](
            logits,
            bias,
            top,
            total,
            weighted,
            **self.scalars,
            HAS_BIAS=head.bias is not None,
            WEIGHTED=head.entropy,
            BLOCK=_block(logits),
        )
        self.tile = _OpenTile(rows, targets, logits, top, total)
        chosen = logits.gather(1, targets[:, None])[:, 0]
        if head.bias is not None:
            chosen = chosen + head.bias.to(head.dtype)[targets]
        logp = chosen / head.temperature - top - total.log()
        return HeadRows(rows, logp, total.log() - weighted / total if head.entropy else None)

    def train(self, coefficients: Tensor) -> int:
        """Add the open tile's share: grad_logits = −coefficient · (softmax − onehot)."""
        assert self.tile is not None
        order = coefficients.nonzero()[:, 0]
        if not len(order):
            return 0
        shares, rows = self._shares(self.tile, order), self.tile.rows[order]
        factor = -coefficients[order] / self.head.temperature
        gradients, peak = self.gradients, factor.abs().max()
        if gradients.hidden is not None:
            product = torch.empty(
                len(order), self.weight.shape[1], dtype=factor.dtype, device=factor.device
            )
            _product(shares, self.weight, out=product)
            gradients.hidden[rows] = product.mul_(factor[:, None])
        scaled = factor / peak
        if gradients.weight is not None:
            hidden = self.head.hidden[rows].to(factor.dtype).mul_(scaled[:, None])
            _add_product(gradients.weight, shares.t(), hidden.to(self.dtype), times=float(peak))
        if gradients.bias is not None:
            gradients.bias.addmv_(shares.t().to(factor.dtype), factor)
        return len(order)

    def _shares(self, tile: _OpenTile, order: Tensor) -> Tensor:
        """Return softmax − onehot of the rows in `order`, (len(order), V), in a buffer."""
        if self.shares is None:
            self.shares = torch.empty_like(self.logits, dtype=self.dtype)
        shares, block = self.shares[: len(order)], _block(tile.logits)
        _softmax_minus_target[(len(order), triton.cdiv(shares.shape[1], block))](
            tile.logits,
            tile.logits if self.head.bias is None else self.head.bias,
            shares,
            order,
            tile.targets,
            tile.top,
            tile.total,
            **self.scalars,
            HAS_BIAS=self.head.bias is not None,
            BLOCK=block,
        )
        return shares


def _block(logits: Tensor) -> int:
    return min(BLOCK, triton.next_power_of_2(logits.shape[1]))


def _product(left: Tensor, right: Tensor, *, out: Tensor) -> None:
    """Multiply into a tensor that may be wider than the operands, accumulating in its dtype."""
    if left.dtype == out.dtype:
        torch.mm(left, right, out=out)
    elif left.is_cuda:
        torch.mm(left, right, out_dtype=out.dtype, out=out)
    else:
        torch.mm(left.to(out.dtype), right.to(out.dtype), out=out)


def _add_product(total: Tensor, left: Tensor, right: Tensor, *, times: float) -> None:
    """Add times · (left @ right) to a tensor that may be wider than the operands, in its dtype."""
    if left.dtype == total.dtype:
        total.addmm_(left, right, alpha=times)
    elif left.is_cuda:
        torch.addmm(total, left, right, out_dtype=total.dtype, alpha=times, out=total)
    else:
        total.addmm_(left.to(total.dtype), right.to(total.dtype), alpha=times)
