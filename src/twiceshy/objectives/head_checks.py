"""Checks of what goes into the fused head and of what its coefficient function returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from twiceshy.errors import BadInput

TILE_BYTES = 56 * 2**20
"""Memory for one tile of logits; larger tiles re-read the weight less often."""

CUDA_TILE_BYTES = 2**30
"""As `TILE_BYTES`, on a CUDA device: a tile reads and writes the weight's whole gradient."""


@dataclass(frozen=True)
class Head:
    """Checked inputs of a pass, detached; `rows` are computed, ascending, in `dtype`."""

    hidden: Tensor
    weight: Tensor
    targets: Tensor
    bias: Tensor | None
    rows: Tensor
    dtype: torch.dtype
    temperature: float
    entropy: bool
    tile_rows: int


def checked_head(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None,
    keep: Tensor | None,
    temperature: float,
    entropy: bool,
    tile_rows: int | None,
) -> Head:
    """Return the inputs detached, with the rows to compute; arguments as in `fused_head`."""
    _check_head(hidden, weight, bias)
    rows = _checked_rows(targets, keep, shape=hidden.shape[:1], vocabulary=len(weight))
    if not (temperature > 0 and math.isfinite(temperature)):
        raise BadInput("a temperature above 0", got=str(temperature), where="temperature")
    if tile_rows is not None and tile_rows < 1:
        raise BadInput("at least 1 row per tile", got=str(tile_rows), where="tile_rows")
    dtype = torch.promote_types(torch.promote_types(hidden.dtype, weight.dtype), torch.float32)
    return Head(
        hidden=hidden.detach(),
        weight=weight.detach(),
        targets=targets,
        bias=None if bias is None else bias.detach(),
        rows=rows,
        dtype=dtype,
        temperature=temperature,
        entropy=entropy,
        tile_rows=tile_rows
        or _even_rows(
            len(rows),
            row_bytes=len(weight) * dtype.itemsize,
            most_bytes=CUDA_TILE_BYTES if hidden.is_cuda else TILE_BYTES,
        ),
    )


def _check_head(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    shapes = f"hidden {tuple(hidden.shape)}, weight {tuple(weight.shape)}"
    if hidden.dim() != 2 or weight.dim() != 2 or hidden.shape[1] != weight.shape[1]:
        raise BadInput(
            "hidden (M, D) and weight (V, D)",
            got=shapes,
            where="hidden, weight",
            fix="Flatten sequences to rows: hidden.reshape(-1, D).",
        )
    if not weight.numel():
        raise BadInput("at least one token and one dimension", got=shapes, where="weight")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise BadInput(f"bias ({len(weight)},)", got=str(tuple(bias.shape)), where="bias")
    parts = [hidden, weight] if bias is None else [hidden, weight, bias]
    if not all(part.is_floating_point() and part.device == hidden.device for part in parts):
        came = ", ".join(f"{part.dtype} on {part.device}" for part in parts)
        raise BadInput("floating dtypes on one device", got=came, where="hidden, weight, bias")


def _checked_rows(
    targets: Tensor, keep: Tensor | None, *, shape: torch.Size, vocabulary: int
) -> Tensor:
    """Return the kept rows, ascending, after a look at their targets."""
    if targets.shape != shape or targets.dtype != torch.int64:
        came = f"{targets.dtype} {tuple(targets.shape)}"
        raise BadInput(f"int64 targets {tuple(shape)}", got=came, where="targets")
    if keep is None:
        rows = torch.arange(len(targets), device=targets.device)
    elif keep.shape == shape and keep.dtype == torch.bool:
        rows = keep.nonzero()[:, 0]
    else:
        came = f"{keep.dtype} {tuple(keep.shape)}"
        raise BadInput(f"a bool mask {tuple(shape)}", got=came, where="keep")
    outside = rows[(targets[rows] < 0) | (targets[rows] >= vocabulary)]
    if len(outside):
        row = int(outside[0])
        raise BadInput(
            f"targets from 0 to {vocabulary - 1}",
            got=str(int(targets[row])),
            where=f"targets[{row}]",
            fix="Mark padding with keep=False.",
        )
    return rows


def _even_rows(n_rows: int, *, row_bytes: int, most_bytes: int) -> int:
    """Rows per tile: within a number of bytes, and all tiles about equal."""
    most = max(1, most_bytes // row_bytes)
    n_tiles = max(1, -(-n_rows // most))
    return max(1, -(-n_rows // n_tiles))


def check_finite(logp: Tensor, rows: Tensor) -> None:
    """Raise `BadInput` with the first row whose log-prob is nan or infinite."""
    bad = ~torch.isfinite(logp)
    if bool(bad.any()):
        raise BadInput(
            "finite log-probs",
            got=str(float(logp[bad][0])),
            where=f"row {int(rows[bad][0])}",
            fix="hidden, weight or bias holds nan or inf, or the logits overflow.",
        )


def checked_coefficients(coefficients: Tensor, logp: Tensor) -> Tensor:
    """Return coefficients in the dtype of the log-probs, if there is a finite one for each."""
    if coefficients.shape != logp.shape:
        came = str(tuple(coefficients.shape))
        raise BadInput(f"coefficients {tuple(logp.shape)}", got=came, where="coefficients_of")
    if not bool(torch.isfinite(coefficients).all()):
        bad = coefficients[~torch.isfinite(coefficients)][0]
        raise BadInput("finite coefficients", got=str(float(bad)), where="coefficients_of")
    return coefficients.to(logp.dtype)
