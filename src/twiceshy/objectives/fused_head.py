"""Selected-token log-probs, coefficients and gradients in one pass, without ever holding (M, V).

A language-model head turns M hidden states (M, D) into log-probs of M targets through a weight
(V, D). Done plainly, training it holds several (M, V) tensors. Here a tile of rows with the whole
vocabulary is alive at a time. For a token-level objective the coefficient d loss / d logp of a row
depends on nothing but that row, so everything can be done while its tile is alive:

    logits       = hidden_tile @ weight.T / temperature                   first GEMM
    logp         = logits[target] - logsumexp(logits)
    coefficient  = coefficients_of(logp)                                  any token-level objective
    grad_logits  = coefficient · (onehot(target) - softmax(logits))
    grad_hidden  = grad_logits @ weight / temperature                     second GEMM
    grad_weight += grad_logits.T @ hidden_tile / temperature              third GEMM

Three GEMMs and no recompute. An objective whose coefficients need all rows first (a ratio per
sequence, a normaliser that depends on log-probs) takes two passes and one recompute.

Three entrances, the same arithmetic:

1. `fused_head` returns the gradients: for a loop that feeds them on itself.
2. `fused_head_loss` is one pass inside autograd: for a token-level objective and `backward()`.
3. `selected_logp` is two passes inside autograd: log-probs that anything may be built from.

Source: fusing the head with its loss over chunks of rows is the idea of Liger Kernel (Hsu et al.
2024, arXiv:2410.10989, section 3.2, FusedLinearCrossEntropy); indexing only the targets' logits is
that of Cut Your Losses (Wijmans et al. 2024, arXiv:2411.09009, section 4). What differs: any
token-level objective instead of cross-entropy; the factor coefficient / sum(exp) is applied to the
(tile, D) sides of the GEMMs and never to (tile, V); rows known to be dropped skip all three GEMMs,
and rows that turn out to have coefficient 0 (clipped ones) skip two; no block of small
probabilities is left out, since those carry the upward push of negative samples.

Input of 16 bits is computed and accumulated in float32, under autocast too (which holds a float32
copy of the weight); float64 stays float64. Entropy is reported, not differentiated. On a CUDA
device with `triton`, `head_triton` computes the tiles instead; it says what differs there and how
far it has been tried.

`fused_coefficients.head_task` makes a coefficient function from a token-level loss.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from twiceshy.errors import BadInput
from twiceshy.objectives.head_checks import Head, checked_head
from twiceshy.objectives.head_tiles import (
    CoefficientsOf,
    HeadPass,
    HeadRows,
    Wanted,
    one_pass,
    two_passes,
    with_coefficients,
)

__all__ = [
    "CoefficientsOf",
    "HeadLoss",
    "HeadPass",
    "HeadRows",
    "fused_head",
    "fused_head_loss",
    "selected_logp",
]


class HeadLoss(NamedTuple):
    """The outcome of `fused_head_loss`; only `surrogate` carries a gradient.

    Attributes:
        surrogate: Scalar, sum of coefficient · logp over kept rows. Its gradient is that of the
            objective; its value only where the objective is linear in logp.
        logp: (M,), nats; nan for rows not kept.
        entropy: (M,), nats; None unless asked for.
        coefficients: (M,), d loss / d logp.
    """

    surrogate: Tensor
    logp: Tensor
    entropy: Tensor | None
    coefficients: Tensor


def fused_head(
    hidden: Tensor,
    weight: Tensor,
    *,
    targets: Tensor,
    coefficients_of: CoefficientsOf,
    bias: Tensor | None = None,
    keep: Tensor | None = None,
    temperature: float = 1.0,
    entropy: bool = False,
    train_hidden: bool = True,
    train_head: bool = True,
    sequence_level: bool = False,
    tile_rows: int | None = None,
) -> HeadPass:
    """Return log-probs, coefficients and gradients of a head under any objective.

    Args:
        hidden: (M, D), float.
        weight: (V, D), float, on the same device.
        targets: int64 (M,), in [0, V) for the rows kept.
        coefficients_of: From `HeadRows` to d loss / d logp. It sees a tile of rows at a time, in
            no promised order, unless `sequence_level`.
        bias: (V,), or None.
        keep: bool (M,); rows that are False cost nothing. None keeps all.
        temperature: Logits are divided by it; above 0.
        entropy: Also return the entropy of every row's distribution.
        train_hidden: Whether to compute `grad_hidden`.
        train_head: Whether to compute `grad_weight` and `grad_bias`; False for a frozen head.
        sequence_level: Call `coefficients_of` once with all rows kept, in ascending order, at the
            price of a second pass and a fourth GEMM.
        tile_rows: Rows per tile; None chooses by `TILE_BYTES`.

    Raises:
        BadInput: Shapes, dtypes or devices that do not fit, a target outside the vocabulary, a
            temperature that is not above 0, log-probs or coefficients that are not finite.

    Example:
        >>> hidden, weight = torch.eye(2), torch.zeros(3, 2)
        >>> done = fused_head(hidden, weight, targets=torch.tensor([0, 2]),
        ...                   coefficients_of=lambda rows: -torch.ones_like(rows.logp) / 2)
        >>> [round(value, 4) for value in done.logp.exp().tolist()]
        [0.3333, 0.3333]
        >>> [round(value, 4) for value in done.grad_weight[:, 0].tolist()]
        [-0.3333, 0.1667, 0.1667]
    """
    head = checked_head(hidden, weight, targets, bias, keep, temperature, entropy, tile_rows)
    wanted = Wanted(hidden=train_hidden, weight=train_head, bias=train_head and bias is not None)
    if not sequence_level or not len(head.rows):
        return one_pass(head, coefficients_of, wanted)
    return two_passes(head, coefficients_of, wanted)


def fused_head_loss(
    hidden: Tensor,
    weight: Tensor,
    *,
    targets: Tensor,
    coefficients_of: CoefficientsOf,
    bias: Tensor | None = None,
    keep: Tensor | None = None,
    temperature: float = 1.0,
    entropy: bool = False,
    tile_rows: int | None = None,
) -> HeadLoss:
    """Return a scalar whose `backward()` gives a token-level objective's gradient, in one pass.

    The gradients are computed on the way forward and handed over on the way back, scaled by the
    incoming gradient; so `backward()` works once. Only tensors that require a gradient cost a GEMM.
    Arguments and errors as in `fused_head`.

    Example:
        >>> hidden = torch.eye(2, requires_grad=True)
        >>> loss = fused_head_loss(hidden, torch.zeros(3, 2), targets=torch.tensor([0, 2]),
        ...                        coefficients_of=lambda rows: -torch.ones_like(rows.logp) / 2)
        >>> loss.surrogate.backward()
        >>> round(loss.surrogate.item(), 4), hidden.grad.shape
        (1.0986, torch.Size([2, 2]))
    """
    head = checked_head(hidden, weight, targets, bias, keep, temperature, entropy, tile_rows)
    with_grad = torch.is_grad_enabled()
    return HeadLoss(*_OnePass.apply(hidden, weight, bias, head, coefficients_of, with_grad))


def selected_logp(
    hidden: Tensor,
    weight: Tensor,
    *,
    targets: Tensor,
    bias: Tensor | None = None,
    keep: Tensor | None = None,
    temperature: float = 1.0,
    tile_rows: int | None = None,
) -> Tensor:
    """Return log-probs of the targets (M,), differentiable, at the memory of one tile.

    For objectives that need all log-probs before the first coefficient. The backward pass computes
    the logits again (four GEMMs in all), and only for rows whose incoming gradient is not 0. Rows
    not kept are nan: select the kept ones before reducing. Arguments and errors as in `fused_head`.

    Example:
        >>> hidden = torch.eye(2, requires_grad=True)
        >>> logp = selected_logp(hidden, torch.zeros(4, 2), targets=torch.tensor([0, 3]))
        >>> logp.exp().tolist()
        [0.25, 0.25]
        >>> logp.sum().backward()
    """
    head = checked_head(hidden, weight, targets, bias, keep, temperature, False, tile_rows)
    return _SelectedLogp.apply(hidden, weight, bias, head)


class _OnePass(torch.autograd.Function):
    @staticmethod
    def forward(  # pyrefly: ignore[bad-override]
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        head: Head,
        coefficients_of: CoefficientsOf,
        with_grad: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        wanted = Wanted(*(with_grad and need for need in ctx.needs_input_grad[:3]))
        done = one_pass(head, coefficients_of, wanted)
        ctx.gradients = (done.grad_hidden, done.grad_weight, done.grad_bias)
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        fixed = (done.logp, done.entropy, done.coefficients)
        ctx.mark_non_differentiable(*(tensor for tensor in fixed if tensor is not None))
        surrogate = (done.coefficients[head.rows] * done.logp[head.rows]).sum()
        return surrogate, *fixed

    @staticmethod
    @once_differentiable
    def backward(  # pyrefly: ignore[bad-override]
        ctx: Any, grad: Tensor, *_: Any
    ) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise BadInput(
                "one backward() per fused_head_loss",
                got="a second one",
                fix="Call fused_head_loss again, or build the loss from selected_logp.",
            )
        gradients, ctx.gradients = ctx.gradients, None
        scaled = (None if tensor is None else tensor.mul_(grad) for tensor in gradients)
        return *_cast(scaled, ctx.dtypes), None, None, None


class _SelectedLogp(torch.autograd.Function):
    @staticmethod
    def forward(  # pyrefly: ignore[bad-override]
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, head: Head
    ) -> Tensor:
        ctx.head = head
        # Kept so that autograd notices when one of them is changed in place before backward().
        ctx.save_for_backward(hidden, weight, bias)
        return one_pass(head, None, Wanted(False, False, False)).logp

    @staticmethod
    @once_differentiable
    def backward(  # pyrefly: ignore[bad-override]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        done = with_coefficients(ctx.head, grad, Wanted(*ctx.needs_input_grad[:3]))
        gradients = (done.grad_hidden, done.grad_weight, done.grad_bias)
        dtypes = (None if tensor is None else tensor.dtype for tensor in inputs)
        return *_cast(gradients, dtypes), None


def _cast(gradients: Any, dtypes: Any) -> list[Tensor | None]:
    pairs = zip(gradients, dtypes, strict=True)
    return [None if grad is None else grad.to(dtype) for grad, dtype in pairs]
