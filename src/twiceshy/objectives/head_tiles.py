"""The passes of the fused head: tiles of rows, each with the whole vocabulary.

`fused_head` says what is computed and why one pass is enough; this is how. What happens inside a
tile is an `Arithmetic`: torch's, which is here, or on a CUDA device with `triton` that of
`head_triton`.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from twiceshy.objectives.head_checks import Head, check_finite, checked_coefficients

BLOCK_BYTES = 16 * 2**20
"""Rows of a tile are exponentiated this much at a time: it bounds the copy that entropy needs, and
each block is a point where threads wait for each other."""


class HeadRows(NamedTuple):
    """What a coefficient function sees: some rows and their log-probs.

    Attributes:
        rows: int64 (R,), places in the batch of M rows, to look up advantages, old log-probs, …
        logp: (R,), nats, float32 (float64 for float64 input).
        entropy: (R,), nats; None unless asked for.
    """

    rows: Tensor
    logp: Tensor
    entropy: Tensor | None


CoefficientsOf = Callable[[HeadRows], Tensor]
"""From rows to d loss / d logp (R,), already divided by the global denominator."""


class HeadPass(NamedTuple):
    """What one call did. Rows not kept have logp and entropy nan, and coefficient and gradient 0.

    Attributes:
        logp: (M,), nats.
        entropy: (M,), nats; None unless asked for.
        coefficients: (M,), d loss / d logp.
        grad_hidden: (M, D); None if not asked for.
        grad_weight: (V, D); None for a frozen head.
        grad_bias: (V,); None without a bias or for a frozen head.
        tile_rows: Rows of the largest tile; the logits alive at once are tile_rows · V.
        n_kept: Rows that went through the first GEMM.
        n_trained: Rows that went through the other two.
    """

    logp: Tensor
    entropy: Tensor | None
    coefficients: Tensor
    grad_hidden: Tensor | None
    grad_weight: Tensor | None
    grad_bias: Tensor | None
    tile_rows: int
    n_kept: int
    n_trained: int


class Wanted(NamedTuple):
    """Which gradients to compute."""

    hidden: bool
    weight: bool
    bias: bool


class _Tile(NamedTuple):
    """A tile of rows while its logits are alive.

    `exps` (R, V) is exp(logits - max) and `total` (R,) its sum per row; `hidden` (R, D) is already
    divided by the temperature.
    """

    rows: Tensor
    targets: Tensor
    hidden: Tensor
    exps: Tensor
    total: Tensor


@dataclass(frozen=True)
class Gradients:
    """Sums of gradients over tiles; None where nobody asked."""

    hidden: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


class Arithmetic(Protocol):
    """What happens inside tiles, one tile after the other."""

    @property
    def gradients(self) -> Gradients:
        """Sums over the tiles so far."""
        ...

    def open(self, rows: Tensor) -> HeadRows:
        """Begin the tile of these rows: return their log-probs."""
        ...

    def train(self, coefficients: Tensor) -> int:
        """Add the gradients of the open tile; return how many of its rows have any."""
        ...


def arithmetic_of(head: Head, wanted: Wanted) -> Arithmetic:
    """Choose what computes a head: the one place that does."""
    if uses_triton(head.hidden.device):
        from twiceshy.objectives.head_triton import TritonTiles

        return TritonTiles(head, wanted)
    return TorchTiles(head, wanted)


def uses_triton(device: torch.device) -> bool:
    """Return whether a device's heads are computed with Triton: CUDA's, if `triton` is there."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def one_pass(head: Head, coefficients_of: CoefficientsOf | None, wanted: Wanted) -> HeadPass:
    """Go through the tiles once; without a coefficient function, for log-probs only."""
    with torch.no_grad(), torch.autocast(head.hidden.device.type, enabled=False):
        return _through_tiles(head, coefficients_of, wanted)


def _through_tiles(head: Head, coefficients_of: CoefficientsOf | None, wanted: Wanted) -> HeadPass:
    tiles = head.rows.split(head.tile_rows) if len(head.rows) else ()
    logp = torch.full((len(head.hidden),), math.nan, dtype=head.dtype, device=head.hidden.device)
    entropy = torch.full_like(logp, math.nan) if head.entropy else None
    coefficients = torch.zeros_like(logp)
    arithmetic = arithmetic_of(head, wanted)
    n_trained = 0
    for rows in tiles:
        seen = arithmetic.open(rows)
        check_finite(seen.logp, rows)
        logp[rows] = seen.logp
        if entropy is not None and seen.entropy is not None:
            entropy[rows] = seen.entropy
        if coefficients_of is None:
            continue
        coefficients[rows] = checked_coefficients(coefficients_of(seen), seen.logp)
        n_trained += arithmetic.train(coefficients[rows])
    gradients = arithmetic.gradients
    return HeadPass(
        logp=logp,
        entropy=entropy,
        coefficients=coefficients,
        grad_hidden=gradients.hidden,
        grad_weight=gradients.weight,
        grad_bias=gradients.bias,
        tile_rows=min(head.tile_rows, len(head.rows)),
        n_kept=len(head.rows),
        n_trained=n_trained,
    )


