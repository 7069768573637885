"""Names and options: all that can be refused is refused before there is any data."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from twiceshy.errors import BadInput
from twiceshy.objectives.registry import (
    CREDITS,
    LOSSES,
    OBJECTIVES,
    bind_credit,
    bind_loss,
    bind_objective,
)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_runs_by_name(name: str) -> None:
    objective = OBJECTIVES[name]
    labels, group = torch.tensor([1, -1, -1, 0, -1]), torch.zeros(5, dtype=torch.int64)
    luck = {"p_lucky": torch.full((5,), 0.5)} if objective.needs_luck else {}
    got = bind_objective(name, group_size=5)(labels, group, **luck)
    torch.testing.assert_close(got, objective.advantages(labels, group, **luck))
    assert got.shape == (5,)
    assert got[3] == 0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_group_of_one_is_refused_before_there_is_data(name: str) -> None:
    if OBJECTIVES[name].compares:
        with pytest.raises(BadInput, match="at least"):
            bind_objective(name, group_size=1)
    else:
        bind_objective(name, group_size=1)


def test_all_wrong_groups_are_an_explicit_choice() -> None:
    labels, group = torch.tensor([-1, -1, 1, -1]), torch.tensor([0, 0, 1, 1])
    constant = bind_objective("grpo", group_size=2, all_wrong="constant", strength=0.5)
    assert constant(labels, group)[:2].tolist() == [-0.5, -0.5]
    lens = bind_objective("luck_capped", group_size=2, all_wrong="lens")
    confident = {"logp": torch.full((4, 1), -0.01), "mask": torch.ones(4, 1, dtype=torch.bool)}
    got = lens(labels, group, p_lucky=torch.ones(4), **confident)
    assert got[:3].tolist() == [-1, -1, 0]
    with pytest.raises(BadInput, match="logp"):
        lens(labels, group, p_lucky=torch.ones(4))
    with pytest.raises(BadInput, match="Did you mean drop"):
        bind_objective("nsr", group_size=2, all_wrong="dropp")  # pyrefly: ignore
    with pytest.raises(BadInput, match="strength"):
        bind_objective("nsr", group_size=2, all_wrong="constant", strength=2.0)


def test_losses_and_credit_run_by_name() -> None:
    for name in LOSSES:
        assert bind_loss(name).func is LOSSES[name]
    for name in CREDITS:
        weights = bind_credit(name)(
            -torch.ones(1, 3), torch.ones(1, 3), torch.tensor([[True, True, False]])
        )
        assert weights[0, 2] == 0


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("w_reinforced", {}, "Did you mean w_reinforce"),
        ("w_reinforce", {"lambda": 0.1}, "Did you mean lambda_pos"),
        ("w_reinforce", {"lambda_pos": 1.5}, "lambda_pos"),
        ("w_reinforce", {"lambda_pos": "a tenth"}, "lambda_pos"),
        ("psr", {"lambda_pos": 0.5}, "expected no options"),
        ("signed", {"baseline": "loo"}, "leave_one_out"),
        ("signed", {"baseline": "group_mean"}, "at least 2"),
        ("pass_at_k", {"k": 9}, "at least 9"),
        ("luck_capped", {"cap": 0.0}, "cap"),
    ],
)
def test_bad_objectives(name: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        bind_objective(name, group_size=1 if name == "signed" else 8, options=options)


def test_bad_losses_and_credit() -> None:
    with pytest.raises(BadInput, match="Did you mean ppo_clip"):
        bind_loss("ppo_clipp")
    with pytest.raises(BadInput, match="clip_high"):
        bind_loss("ppo_clip", options={"clip_hi": 0.2})
    with pytest.raises(BadInput, match="ratio_max"):
        bind_loss("cispo", options={"ratio_max": 0.2})
    with pytest.raises(BadInput, match="level"):
        bind_loss("topr", options={"level": "word"})  # pyrefly: ignore
    with pytest.raises(BadInput, match="share"):
        bind_credit("rarest", options={"share": 2.0})
    with pytest.raises(BadInput, match="group_size"):
        bind_objective("nsr", group_size=0)
