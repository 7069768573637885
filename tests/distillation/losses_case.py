"""What the tests of distillation losses share: draws of log-probs, and settings."""

from __future__ import annotations

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**31)
alphas = st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])


def drawn(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def logps(seed: int, *shape: int) -> Tensor:
    return drawn(seed, *shape).log_softmax(-1)
