"""Random batches for the tests of losses and guards."""

from __future__ import annotations

from typing import NamedTuple, get_args

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from twiceshy.objectives.denominator import Denominator, DenominatorKind, denominator_of

few = settings(max_examples=20, deadline=None)


class Batch(NamedTuple):
    logp: Tensor
    old_logp: Tensor
    advantages: Tensor
    labels: Tensor
    group: Tensor
    mask: Tensor
    entropy: Tensor
    denominator: Denominator

    def rows(self, rows: slice) -> Batch:
        parts = (part[rows] for part in self[:-1])
        return Batch(*parts, self.denominator)  # pyrefly: ignore


@st.composite
def batches(draw: st.DrawFn, *, dtype: torch.dtype = torch.float64) -> Batch:
    """A batch with ragged masks, rubbish off the mask and log ratios of about 0.5."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    n, t = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    kind = draw(st.sampled_from(get_args(DenominatorKind)))
    spread = draw(st.sampled_from([0.05, 0.5, 3.0]))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    old = -normal(n, t).abs() - 0.01
    logp = (old + spread * normal(n, t)).clamp(max=-1e-3)
    mask = torch.rand(n, t, generator=generator) < 0.7
    mask[0, 0] = True
    labels = torch.randint(-1, 2, (n,), generator=generator, dtype=torch.int8)
    denominator = denominator_of(mask, kind=kind, constant=7.0 if kind == "constant" else None)
    rubbish = torch.full_like(logp, float("nan"))
    return Batch(
        logp=torch.where(mask, logp, rubbish),
        old_logp=torch.where(mask, old, rubbish),
        advantages=normal(n) * (labels != 0),
        labels=labels,
        group=torch.arange(n) // 3,
        mask=mask,
        entropy=torch.where(mask, normal(n, t).abs(), rubbish),
        denominator=denominator,
    )
