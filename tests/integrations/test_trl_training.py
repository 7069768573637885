"""Whole runs of the plugged-in trainer: identity, metrics, logs, tables, gates, the recipe."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from same_batch import GROUP_SIZE, tiny_model
from trl_case import PROMPTS, outcomes, quiet, trainer_of, verdict

from twiceshy.attempts.readers.trl import Trl
from twiceshy.attempts.reading import read_attempts
from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.frontier.ledger import SolveRateLedger
from twiceshy.integrations.trl import LabelRule, StepMetrics
from twiceshy.training.gates import FrontierGateConfig

pytestmark = quiet
RECIPE = Path(__file__).resolve().parents[2] / "examples" / "trl_tiny.py"


def weights(trainer: Any) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])


def run(trainer: Any) -> Any:
    trainer.train()
    return trainer


def test_grpo_advantages_are_plain_grpo_bit_by_bit_over_five_steps(tmp_path: Path) -> None:
    settings = {"max_steps": 5, "steps_per_generation": 2, "beta": 0.0}
    plain = run(trainer_of(tmp_path, outcomes=None, **settings))
    config = outcomes("grpo", options={"epsilon": 1e-4})
    plugged = run(trainer_of(tmp_path, outcomes=config, **settings))
    before = torch.cat([weight.detach().flatten() for weight in tiny_model().parameters()])
    assert (weights(plain) - before).abs().max() > 0.01
    assert torch.equal(weights(plugged), weights(plain))
    ours, theirs = plugged.state.log_history, plain.state.log_history
    assert len(theirs) == 6
    for mine, other in zip(ours[:-1], theirs[:-1], strict=True):
        timed = {name for name in other if "time" in name or "second" in name}
        assert {name: mine[name] for name in other.keys() - timed} == {
            name: other[name] for name in other.keys() - timed
        }


def test_all_wrong_trains_under_nsr_and_not_under_plain_grpo(tmp_path: Path) -> None:
    def nothing_right(completion_ids: Any, **_: Any) -> list[float]:
        return [0.0] * len(completion_ids)

    plain = run(trainer_of(tmp_path, outcomes=None, reward=nothing_right))
    ours = run(trainer_of(tmp_path, outcomes=outcomes(), reward=nothing_right))
    assert [line["grad_norm"] for line in plain.state.log_history[:-1]] == [0.0, 0.0]
    lines = ours.state.log_history[:-1]
    assert all(line["grad_norm"] > 0.1 for line in lines)
    assert lines[0]["twiceshy/groups/all_wrong"] == 16 / GROUP_SIZE
    assert lines[0]["twiceshy/success_rate"] == 0.0
    assert lines[0]["twiceshy/right/logp"] is None


@pytest.mark.parametrize(
    "loss", ["dapo", "grpo", "bnpo", "dr_grpo", "cispo", "sapo", "luspo", "vespo"]
)
def test_every_loss_type_learns_from_failures(tmp_path: Path, loss: str) -> None:
    config = outcomes("nsr", credit="rarest")
    trainer = trainer_of(
        tmp_path, outcomes=config, loss_type=loss, epsilon_high=5.0, steps_per_generation=2,
    )  # fmt: skip
    lines = run(trainer).state.log_history[:-1]
    assert all(line["grad_norm"] > 0 for line in lines)
    assert all(line["twiceshy/wrong/gradient"] > 0 for line in lines)
    assert all(line["twiceshy/right/gradient"] == 0 for line in lines)
    assert lines[1]["twiceshy/wrong/logp_change"] != 0


def test_metrics_add_up_whatever_the_micro_batches(tmp_path: Path) -> None:
    names = ("n_right", "n_wrong", "wrong/n_tokens", "wrong/logp", "wrong/gradient", "groups/mixed")
    one = run(trainer_of(tmp_path, outcomes=outcomes(), max_steps=1))
    four = run(
        trainer_of(
            tmp_path,
            outcomes=outcomes(),
            max_steps=1,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=4,
        )
    )
    first, second = (trainer.state.log_history[0] for trainer in (one, four))
    assert first["twiceshy/n_right"] + first["twiceshy/n_wrong"] == 16
    for name in names:
        assert second[f"twiceshy/{name}"] == pytest.approx(first[f"twiceshy/{name}"], rel=1e-4)
    assert second["grad_norm"] == pytest.approx(first["grad_norm"], rel=1e-4)


def test_the_gradient_share_is_that_of_one_update(tmp_path: Path) -> None:
    lines = []
    for every in (1, 2):
        made = trainer_of(
            tmp_path, outcomes=outcomes(), steps_per_generation=2, logging_steps=every
        )
        lines.append(run(made).state.log_history[:-1])
    one = [line["twiceshy/wrong/gradient"] for line in lines[0]]
    assert len(one) == 2
    assert lines[1][0]["twiceshy/wrong/gradient"] == pytest.approx(sum(one) / 2)


def test_own_loss_is_the_same_whatever_the_micro_batches(tmp_path: Path) -> None:
    def norm(denominator: str, **more: Any) -> float:
        config = outcomes(own="topr", denominator=denominator)
        trainer = run(trainer_of(tmp_path, outcomes=config, max_steps=1, **more))
        assert trainer.state.log_history[0]["twiceshy/loss_advantage_negative/n_tokens"] > 0
        return trainer.state.log_history[0]["grad_norm"]

    for kind in ("budget", "tokens", "sequences"):
        cut = norm(kind, per_device_train_batch_size=4, gradient_accumulation_steps=4)
        assert cut == pytest.approx(norm(kind), rel=1e-4)


def test_own_loss_keeps_the_kl_term(tmp_path: Path) -> None:
    model = tmp_path / "model"
    tiny_model().save_pretrained(model)
    config = outcomes(own="reinforce")
    trainer = trainer_of(
        tmp_path, outcomes=config, model=str(model), beta=0.5, max_steps=3,
        model_init_kwargs={"dtype": "float32"},
    )  # fmt: skip
    kls = [line["kl"] for line in run(trainer).state.log_history[:-1]]
    assert kls[0] == pytest.approx(0, abs=1e-6)
    assert kls[2] > 1e-4


def test_the_table_has_our_advantages_and_reads_as_attempts(tmp_path: Path) -> None:
    config = outcomes("w_reinforce", labels=LabelRule(reward="verdict", success=1, failure=0))
    made = trainer_of(
        tmp_path, outcomes=config, log_completions=True, max_steps=1, num_completions_to_print=1
    )
    run(made)
    attempts = list(read_attempts([tmp_path / "completions"]))
    assert len(attempts) == 16
    assert {attempt.provenance.format for attempt in attempts} == {Trl().name}
    said = {Outcome.SUCCESS: 0.1, Outcome.FAILURE: -1.0, Outcome.UNSCORED: 0.0}
    for attempt in attempts:
        assert attempt.extra["advantage"] == pytest.approx(said[attempt.outcome])
        assert (attempt.outcome is Outcome.UNSCORED) == bool(attempt.truncated)
    assert len({attempt.outcome for attempt in attempts}) >= 2
    logged = made.state.log_history[0]
    n_cut = sum(bool(attempt.truncated) for attempt in attempts)
    assert logged["twiceshy/n_truncated"] == logged["twiceshy/n_abstained"] == n_cut > 0


def test_step_metrics_file(tmp_path: Path) -> None:
    path = tmp_path / "run" / "metrics.jsonl"
    trainer = trainer_of(tmp_path, outcomes=outcomes(), more={"callbacks": [StepMetrics(path)]})
    run(trainer)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    for line, logged in zip(lines, trainer.state.log_history, strict=False):
        assert line["metrics"]["wrong/logp"] == logged["twiceshy/wrong/logp"] < 0
    assert lines[0]["metrics"]["n_right"] + lines[0]["metrics"]["n_wrong"] == 16


def test_evaluation_is_logged_apart(tmp_path: Path) -> None:
    trainer = trainer_of(
        tmp_path, outcomes=outcomes(), per_device_eval_batch_size=8,
        more={"eval_dataset": Dataset.from_dict({"prompt": PROMPTS[:4]})},
    )  # fmt: skip
    found = trainer.evaluate()
    assert found
    line = trainer.state.log_history[-1]
    assert line["eval_twiceshy/n_right"] + line["eval_twiceshy/n_wrong"] == 4 * GROUP_SIZE
    assert "twiceshy/n_right" not in line


def test_a_gate_learns_nothing_new_at_first_and_remembers(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    gate = FrontierGateConfig(p0=0.0, margin=0.02, confidence=0.6, explore=0.5)
    config = outcomes("nsr", gate=gate, ledger=str(ledger))
    first = run(trainer_of(tmp_path, outcomes=config, max_steps=6))
    lines = first.state.log_history[:-1]
    assert lines[0]["twiceshy/n_groups_learned"] == 0  # nothing is known, nothing is learned
    assert lines[0]["grad_norm"] == 0
    assert any(line["twiceshy/n_groups_learned"] > 0 for line in lines[1:])
    with SolveRateLedger(ledger, decay=gate.decay) as kept:
        rows = list(kept.rows())
    n_scored = sum(row.n_success + row.n_failure for row in rows)
    assert n_scored == 6 * 16
    assert {row.task for row in rows} <= set(PROMPTS)
    second = run(trainer_of(tmp_path, outcomes=config, max_steps=1))
    assert second.state.log_history[0]["twiceshy/n_groups_learned"] > 0


def test_luck_comes_from_the_gate(tmp_path: Path) -> None:
    gate = FrontierGateConfig(p0=0.4, margin=0.05, confidence=0.0)
    trainer = run(trainer_of(tmp_path, outcomes=outcomes("luck_capped", gate=gate)))
    assert trainer.state.log_history[0]["twiceshy/n_right"] > 0
    with pytest.raises(BadInput, match="frontier gate"):
        trainer_of(tmp_path, outcomes=outcomes("luck_capped"))


def test_the_recipe_runs_two_steps(tmp_path: Path) -> None:
    run_recipe = runpy.run_path(str(RECIPE))["run"]
    trainer = run_recipe(str(tmp_path))
    lines = trainer.state.log_history[:-1]
    assert [line["grad_norm"] > 0 for line in lines] == [True, True]
    assert (tmp_path / "metrics.jsonl").exists()
    assert lines[0]["twiceshy/wrong/gradient"] > 0
    assert lines[1]["twiceshy/wrong/ratio_max"] != 1


def test_verdict_is_about_half_right() -> None:
    assert verdict([[1, 1], [1, 2]]) == [1.0, 0.0]


@pytest.mark.parametrize(("share", "stops"), [(0.02, False), (0.2, True)])
def test_an_alarm_stops_the_run_where_asked(tmp_path: Path, share: float, stops: bool) -> None:
    logs = {"twiceshy/wrong/rare": share, "twiceshy/wrong/n_tokens": 100.0, "loss": 1.0}
    state = SimpleNamespace(is_world_process_zero=True, global_step=7)
    for asked in (True, False):
        control = SimpleNamespace(should_training_stop=False)
        StepMetrics(tmp_path / "m.jsonl", stop=asked).on_log(None, state, control, logs=logs)
        assert control.should_training_stop is (stops and asked)
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [line["alarms"][0]["name"] for line in lines] == ["rare tokens"] * 2
    StepMetrics(tmp_path / "none.jsonl").on_log(None, state, None, logs={"loss": 1.0})
    assert not (tmp_path / "none.jsonl").exists()