def two_passes(head: Head, coefficients_of: CoefficientsOf, wanted: Wanted) -> HeadPass:
    """Log-probs of all rows, then coefficients, then gradients of the rows that have any."""
    first = one_pass(head, None, Wanted(False, False, False))
    rows = head.rows
    entropy = None if first.entropy is None else first.entropy[rows]
    coefficients = torch.zeros_like(first.logp)
    with torch.no_grad():
        given = coefficients_of(HeadRows(rows, first.logp[rows], entropy))
    coefficients[rows] = checked_coefficients(given, first.logp[rows])
    second = with_coefficients(head, coefficients, wanted)
    return second._replace(logp=first.logp, entropy=first.entropy, n_kept=first.n_kept)


def with_coefficients(head: Head, coefficients: Tensor, wanted: Wanted) -> HeadPass:
    """Compute the gradients under coefficients (M,) known beforehand; rows with 0 cost nothing."""
    rows = head.rows[coefficients[head.rows] != 0]
    known = replace(head, rows=rows, entropy=False)
    return one_pass(known, lambda seen: coefficients[seen.rows], wanted)


def zero_gradients(head: Head, wanted: Wanted) -> Gradients:
    """Return the sums before the first tile."""

    def zeros(like: Tensor) -> Tensor:
        return torch.zeros(like.shape, dtype=head.dtype, device=like.device)

    return Gradients(
        hidden=zeros(head.hidden) if wanted.hidden else None,
        weight=zeros(head.weight) if wanted.weight else None,
        bias=zeros(head.weight[:, 0]) if wanted.bias else None,
    )


class TorchTiles:
    """Tiles in torch alone, on any device."""

    def __init__(self, head: Head, wanted: Wanted) -> None:
        self.head, self.gradients = head, zero_gradients(head, wanted)
        self.weight = head.weight.to(head.dtype)
        n_rows = min(head.tile_rows, len(head.rows))
        self.buffer = self.weight.new_empty(n_rows, len(self.weight))
        self.tile: _Tile | None = None

    def open(self, rows: Tensor) -> HeadRows:
        """Compute logits into the buffer, turn them into exps, and read off what is needed."""
        head = self.head
        targets = head.targets[rows]
        hidden = head.hidden[rows].to(head.dtype).div_(head.temperature)
        exps = self.buffer[: len(rows)]
        if head.bias is None:
            torch.mm(hidden, self.weight.t(), out=exps)
        else:
            bias = head.bias.to(head.dtype) / head.temperature
            torch.addmm(bias, hidden, self.weight.t(), out=exps)
        target_logits = exps.gather(1, targets[:, None])[:, 0]
        top, total, entropy = _exponentiate(exps, with_entropy=head.entropy)
        self.tile = _Tile(rows, targets, hidden, exps, total)
        return HeadRows(rows, target_logits - top - total.log(), entropy)

    def train(self, coefficients: Tensor) -> int:
        """Add the open tile's share; overwrites the tile.

        With exps' = exps − total · onehot(target), grad_logits = −coefficient / total · exps'. The
        factor goes to the (R, D) side of each product.
        """
        assert self.tile is not None
        gradients, temperature = self.gradients, self.head.temperature
        order = _live_order(coefficients != 0)
        tile = _live_part(self.tile, order)
        factor = -coefficients[order] / tile.total
        tile.exps.scatter_add_(1, tile.targets[:, None], -tile.total[:, None])
        if gradients.hidden is not None:
            product = torch.mm(tile.exps, self.weight)
            gradients.hidden[tile.rows] = product.mul_(factor[:, None] / temperature)
        if gradients.weight is not None:
            gradients.weight.addmm_(tile.exps.t(), tile.hidden.mul_(factor[:, None]))
        if gradients.bias is not None:
            gradients.bias.addmv_(tile.exps.t(), factor / temperature)
        return len(tile.rows)


def _exponentiate(logits: Tensor, *, with_entropy: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Replace logits (R, V) by exp(logits − max) in place; return max, sum and entropy, each (R,).

    entropy = log(sum) − Σ exps · (logits − max) / sum.
    """
    top, total = logits.new_empty(len(logits)), logits.new_empty(len(logits))
    entropy = logits.new_empty(len(logits)) if with_entropy else None
    step = max(1, BLOCK_BYTES // (logits.shape[1] * logits.element_size()))
    for start in range(0, len(logits), step):
        here = slice(start, start + step)
        block = logits[here]
        torch.amax(block, 1, out=top[here])
        block.sub_(top[here, None])
        centred = block.clone() if entropy is not None else None
        torch.sum(block.exp_(), 1, out=total[here])
        if entropy is not None and centred is not None:
            mean = centred.mul_(block).sum(1) / total[here]
            entropy[here] = total[here].log() - mean
    return top, total, entropy


def _live_order(live: Tensor) -> Tensor:
    """Return the places of live rows, those behind the front moved into the gaps of dead ones."""
    order = torch.arange(len(live), device=live.device)
    n_live = int(live.sum())
    order[:n_live][~live[:n_live]] = order[n_live:][live[n_live:]]
    return order[:n_live]


def _live_part(tile: _Tile, order: Tensor) -> _Tile:
    """Return the rows of a tile in this order, moved to its front within its own memory.

    Only live rows behind the front move, into the places of dead ones: at most as many copies as
    there are dead rows, each far cheaper than the two GEMMs it saves.
    """
    n_live = len(order)
    if n_live == len(tile.rows):
        return tile
    for place in (order >= n_live).nonzero()[:, 0].tolist():
        tile.exps[place] = tile.exps[int(order[place])]
    return _Tile(
        rows=tile.rows[order],
        targets=tile.targets[order],
        hidden=tile.hidden[order],
        exps=tile.exps[:n_live],
        total=tile.total[order],
    )
