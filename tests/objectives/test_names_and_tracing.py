"""The package's names, what importing them costs, and that every tensor path can be traced."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from twiceshy import objectives
from twiceshy.objectives import credit, guards, nthr, offline
from twiceshy.objectives.all_wrong import AllWrong, treat_all_wrong
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.luck import luck_capped
from twiceshy.objectives.metrics import sign_sums

LABELS = torch.tensor([1, -1, -1, 0, -1, -1])
GROUP = torch.tensor([5, 5, 5, 5, 2, 2])
MASK = torch.tensor([[True, True, False], [True, True, True]] * 3)
LOGP = torch.linspace(-3.0, -0.1, 18).reshape(6, 3)
OLD = LOGP.flip(0)
BY_SEQUENCE = Denominator("sequences", 6)


def in_all_wrong_groups(policy: AllWrong) -> Callable[..., Tensor]:
    def treat(
        logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor
    ) -> Tensor:
        return treat_all_wrong(
            old_logp[:, 0], labels=labels, group=group, policy=policy, logp=logp, entropy=-logp,
            mask=mask,
        )  # fmt: skip

    return treat


def unlikelihood(
    logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor
) -> Tensor:
    return offline.unlikelihood(
        logp, labels=labels, mask=mask, denominator=BY_SEQUENCE
    ).coefficients


def npo(logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor) -> Tensor:
    return offline.npo(
        logp, ref_logp=old_logp, labels=labels, mask=mask, denominator=BY_SEQUENCE
    ).coefficients


def kto(logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor) -> Tensor:
    return offline.kto(
        logp, ref_logp=old_logp, labels=labels, mask=mask, denominator=BY_SEQUENCE, kl=0.1
    ).coefficients


def held(logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor) -> Tensor:
    return guards.llds(
        logp, old_logp=old_logp, labels=labels, mask=mask, denominator=BY_SEQUENCE
    ).coefficients


def masked(logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor) -> Tensor:
    signs = labels * 1.0
    drift = guards.drift_mask(logp, old_logp=old_logp, advantages=signs, mask=mask)
    floor = guards.floor_mask(logp, advantages=signs, mask=mask, floor=-1.0)
    weights = guards.sampler_weights(logp, sampler_logp=old_logp, mask=mask)
    return drift[:, None] * floor * weights


def credited(logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor) -> Tensor:
    weights = credit.top_entropy(logp, -logp, mask, share=0.5)
    weights = weights + credit.probability_band(logp, -logp, mask, low=0.1)
    weights = weights + credit.rarest(logp, -logp, mask)
    return credit.apply_credit(labels * 1.0, weights, mask=mask)


def spared(logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor) -> Tensor:
    residual = logp[:, :, None] * old_logp[:, None, :]
    return nthr.nthr_weights(residual, residual, labels=labels, group=group, mask=mask)


def lucky(logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor) -> Tensor:
    return luck_capped(labels, group, p_lucky=logp[:, 0].exp())


def logged(logp: Tensor, old_logp: Tensor, labels: Tensor, group: Tensor, mask: Tensor) -> Tensor:
    sums = sign_sums(logp, old_logp=old_logp, labels=labels, mask=mask)
    return sums["wrong/kl_sum"] + sums["right/logp_change_sum"]


PATHS = [unlikelihood, npo, kto, held, masked, credited, spared, lucky, logged]
PATHS += [in_all_wrong_groups(p) for p in ("constant", "drop", "ngrpo", "lens", "entropy_graded")]


@pytest.mark.parametrize("path", PATHS)
def test_every_tensor_path_can_be_traced(path: Callable[..., Tensor]) -> None:
    traced = torch.fx.symbolic_trace(path)
    for labels in (LABELS, -LABELS):
        inputs = (LOGP, OLD, labels, GROUP, MASK)
        torch.testing.assert_close(traced(*inputs), path(*inputs))


def test_every_name_is_there() -> None:
    for name in objectives.__all__:
        assert getattr(objectives, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        objectives.nothing  # noqa: B018


def test_torch_loads_with_the_first_name() -> None:
    script = "import sys, twiceshy.objectives; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
