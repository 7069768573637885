"""The same batch through our loop and through TRL: same advantages, same gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from same_batch import CLIP, DUAL_CLIP, GROUP_SIZE, _rollouts, our_loop, same_batch, tiny_model
from trl_case import on_batch, outcomes, quiet, scored, weight_gradient

from twiceshy.objectives.credit import apply_credit
from twiceshy.training.config import step_objective
from twiceshy.training.guarding import GuardConfig, LldsConfig
from twiceshy.training.hf import HfPolicy
from twiceshy.training.update import UpdateConfig, update

pytestmark = quiet

PPO = {"loss_type": "dapo", "epsilon": CLIP, "delta": DUAL_CLIP}
OBJECTIVES: list[tuple[str, dict[str, Any]]] = [
    ("nsr", {}),
    ("psr", {}),
    ("w_reinforce", {"lambda_pos": 0.1}),
    ("reinforce", {"baseline": "leave_one_out"}),
    ("grpo", {}),
    ("grpo", {"epsilon": 1e-4}),
    ("dr_grpo", {}),
    ("rloo", {}),
    ("maxrl", {}),
    ("ngrpo", {}),
    ("pass_at_k", {"k": 2}),
    ("asymre", {}),
    ("sign_balanced", {}),
]


@pytest.mark.parametrize(("name", "options"), OBJECTIVES)
def test_advantages_and_gradient_are_our_loops(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    batch, model = same_batch(), tiny_model()
    ours = our_loop(model, batch, objective=name, options=options)
    config = outcomes(name, options=options)
    trainer = on_batch(tmp_path, batch, outcomes=config, model=model, **PPO)
    inputs = scored(trainer, batch)
    torch.testing.assert_close(inputs["advantages"], ours.advantages, rtol=0, atol=0)
    gradient = weight_gradient(trainer, inputs)
    assert ours.gradient.norm() > 0.01
    torch.testing.assert_close(gradient, ours.gradient, rtol=0, atol=1e-6)


OWN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("ppo_clip", {"clip_low": 0.1, "clip_high": 0.4, "dual_clip": 1.5}, {}),
    ("cispo", {"ratio_max": 1.2}, {}),
    ("gspo", {"clip_low": 0.1, "clip_high": 0.1}, {}),
    ("topr", {}, {}),
    ("topr", {"level": "token"}, {}),
    ("reinforce", {}, {}),
    ("ppo_clip", {}, {"guards": GuardConfig(drift=0.05, floor=-4.0, llds=LldsConfig())}),
    ("ppo_clip", {}, {"denominator": "sequences"}),
    ("ppo_clip", {}, {"denominator": "tokens"}),
    ("ppo_clip", {}, {"all_wrong": "ngrpo"}),
]


@pytest.mark.parametrize(("loss", "loss_options", "more"), OWN)
def test_our_own_losses_in_trls_place(
    tmp_path: Path, loss: str, loss_options: dict[str, Any], more: dict[str, Any]
) -> None:
    batch, model = same_batch(), tiny_model()
    config = outcomes("w_reinforce", own=loss, loss_options=loss_options, on_trap="warn", **more)
    expected = loop_gradient(model, batch, config)
    trainer = on_batch(tmp_path, batch, outcomes=config, model=model)
    gradient = weight_gradient(trainer, scored(trainer, batch))
    assert expected.norm() > 0.001
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-6)


def loop_gradient(model: Any, batch: Any, config: Any) -> torch.Tensor:
    """Return the gradient of `training.update` for an objective with its own loss."""
    for weight in model.parameters():
        weight.grad = None
    update(
        HfPolicy(model),
        torch.optim.SGD(model.parameters(), lr=0.0),
        _rollouts(batch),
        objective=step_objective(config.objective, group_size=GROUP_SIZE),
        config=UpdateConfig(max_norm=1e9),
        seed=0,
        step=0,
    )
    gradient = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    return gradient.clone()


def test_token_credit_spreads_the_advantage(tmp_path: Path) -> None:
    batch = same_batch()
    config = outcomes("nsr", credit="rarest", credit_options={"share": 0.5})
    trainer = on_batch(tmp_path, batch, outcomes=config, **PPO)
    inputs = scored(trainer, batch)
    logp = trainer._get_per_token_logps_and_entropies(
        trainer.model,
        torch.cat([batch.prompts, batch.responses], dim=1),
        torch.cat([torch.ones_like(batch.prompts), batch.mask.long()], dim=1),
        batch.responses.shape[1],
    )[0].detach()
    rows = (batch.labels < 0) * -1.0
    weights = trainer.objective.credit(logp, logp, batch.mask)
    expected = apply_credit(rows, weights, mask=batch.mask)
    torch.testing.assert_close(inputs["advantages"], expected)
    blamed = (inputs["advantages"] < 0).sum(dim=1)
    half = (batch.mask.sum(dim=1) + 1) // 2
    assert torch.equal(blamed, half * (batch.labels < 0))
    assert weight_gradient(trainer, inputs).norm() > 0.01


@pytest.mark.parametrize("policy", ["lens", "entropy_graded"])
def test_all_wrong_policies_that_look_at_tokens(tmp_path: Path, policy: str) -> None:
    batch = same_batch()
    trainer = on_batch(tmp_path, batch, outcomes=outcomes("grpo", all_wrong=policy), **PPO)
    advantages = scored(trainer, batch)["advantages"].reshape(16, -1)
    assert (advantages[4:8] < 0).any(dim=1).sum() >= 3  # the second group is all wrong
    assert (advantages[8:12] == 0).all()  # the third is all right


@pytest.mark.parametrize(
    ("name", "label", "trains"), [("nsr", -1, True), ("nsr", 1, False), ("grpo", -1, False)]
)
def test_all_wrong_trains_under_nsr_and_right_only_does_nothing(
    tmp_path: Path, name: str, label: int, trains: bool
) -> None:
    batch = same_batch().of_labels(label)
    trainer = on_batch(tmp_path, batch, outcomes=outcomes(name), **PPO)
    gradient = weight_gradient(trainer, scored(trainer, batch))
    assert bool(gradient.norm() > 0.01) is trains
    assert bool((gradient == 0).all()) is not trains


def test_rows_with_advantage_alone_in_the_denominator(tmp_path: Path) -> None:
    batch = same_batch()
    plain = on_batch(tmp_path, batch, outcomes=outcomes(), **PPO)
    alone = on_batch(tmp_path, batch, outcomes=outcomes(rows_counted="with_advantage"), **PPO)
    all_rows, some_rows = scored(plain, batch), scored(alone, batch)
    n_wrong = int(batch.mask[batch.labels < 0].sum())
    assert int(some_rows["num_items_in_batch"]) == n_wrong < int(batch.mask.sum())
    ratio = weight_gradient(alone, some_rows).norm() / weight_gradient(plain, all_rows).norm()
    assert float(ratio) == pytest.approx(int(batch.mask.sum()) / n_wrong, rel=1e-4)
