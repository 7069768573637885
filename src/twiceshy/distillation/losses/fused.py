"""Whole-vocabulary divergences without ever holding (M, V): tiles of rows, gradients on the way.

The fused head of `twiceshy.objectives` serves losses that need one token's log-prob a row. A
divergence needs the whole row of student and teacher, so here a tile of both rows of logits is
alive at a time; its gradient is taken while it lives, and three GEMMs follow as there:

    student      = log_softmax(hidden_tile @ weight.T / temperature)
    teacher      = log_softmax(teacher_hidden_tile @ teacher_weight.T / temperature), or its top K
    value       += Σ row weight · divergence(student, teacher)
    grad_hidden  = grad_logits @ weight / temperature
    grad_weight += grad_logits.T @ hidden_tile / temperature

The gradient of a tile's logits is autograd's, of the same `divergence`: no formula stands twice.
Input of 16 bits is computed and summed in float32, under autocast too, as in the fused head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from twiceshy.distillation.losses.divergences import divergence
from twiceshy.distillation.losses.support import Support, on_support
from twiceshy.errors import BadInput
from twiceshy.objectives.checks import require_between, require_shape

TILE_BYTES = 56 * 2**20
"""Memory for one tile of logits; about five such tensors are alive at once."""


class FusedMatch(NamedTuple):
    """The outcome of `fused_match`; `value` carries the gradient."""

    value: Tensor
    """Scalar."""
    per_row: Tensor
    """Divergence of each row before its weight, (M,), nats; 0 where the weight is 0. Both in 32
    bits at least."""


class TeacherHead(NamedTuple):
    """A teacher's hidden states and head, over the student's vocabulary."""

    hidden: Tensor
    """(M, E)."""
    weight: Tensor
    """(V, E)."""


def fused_match(
    hidden: Tensor,
    weight: Tensor,
    *,
    teacher: TeacherHead | Support,
    row_weights: Tensor,
    alpha: float = 0.5,
    entry_clip: float | None = None,
    temperature: float = 1.0,
    tile_rows: int | None = None,
) -> FusedMatch:
    """Return Σ row weight · divergence, at the memory of a few tiles.

    Equal to `match` on the logits hidden @ weight.T / temperature; `backward()` works once. The
    student's and the teacher's dtypes may differ.

    Args:
        hidden: The student's, (M, D): flatten sequences to rows.
        weight: The student's head, (V, D).
        teacher: Its hidden states and head, or the log-probs of its likeliest tokens (M, K).
        row_weights: (M,), at least 0: `denominator.token_weights(mask).flatten()`, times importance
            or difficulty. Rows with 0 cost nothing.
        alpha: See `divergence`.
        entry_clip: See `divergence`.
        temperature: Logits of both are divided by it; above 0. A `Support` is taken as it is.
        tile_rows: Rows per tile; None chooses by `TILE_BYTES`.

    Raises:
        BadInput: If shapes differ, a weight is negative, or the result is not finite.

    Example:
        >>> hidden = torch.zeros(2, 3, requires_grad=True)
        >>> teacher = Support(torch.tensor([[0], [1]]), torch.tensor([[0.75], [0.5]]).log())
        >>> done = fused_match(hidden, torch.eye(2, 3), teacher=teacher, alpha=0.0,
        ...                    row_weights=torch.tensor([1.0, 0.0]))
        >>> done.value.backward()
        >>> round(done.value.item(), 4), [round(x, 4) for x in hidden.grad[0].tolist()]
        (0.1308, [-0.25, 0.25, 0.0])
    """
    _check(hidden, weight, teacher=teacher, row_weights=row_weights)
    require_between(temperature, low=1e-6, high=1e6, where="temperature")
    rows = row_weights.detach().nonzero()[:, 0]
    size = tile_rows or max(1, TILE_BYTES // (len(weight) * 4))
    dtype = torch.promote_types(torch.promote_types(hidden.dtype, weight.dtype), torch.float32)
    if isinstance(teacher, TeacherHead):
        teacher = TeacherHead(teacher.hidden, teacher.weight.detach().to(dtype))

    def loss_of(logits: Tensor, at: Tensor) -> Tensor:
        student, taught = logits.log_softmax(-1), _teacher_rows(teacher, at, temperature)
        if isinstance(taught, Support):
            student, target = on_support(student, taught)
        else:
            target = taught
        return divergence(student, target, alpha=alpha, entry_clip=entry_clip)

    tiles = _Tiles(rows, row_weights.detach().to(dtype), size, temperature, loss_of, dtype)
    with torch.autocast(hidden.device.type, enabled=False):
        return FusedMatch(*_Fused.apply(hidden, weight, tiles, torch.is_grad_enabled()))


class _Tiles(NamedTuple):
    rows: Tensor
    weights: Tensor
    size: int
    temperature: float
    loss_of: Callable[[Tensor, Tensor], Tensor]
    dtype: torch.dtype

    def __iter__(self) -> Iterator[Tensor]:  # pyrefly: ignore
        return iter(self.rows.split(self.size) if len(self.rows) else ())


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(  # pyrefly: ignore[bad-override]
        ctx: Any, hidden: Tensor, weight: Tensor, tiles: _Tiles, with_grad: bool
    ) -> tuple[Tensor, Tensor]:
        wanted = [with_grad and need for need in ctx.needs_input_grad[:2]]
        ctx.dtypes = (hidden.dtype, weight.dtype)
        grads = [
            torch.zeros_like(x, dtype=tiles.dtype) if want else None
            for x, want in zip((hidden, weight), wanted, strict=True)
        ]
        per_row = hidden.new_zeros(len(hidden), dtype=tiles.dtype)
        head = weight.detach().to(tiles.dtype)
        for at in tiles:
            rows = hidden.detach()[at].to(tiles.dtype)
            losses, slope = _tile(rows, head, at, tiles, train=any(wanted))
            per_row[at] = losses
            _add(grads, slope, at=at, hidden=rows, weight=head)
        value = (tiles.weights * per_row).sum()
        if not bool(torch.isfinite(value)):
            raise BadInput("a finite divergence", got=str(float(value)), where="fused_match")
        ctx.gradients = tuple(grads)
        ctx.mark_non_differentiable(per_row)
        return value, per_row

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:  # pyrefly: ignore[bad-override]
        if ctx.gradients is None:
            raise BadInput("one backward() per fused_match", got="a second one")
        grads, ctx.gradients = ctx.gradients, None
        pairs = zip(grads, ctx.dtypes, strict=True)
        scaled = (None if part is None else part.mul_(grad).to(kind) for part, kind in pairs)
        return *scaled, None, None


def _tile(
    hidden: Tensor, weight: Tensor, at: Tensor, tiles: _Tiles, *, train: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the tile's divergences (R,) and d value / d (hidden @ weight.T), (R, V)."""
    with torch.enable_grad():
        logits = (hidden @ weight.t()).div_(tiles.temperature)
        logits.requires_grad_(train)
        losses = tiles.loss_of(logits, at)
        weighted = (tiles.weights[at] * losses).sum()
    if not train:
        return losses.detach(), None
    (slope,) = torch.autograd.grad(weighted, logits)
    return losses.detach(), slope.div_(tiles.temperature)


