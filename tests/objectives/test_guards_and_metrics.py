"""Guards, abort rules and metrics by sign."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from batches import Batch, batches, few
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.objectives import abort
from twiceshy.objectives.denominator import Denominator
from twiceshy.objectives.groups import group_states
from twiceshy.objectives.guards import drift_mask, floor_mask, llds
from twiceshy.objectives.losses import ppo_clip
from twiceshy.objectives.metrics import merged, sign_sums, summarised


def test_drift_mask_drops_failures_that_were_left() -> None:
    old = torch.full((4, 2), -1.0)
    logp = torch.tensor([[-1.4, -1.4], [-1.6, -1.6], [-1.6, -1.6], [-1.6, math.nan]])
    mask = torch.tensor([[True, True]] * 3 + [[True, False]])
    keep = drift_mask(
        logp, old_logp=old, advantages=torch.tensor([-1.0, -1.0, 1.0, -1.0]), mask=mask
    )
    assert keep.tolist() == [True, False, True, False]
    with pytest.raises(BadInput, match="threshold"):
        drift_mask(logp, old_logp=old, advantages=torch.ones(4), mask=mask, threshold=math.nan)
    with pytest.raises(BadInput, match="advantages"):
        drift_mask(logp, old_logp=old, advantages=torch.ones(4, 2), mask=mask)


def test_floor_mask_spares_failures_only() -> None:
    logp = torch.tensor([[-1.0, -10.0], [-1.0, -10.0]])
    mask = torch.tensor([[True, True]] * 2)
    keep = floor_mask(logp, advantages=torch.tensor([1.0, -1.0]), mask=mask)
    assert keep.tolist() == [[True, True], [True, False]]


def test_llds_gates() -> None:
    common: dict[str, Any] = {
        "old_logp": torch.full((2, 4), -1.0),
        "labels": torch.tensor([1, -1]),
        "mask": torch.ones(2, 4, dtype=torch.bool),
        "denominator": Denominator("constant", 1),
        "strength": 1.0,
    }
    logp = torch.tensor([[-1.5, -0.8, -1.1, -0.1]] * 2)  # falls 0.5, −0.2 | 0.1, −0.9
    action = torch.tensor([[0, 0, 1, 1]] * 2)
    assert llds(logp, gate="token", **common).value.item() == pytest.approx(0.6)
    assert llds(logp, gate="action", action=action, **common).value.item() == pytest.approx(0.5)
    assert llds(logp, gate="response", **common).value.item() == 0
    assert llds(logp, gate="token", **common).coefficients[1].eq(0).all()
    with pytest.raises(BadInput, match="action"):
        llds(logp, gate="action", action=action + 3, **common)
    with pytest.raises(BadInput, match="gate"):
        llds(logp, gate="step", **common)  # pyrefly: ignore


def sums_of(batch: Batch) -> dict[str, torch.Tensor]:
    loss = ppo_clip(
        batch.logp,
        old_logp=batch.old_logp,
        advantages=batch.advantages,
        mask=batch.mask,
        denominator=batch.denominator,
    )
    return loss.metrics | sign_sums(
        batch.logp,
        old_logp=batch.old_logp,
        labels=batch.labels,
        mask=batch.mask,
        coefficients=loss.coefficients,
        entropy=batch.entropy,
    )


@few
@given(batch=batches(), cut=st.integers(1, 5))
def test_metrics_of_pieces_merge_into_those_of_the_batch(batch: Batch, cut: int) -> None:
    pieces = [batch.rows(slice(None, cut)), batch.rows(slice(cut, None))]
    together = merged([sums_of(piece) for piece in pieces if len(piece.mask)])
    whole = sums_of(batch)
    assert together.keys() == whole.keys()
    for name, value in whole.items():
        torch.testing.assert_close(together[name], value)
    strata = ("right", "wrong", "abstained")
    assert sum(int(whole[f"{name}/n_tokens"]) for name in strata) == int(batch.mask.sum())


def test_metrics_by_hand() -> None:
    labels, group = torch.tensor([1, -1, -1, 0]), torch.tensor([0, 0, 1, 1])
    labels, group = torch.cat([labels, torch.tensor([-1])]), torch.cat([group, torch.tensor([1])])
    old = torch.full((5, 2), -1.0)
    logp = old + torch.tensor([[-0.5, -0.1], [0.5, 0.0], [-10.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    mask = torch.ones(5, 2, dtype=torch.bool)
    mask[0, 1] = False
    got = summarised(
        sign_sums(
            logp,
            old_logp=old,
            labels=labels,
            mask=mask,
            entropy=torch.full((5, 2), 2.0),
            all_wrong=group_states(labels, group).all_wrong,
            truncated=torch.tensor([False, True, False, False, False]),
        )
    )
    assert got["right/logp_change"] == pytest.approx(-0.5)
    assert got["right/kl"] == pytest.approx(math.exp(-0.5) - 1 + 0.5)
    assert got["right/length"] == 1
    assert got["right/entropy"] == 2
    assert got["wrong/n_rows"] == 3
    assert got["wrong/truncated"] == pytest.approx(1 / 3)
    assert got["wrong/rare"] == pytest.approx(1 / 6)
    assert got["wrong/ratio_max"] == pytest.approx(math.exp(0.5))
    assert got["all_wrong/n_rows"] == 2
    assert got["abstained/n_tokens"] == 2


def test_the_loss_logs_what_it_clipped_by_sign() -> None:
    old, ratio = torch.full((2, 4), -2.0), torch.tensor([[0.5, 1.0, 1.5, 4.0]] * 2)
    loss = ppo_clip(
        old + ratio.log(),
        old_logp=old,
        advantages=torch.tensor([1.0, -1.0]),
        mask=torch.ones(2, 4, dtype=torch.bool),
        denominator=Denominator("tokens", 8),
    )
    got = summarised(loss.metrics)
    for sign, low, high in (("positive", 0.0, 0.5), ("negative", 0.25, 0.25)):
        assert got[f"advantage_{sign}/clipped_low"] == low
        assert got[f"advantage_{sign}/clipped_high"] == high
        assert got[f"advantage_{sign}/ratio_max"] == pytest.approx(4.0)
    assert got["advantage_positive/loss"] == pytest.approx(-(0.5 + 1 + 1.2 + 1.2) / 8)
    assert got["advantage_negative/gradient"] == pytest.approx((1 + 1.5) / 8)


def test_a_mean_over_nothing_is_undefined() -> None:
    one, mask = torch.tensor([[-1.0]]), torch.tensor([[True]])
    got = summarised(sign_sums(one, old_logp=one, labels=torch.tensor([1]), mask=mask))
    assert got["wrong/logp"] is None
    assert got["wrong/n_rows"] == 0
    assert got["right/kl"] == 0


def severity(alarm: Any) -> str | None:
    return None if alarm is None else alarm.severity


def test_abort_rules() -> None:
    assert [severity(abort.malformed_alarm(bad, 100)) for bad in (10, 11, 31)] == [
        None, "warning", "alarm",
    ]  # fmt: skip
    assert severity(abort.rare_token_alarm(6, 100)) == "alarm"
    assert [severity(abort.length_alarm(m, at_start=100)) for m in (49, 50, 200, 201)] == [
        "alarm", None, None, "alarm",
    ]  # fmt: skip
    short = abort.length_alarm(10, at_start=100)
    assert short is not None
    assert short.threshold == 0.5
    assert severity(abort.likelihood_alarm(-0.01)) is None
    assert severity(abort.likelihood_alarm(None)) is None
    history = [0.3, 0.6, 0.5, 0.5, 0.5]
    assert severity(abort.accuracy_alarm(history)) == "alarm"
    assert severity(abort.accuracy_alarm([*history, 0.59])) is None
    with pytest.raises(BadInput, match="malformed"):
        abort.malformed_alarm(3, 2)
    with pytest.raises(BadInput, match="patience"):
        abort.accuracy_alarm(history, patience=0)
