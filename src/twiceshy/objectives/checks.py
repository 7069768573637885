"""What the objectives refuse, and how they say so.

Checks read values, so they cannot be traced. Under `torch.fx` the arguments are proxies without
values: each check then passes them on untouched, and the traced graph holds tensor operations only.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import Proxy

from twiceshy.choices import require_between as require_between
from twiceshy.choices import require_choice as require_choice
from twiceshy.choices import unknown_name as unknown_name
from twiceshy.errors import BadInput

LOGP_SLACK = 1e-3
"""How far above 0 rounding may push a log-probability, in nats. Ours."""


def is_traced(*tensors: object) -> bool:
    """Return whether any argument is a proxy of `torch.fx` and thus has no values to check."""
    return any(isinstance(tensor, Proxy) for tensor in tensors)


def require_shape(tensor: Tensor, *, like: Tensor, where: str) -> None:
    """Refuse a tensor whose shape is not that of `like`.

    Raises:
        BadInput: If shapes differ.
    """
    if is_traced(tensor, like) or tensor.shape == like.shape:
        return
    raise BadInput(f"shape {tuple(like.shape)}", got=str(tuple(tensor.shape)), where=where)


def checked_mask(mask: Tensor) -> Tensor:
    """Return the mask of response tokens, bool (N, T).

    Raises:
        BadInput: If it is not a bool matrix with at least one row.
    """
    if is_traced(mask):
        return mask
    if mask.dtype != torch.bool or mask.ndim != 2 or mask.shape[0] == 0:
        raise BadInput(
            "a bool mask of shape (sequences, tokens) with at least one row",
            got=f"{mask.dtype} {tuple(mask.shape)}",
            where="mask",
        )
    return mask


def checked_logp(logp: Tensor, *, mask: Tensor, where: str = "logp") -> Tensor:
    """Return log-probabilities with 0 where the mask is off, (N, T), in nats.

    What stands under the mask may be anything, NaN included; it gets no gradient.

    Raises:
        BadInput: If a response token's value is NaN, infinite or above 0.
    """
    if not is_traced(logp, mask):
        require_shape(logp, like=mask, where=where)
        kept = logp.detach()[mask]
        bad = ~(torch.isfinite(kept) & (kept <= LOGP_SLACK))
        if bool(bad.any()):
            raise BadInput(
                "finite log-probabilities, at most 0",
                got=f"{float(kept[bad][0]):g} ({int(bad.sum())} of {kept.numel()} tokens)",
                where=where,
                fix="Look for a learning rate too high, a wrong sign, or an unmasked pad token.",
            )
    return torch.where(mask, logp, torch.zeros_like(logp))


def checked_advantages(advantages: Tensor, *, mask: Tensor) -> Tensor:
    """Return advantages that broadcast over tokens: (N,) becomes (N, 1), (N, T) stays.

    Raises:
        BadInput: If the shape is neither, or a value is not finite.
    """
    if not is_traced(advantages, mask):
        if tuple(advantages.shape) not in ((mask.shape[0],), tuple(mask.shape)):
            raise BadInput(
                f"shape {tuple(mask.shape[:1])} or {tuple(mask.shape)}",
                got=str(tuple(advantages.shape)),
                where="advantages",
            )
        if not bool(torch.isfinite(advantages).all()):
            raise BadInput("finite advantages", got="NaN or infinity", where="advantages")
    return advantages.detach().reshape(mask.shape[0], -1)