def _add(
    grads: list[Tensor | None], slope: Tensor | None, *, at: Tensor, hidden: Tensor, weight: Tensor
) -> None:
    if slope is None:
        return
    if grads[0] is not None:
        grads[0][at] = slope @ weight
    if grads[1] is not None:
        grads[1].addmm_(slope.t(), hidden)


def _teacher_rows(
    teacher: TeacherHead | Support, at: Tensor, temperature: float
) -> Tensor | Support:
    if isinstance(teacher, Support):
        return Support(teacher.tokens[at], teacher.logp[at])
    with torch.no_grad():
        rows = teacher.hidden[at].to(teacher.weight.dtype)
        return (rows @ teacher.weight.t()).div_(temperature).log_softmax(-1)


def _check(
    hidden: Tensor, weight: Tensor, *, teacher: TeacherHead | Support, row_weights: Tensor
) -> None:
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1]:
        raise BadInput(
            "hidden (M, D) and weight (V, D)",
            got=f"{tuple(hidden.shape)} and {tuple(weight.shape)}",
            where="hidden, weight",
            fix="Flatten sequences to rows: hidden.reshape(-1, D).",
        )
    require_shape(row_weights, like=hidden[:, 0], where="row_weights")
    if not bool((torch.isfinite(row_weights) & (row_weights >= 0)).all()):
        raise BadInput("finite weights, at least 0", where="row_weights")
    if isinstance(teacher, TeacherHead) and len(teacher.weight) != len(weight):
        raise BadInput(
            f"a teacher over the student's {len(weight)} tokens",
            got=f"{len(teacher.weight)}",
            where="teacher.weight",
            fix="Another tokenizer: distil from the teacher's text instead.",
        )
    if isinstance(teacher, TeacherHead) and teacher.hidden.shape[1:] != teacher.weight.shape[1:]:
        raise BadInput(
            "a teacher's hidden (M, E) and weight (V, E)",
            got=f"{tuple(teacher.hidden.shape)} and {tuple(teacher.weight.shape)}",
            where="teacher",
        )
    n_rows = len(teacher.hidden if isinstance(teacher, TeacherHead) else teacher.tokens)
    if n_rows != len(hidden):
        raise BadInput(f"{len(hidden)} teacher rows", got=str(n_rows), where="teacher")
