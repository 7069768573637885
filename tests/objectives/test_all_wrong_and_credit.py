"""All-wrong groups, token credit and NTHR: by hand, then what must not move, then bad input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from batches import Batch, batches, few
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from twiceshy.errors import BadInput
from twiceshy.objectives import credit
from twiceshy.objectives.advantages import nsr
from twiceshy.objectives.all_wrong import treat_all_wrong
from twiceshy.objectives.group_advantages import dr_grpo, ngrpo
from twiceshy.objectives.nthr import nthr_weights, token_residual

LABELS = torch.tensor([-1, -1, 0, -1, 1, -1], dtype=torch.int8)
GROUP = torch.tensor([0, 0, 0, 1, 2, 2])  # all wrong (one row abstains), single, mixed
MASK = torch.tensor([[True, True, False]] * 6)


def treated(policy: str, **options: Any) -> list[Any]:
    return treat_all_wrong(
        nsr(LABELS, GROUP),
        labels=LABELS,
        group=GROUP,
        policy=policy,  # pyrefly: ignore
        **options,
    ).tolist()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("as_is", -1), ("constant", -0.25), ("drop", 0), ("ngrpo", -0.25 / math.sqrt(3))],
)
def test_choices_by_hand(policy: str, expected: float) -> None:
    got = treated(policy, strength=0.25)
    assert got[:2] == pytest.approx([expected] * 2)
    assert got[2:] == [0, -1, 0, -1]


def test_lens_punishes_confidence_and_is_bounded() -> None:
    logp = torch.tensor([[0.2, 0.2, 9.0], [0.9, 0.9, 9.0], *[[0.5, 0.5, 0.5]] * 4]).log()
    got = treated("lens", logp=logp, mask=MASK, strength=0.5)
    assert got[0] == pytest.approx(-0.5 * 0.2 / 0.8)
    assert got[1] == pytest.approx(-0.5)
    assert got[2:] == [0, -1, 0, -1]
    assert treated("lens", logp=logp, mask=MASK, difficulty=0.1)[:2] == [-1, -1]


def test_entropy_graded_spares_the_undecided_token() -> None:
    entropy = torch.tensor([[0.5, 2.0, math.nan]] * 6)
    got = treated("entropy_graded", entropy=entropy, mask=MASK, strength=0.1)
    assert got[0] == pytest.approx([-0.15, 0, 0])
    assert got[4:] == [[0, 0, 0], [-1, -1, -1]]


def test_ngrpo_is_its_own_choice() -> None:
    labels, group = torch.tensor([-1, -1, -1, 1, -1]), torch.tensor([0, 0, 0, 1, 1])
    centred = dr_grpo(labels, group)
    got = treat_all_wrong(centred, labels=labels, group=group, policy="ngrpo")
    torch.testing.assert_close(got[:3], ngrpo(labels, group)[:3])
    assert got[3:].tolist() == centred[3:].tolist()


@pytest.mark.parametrize(
    ("policy", "options", "word"),
    [
        ("lense", {}, "Did you mean lens"),
        ("lens", {}, "logp"),
        ("lens", {"logp": -torch.ones(6, 3), "mask": MASK, "difficulty": 0.0}, "difficulty"),
        ("entropy_graded", {"mask": MASK}, "entropy"),
        ("entropy_graded", {"entropy": torch.full((6, 3), math.nan), "mask": MASK}, "entropies"),
        ("constant", {"strength": 2.0}, "strength"),
    ],
)
def test_bad_choices(policy: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        treated(policy, **options)


@few
@given(batch=batches(), share=st.floats(0.05, 1.0))
def test_a_share_of_each_sequence_is_chosen(batch: Batch, share: float) -> None:
    for function in (credit.top_entropy, credit.rarest):
        weights = function(batch.logp, batch.entropy, batch.mask, share=share)
        length = batch.mask.sum(dim=1)
        assert weights.sum(dim=1).tolist() == torch.ceil(length * share - 1e-6).tolist()
        assert weights[~batch.mask].eq(0).all()


@few
@given(batch=batches())
def test_chosen_tokens_outrank_the_rest(batch: Batch) -> None:
    chosen = credit.top_entropy(batch.logp, batch.entropy, batch.mask, share=0.5).bool()
    for row in range(len(batch.mask)):
        kept = batch.entropy[row][chosen[row]]
        left = batch.entropy[row][batch.mask[row] & ~chosen[row]]
        assert not len(kept) or not len(left) or kept.min() >= left.max()


@few
@given(batch=batches(), cut=st.integers(1, 5))
def test_credit_does_not_see_other_rows(batch: Batch, cut: int) -> None:
    for function in credit.uniform, credit.top_entropy, credit.rarest, credit.probability_band:
        whole = function(batch.logp, batch.entropy, batch.mask)
        part = function(batch.logp[:cut], batch.entropy[:cut], batch.mask[:cut])
        assert part.equal(whole[:cut])


def test_credit_applies_to_the_sign_asked_for() -> None:
    advantages, mask = torch.tensor([2.0, -2.0]), torch.tensor([[True, True]] * 2)
    weights = torch.tensor([[0.5, 1.0]] * 2)
    negative = credit.apply_credit(advantages, weights, mask=mask)
    assert negative.tolist() == [[2, 2], [-1, -2]]
    positive = credit.apply_credit(advantages, weights, mask=mask, sign="positive")
    assert positive.tolist() == [[1, 2], [-2, -2]]
    both = credit.apply_credit(advantages, weights, mask=mask, sign="both")
    assert both.tolist() == [[1, 2], [-1, -2]]


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (credit.top_entropy, {"share": 1.5}),
        (credit.top_entropy, {"entropy": torch.full((1, 2), math.nan)}),
        (credit.probability_band, {"low": 0.5, "high": 0.4}),
        (credit.probability_band, {"logp": torch.ones(1, 2)}),
        (credit.rarest, {"mask": torch.ones(1, 2)}),
    ],
)
def test_bad_credit(function: Callable[..., Tensor], options: dict[str, Any]) -> None:
    one, mask = -torch.ones(1, 2), torch.tensor([[True, True]])
    good: dict[str, Any] = {"logp": one, "entropy": one, "mask": mask}
    with pytest.raises(BadInput):
        function(**good | options)


def test_bad_weights() -> None:
    one, mask = torch.ones(1, 2), torch.tensor([[True, True]])
    with pytest.raises(BadInput, match="weights"):
        credit.apply_credit(one[:, 0], one[:, :1], mask=mask)
    with pytest.raises(BadInput, match="weights"):
        credit.apply_credit(one[:, 0], -one, mask=mask)
    with pytest.raises(BadInput, match="negative"):
        credit.apply_credit(one[:, 0], one, mask=mask, sign="minus")  # pyrefly: ignore


def nthr_by_hand(batch: dict[str, Any]) -> list[list[float]]:
    """NTHR written out with loops over groups, rows and tokens."""
    residual, hidden, labels = batch["residual"], batch["hidden"], batch["labels"].tolist()
    group, mask = batch["group"].tolist(), batch["mask"]
    n, t = mask.shape
    weights = [[float(mask[i, j]) for j in range(t)] for i in range(n)]
    for name in set(group):
        rows = [i for i in range(n) if group[i] == name]
        right = [i for i in rows if labels[i] > 0]
        wrong = [i for i in rows if labels[i] < 0]
        if not right or not wrong:
            continue
        influence = torch.zeros(residual.shape[2], hidden.shape[2], dtype=residual.dtype)
        for i in right:
            for j in range(t):
                if mask[i, j]:
                    influence += torch.outer(residual[i, j], hidden[i, j])

        def score(i: int, j: int, influence: torch.Tensor = influence) -> float:
            return float(residual[i, j] @ influence @ hidden[i, j])

        means = [[score(i, j) for j in range(t) if mask[i, j]] for i in right]
        threshold = min(sum(scores) / len(scores) for scores in means)
        share = len(right) / (len(right) + len(wrong))
        for i in wrong:
            for j in range(t):
                if mask[i, j] and score(i, j) > threshold:
                    weights[i][j] = 2 * abs(0.5 - share)
    return weights


@pytest.mark.parametrize("seed", range(5))
def test_nthr_against_loops(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(8, 4, 7, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 7, (8, 4), generator=generator)
    mask = torch.rand(8, 4, generator=generator) < 0.8
    mask[:, :2] = True
    hidden = torch.randn(8, 4, 3, generator=generator)
    for part in (logits, targets, mask, hidden):
        part[1] = part[0]  # a failure that says what the success says must be spared
    hidden[~mask] = math.nan
    batch: dict[str, Any] = {
        "residual": token_residual(logits, targets=targets, vocabulary=targets.unique()),
        "hidden": hidden,
        "labels": torch.tensor([1, -1, -1, 0, 1, 1, -1, -1], dtype=torch.int8),
        "group": torch.tensor([4, 4, 4, 4, 2, 2, 2, 3]),
        "mask": mask,
    }
    got = nthr_weights(**batch)
    torch.testing.assert_close(got, torch.tensor(nthr_by_hand(batch)))
    assert got[1][mask[1]].min().item() == pytest.approx(1 / 3)
    with pytest.raises(BadInput, match="shape"):
        nthr_weights(**batch | {"hidden": hidden[:, :2]})
