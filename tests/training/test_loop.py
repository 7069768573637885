from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.objectives.denominator import Denominator, denominator_of
from twiceshy.objectives.loss_types import Loss
from twiceshy.objectives.losses import ppo_clip, reinforce
from twiceshy.training.checkpoint import load_policy, save_policy
from twiceshy.training.config import ObjectiveConfig, step_objective
from twiceshy.training.curriculum import UniformPrompts
from twiceshy.training.evaluation import EvaluationConfig
from twiceshy.training.loop import CHECKPOINT, METRICS, RlConfig, StepRecord, Trained, train
from twiceshy.training.policy import PolicyConfig, TinyPolicy
from twiceshy.training.rollouts import Rollouts, roll_out
from twiceshy.training.sft import SftConfig, fine_tune, untrained
from twiceshy.training.tasks import Chain, Change, Countdown, Task
from twiceshy.training.update import (
    MAX_CHECKED,
    StepObjective,
    UpdateConfig,
    Updated,
    right_change,
    update,
)

TASK = Chain(easy=1.0, medium=0.0)
N_STEPS = 7


def signed(labels: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    del group
    return labels.float()


PLAIN = StepObjective(name="signed", advantages=signed, loss=ppo_clip)
CONFIG = RlConfig(
    n_prompts=40,
    prompts_per_step=6,
    group_size=4,
    n_steps=N_STEPS,
    learning_rate=1e-2,
    truncated_as="as_judged",
    checkpoint_every=2,
    update=UpdateConfig(n_minibatches=3, micro_rows=5),
)
EVALUATION = EvaluationConfig(every=3, n_prompts=5, n_samples=8, ks=(1, 8))


def tiny(task: Task = TASK, seed: int = 0) -> TinyPolicy:
    return untrained(task, config=PolicyConfig(width=16, n_layers=1, n_heads=2), seed=seed)


def run(folder: Path | None, *, kill_after: int = -1) -> Trained:
    def progress(record: StepRecord) -> None:
        if record.step == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    return train(
        tiny(),
        TASK,
        objective=PLAIN,
        config=CONFIG,
        evaluation=EVALUATION,
        seed=5,
        folder=folder,
        progress=progress,
    )


def rollouts_of(policy_seed: int = 0, group_size: int = 4) -> Rollouts:
    return roll_out(
        tiny(seed=policy_seed),
        TASK,
        TASK.prompts(6, split="train", seed=0),
        group_size=group_size,
        seed=1,
        truncated_as="as_judged",
    )


def updated_weights(objective: StepObjective, config: UpdateConfig) -> tuple[torch.Tensor, Updated]:
    policy = tiny()
    optimiser = torch.optim.SGD(policy.parameters(), lr=0.1)
    done = update(
        policy, optimiser, rollouts_of(), objective=objective, config=config, seed=0, step=0
    )
    return torch.cat([p.detach().flatten() for p in policy.parameters()]), done


def mixed(labels: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Advantages of both signs, and of 0, whatever the labels are."""
    del group
    return torch.linspace(-1, 1, len(labels)).round(decimals=1) * (
        torch.arange(len(labels)) % 3 > 0
    )


def test_kill_at_any_step_and_resume(tmp_path: Path) -> None:
    """Killed by the kernel after steps 1, 2 and 5, the run ends with the same bytes."""
    run(tmp_path / "whole")
    expected = (tmp_path / "whole" / METRICS).read_bytes()
    assert len(expected.splitlines()) == N_STEPS + 1
    for kill_after in (1, 2, 5):
        done = subprocess.run(
            [sys.executable, __file__, tmp_path / "killed", str(kill_after)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "killed" / METRICS).read_bytes() != expected
    run(tmp_path / "killed")
    assert (tmp_path / "killed" / METRICS).read_bytes() == expected
    weights = [torch.load(tmp_path / n / CHECKPOINT)["policy"] for n in ("whole", "killed")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
@pytest.mark.parametrize("kill_after", range(N_STEPS + 1))
def test_kill_at_every_step(tmp_path: Path, kill_after: int) -> None:
    subprocess.run([sys.executable, __file__, tmp_path / "killed", str(kill_after)])
    run(tmp_path / "killed")
    run(tmp_path / "whole")
    names = ("whole", "killed")
    assert len({(tmp_path / name / METRICS).read_bytes() for name in names}) == 1


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    again = run(tmp_path)
    assert again.records == first.records
    assert again.cpu_seconds["rollouts"] == 0.0


def test_another_run_does_not_take_over_the_folder(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(BadInput, match="another folder"):
        train(tiny(seed=1), TASK, objective=PLAIN, config=CONFIG, seed=5, folder=tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(BadInput, match=r"checkpoint\.pt"):
        run(tmp_path)


def test_lost_metrics_are_named(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / METRICS).write_bytes(b"")
    with pytest.raises(BadInput, match="as many as the checkpoint has seen"):
        run(tmp_path)


def test_records_count_what_happened() -> None:
    trained = run(None)
    assert [record.step for record in trained.records] == list(range(N_STEPS + 1))
    evaluated = [record.step for record in trained.records if record.evaluation]
    assert evaluated == [0, 3, 6, 7]
    for record in trained.records[1:]:
        metrics = record.metrics
        counts = [metrics["n_right"], metrics["n_wrong"], metrics["n_abstained"]]
        assert sum(count or 0 for count in counts) == 24
        assert metrics["n_updates"] == 3
        states = [value or 0 for name, value in metrics.items() if name.startswith("groups/")]
        assert sum(states) == 6


def test_cutting_a_minibatch_changes_nothing() -> None:
    objective = StepObjective(name="mixed", advantages=mixed, loss=ppo_clip)
    whole, one = updated_weights(objective, UpdateConfig(max_norm=1e9))
    cut, other = updated_weights(objective, UpdateConfig(max_norm=1e9, micro_rows=3))
    torch.testing.assert_close(whole, cut)
    assert one.loss == pytest.approx(other.loss, abs=1e-6)
    assert one.loss_metrics == pytest.approx(other.loss_metrics, abs=1e-5)


def test_rows_without_advantage_are_left_out_at_no_cost() -> None:
    short = StepObjective(name="mixed", advantages=mixed, loss=reinforce)
    full = StepObjective(name="mixed", advantages=mixed, loss=reinforce, reads_every_row=True)
    left_out, one = updated_weights(short, UpdateConfig())
    kept, other = updated_weights(full, UpdateConfig())
    torch.testing.assert_close(left_out, kept)
    assert one.n_rows < other.n_rows == 24


def test_one_step_is_the_gradient_of_the_formula() -> None:
    """−Σ advantage · logp / (rows · budget), by autograd over the plain formula."""
    objective = StepObjective(name="mixed", advantages=mixed, loss=reinforce)
    weights, _ = updated_weights(objective, UpdateConfig(max_norm=1e9))
    policy, rollouts = tiny(), rollouts_of()
    logp = policy.logp(torch.tensor(rollouts.prompts), rollouts.responses, prompt_of=rollouts.group)
    advantages = mixed(rollouts.labels, rollouts.group)
    loss = -(advantages[:, None] * logp * rollouts.mask).sum() / rollouts.mask.numel()
    loss.backward()
    expected = [p.detach() - 0.1 * p.grad for p in policy.parameters() if p.grad is not None]
    torch.testing.assert_close(weights, torch.cat([p.flatten() for p in expected]))


def test_credit_spreads_the_advantage() -> None:
    def first_only(logp: torch.Tensor, entropy: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        del entropy, mask
        return (torch.arange(logp.shape[1]) == 0).float().expand(logp.shape)

    seen: list[torch.Tensor] = []

    def spy(
        logp: torch.Tensor,
        *,
        old_logp: torch.Tensor,
        advantages: torch.Tensor,
        mask: torch.Tensor,
        denominator: Denominator,
    ) -> Loss:
        seen.append(advantages)
        return reinforce(
            logp, old_logp=old_logp, advantages=advantages, mask=mask, denominator=denominator
        )

    objective = StepObjective(name="first", advantages=mixed, loss=spy, credit=first_only)
    updated_weights(objective, UpdateConfig())
    assert (seen[0][:, 0] != 0).all()
    assert (seen[0][:, 1:] == 0).all()


def test_each_minibatch_has_one_denominator_and_drifts_from_the_sampler() -> None:
    seen: list[tuple[float, float]] = []

    def spy(
        logp: torch.Tensor,
        *,
        old_logp: torch.Tensor,
        advantages: torch.Tensor,
        mask: torch.Tensor,
        denominator: Denominator,
    ) -> Loss:
        drift = ((logp.detach() - old_logp) * mask).abs().max()
        seen.append((denominator.value, float(drift)))
        return ppo_clip(
            logp, old_logp=old_logp, advantages=advantages, mask=mask, denominator=denominator
        )

    objective = StepObjective(
        name="spy", advantages=mixed, loss=spy, denominator=_rows, reads_every_row=True
    )
    _, done = updated_weights(objective, UpdateConfig(n_minibatches=3, n_epochs=2, micro_rows=4))
    assert done.n_updates == 6
    assert done.n_rows == 48
    assert [denominator for denominator, _ in seen] == [8.0] * 12
    assert seen[0][1] < 1e-5 < seen[-1][1]


def _rows(mask: torch.Tensor) -> Denominator:
    return denominator_of(mask, kind="sequences")


def test_without_any_advantage_there_is_no_update() -> None:
    def none(labels: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
        del group
        return torch.zeros(len(labels))

    objective = StepObjective(name="none", advantages=none, loss=reinforce)
    weights, done = updated_weights(objective, UpdateConfig())
    assert done == Updated(0, 0, None, None, {})
    assert torch.equal(weights, torch.cat([p.detach().flatten() for p in tiny().parameters()]))


class Gate(UniformPrompts):
    """Learns from even places only, and counts what it has seen."""

    def __init__(self, n_pool: int) -> None:
        super().__init__(n_pool)
        self.n_seen = 0

    def observe(
        self, chosen: NDArray[np.int64], labels: NDArray[np.int8], *, step: int
    ) -> NDArray[np.bool_]:
        self.n_seen += labels.size
        return np.arange(len(chosen)) % 2 == 0

    def state(self) -> bytes:
        return str(self.n_seen).encode()

    def restore(self, state: bytes) -> None:
        self.n_seen = int(state)


def test_a_curriculum_gates_groups_and_resumes(tmp_path: Path) -> None:
    gate = Gate(CONFIG.n_prompts)
    trained = train(
        tiny(), TASK, objective=PLAIN, config=CONFIG, seed=5, folder=tmp_path, curriculum=gate
    )
    assert trained.records[1].metrics["n_groups_learned"] == 3
    assert trained.records[1].metrics["n_rows_updated"] == 12
    assert gate.n_seen == 24 * N_STEPS
    later = Gate(CONFIG.n_prompts)
    train(tiny(), TASK, objective=PLAIN, config=CONFIG, seed=5, folder=tmp_path, curriculum=later)
    assert later.n_seen == gate.n_seen


def test_uniform_prompts_visit_all_before_any_twice() -> None:
    uniform = UniformPrompts(10)
    rows = np.concatenate([uniform.choose(4, step=step, seed=1) for step in range(5)])
    assert sorted(rows[:10].tolist()) == sorted(rows[10:].tolist()) == list(range(10))
    assert rows[:10].tolist() != rows[10:].tolist()


def test_what_is_refused_at_construction() -> None:
    with pytest.raises(BadInput, match="minibatches"):
        RlConfig(prompts_per_step=2, update=UpdateConfig(n_minibatches=3))
    with pytest.raises(BadInput, match="learning rate"):
        RlConfig(learning_rate=0.0)
    with pytest.raises(BadInput, match="above 0"):
        UpdateConfig(n_epochs=0)


def test_a_policy_in_a_file(tmp_path: Path) -> None:
    policy = tiny(Countdown())
    save_policy(tmp_path / "base.pt", policy, about={"task": "countdown"})
    found = load_policy(tmp_path / "base.pt")
    assert found.about == {"task": "countdown"}
    assert torch.equal(found.policy.head.weight, policy.head.weight)
    with pytest.raises(BadInput, match="policy file"):
        load_policy(tmp_path / "absent.pt")


def test_learning_raises_accuracy() -> None:
    """A base that pays two coins a quarter of the time gets clearly better (0.25 to 0.45)."""
    task = Change(n_coins=2)
    policy = untrained(task, config=PolicyConfig(width=32), seed=0)
    recipe = SftConfig(n_steps=60, batch=128, peak_rate=5e-3, n_warmup=10)
    losses = [step.loss for step in fine_tune(policy, task, config=recipe, seed=0)]
    assert losses[-1] < 0.7 * losses[0]
    trained = train(
        policy,
        task,
        objective=step_objective(ObjectiveConfig(name="rloo"), group_size=16),
        config=RlConfig(n_prompts=300, n_steps=40, learning_rate=3e-3),
        evaluation=EvaluationConfig(every=100, n_prompts=100, n_samples=8, ks=(1, 8)),
    )
    first, last = trained.records[0].evaluation, trained.records[-1].evaluation
    assert first is not None
    assert last is not None
    assert (last.pass_at[0].low or 0) > (first.pass_at[0].high or 1)


if __name__ == "__main__":  # FOLDER KILL_AFTER: a run of its own process, as a test starts it
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), kill_after=int(sys.argv[2]))


def test_right_responses_are_looked_at_again_whatever_was_learned_from() -> None:
    """By hand from the log-probabilities; under an objective that gives right rows nothing."""
    labels = (torch.arange(24) % 3 - 1).to(torch.int8)  # −1, 0 and +1 in every group
    policy, rollouts = tiny(), rollouts_of()._replace(labels=labels)
    before = right_change(policy, rollouts)
    assert before["right/logp_change"] == pytest.approx(0, abs=1e-6)
    optimiser = torch.optim.SGD(policy.parameters(), lr=0.5)
    objective = step_objective(ObjectiveConfig(name="nsr"), group_size=4)
    update(policy, optimiser, rollouts, objective=objective, config=UpdateConfig(), seed=0, step=0)
    found = right_change(policy, rollouts)
    right = rollouts.labels > 0
    logp = policy.logp(
        torch.tensor(rollouts.prompts), rollouts.responses, prompt_of=rollouts.group
    ).detach()
    change = (logp - rollouts.logp)[rollouts.mask & right[:, None]].mean()
    assert 0 < int(right.sum()) <= MAX_CHECKED
    assert found["right/n_rows"] == int(right.sum())
    assert found["right/logp_change"] == pytest.approx(float(change), abs=1e-6)
    assert abs(float(change)) > 1e-4


def test_right_responses_that_are_not_there_have_no_likelihood() -> None:
    wrong = rollouts_of()._replace(labels=torch.full((24,), -1, dtype=torch.int8))
    assert right_change(tiny(), wrong) == {"right/logp_change": None, "right/n_rows": 0.0}
    many = rollouts_of(group_size=100)._replace(labels=torch.ones(600, dtype=torch.int8))
    assert right_change(tiny(), many)["right/n_rows"] == MAX_CHECKED


def test_their_likelihood_is_in_the_metrics_of_every_step() -> None:
    records = run(None).records[1:]
    for record in records:
        n_right, change = record.metrics["n_right"], record.metrics["right/logp_change"]
        assert record.metrics["right/n_rows"] == n_right
        assert (change is None) == (n_right == 0)
