from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.frontier.ledger import SolveRateLedger, TaskStatus
from twiceshy.frontier.luck import p_lucky
from twiceshy.training.base import base_policy
from twiceshy.training.config import ObjectiveConfig, step_objective
from twiceshy.training.gate_ledger import GateLedger
from twiceshy.training.gates import (
    FrontierGate,
    FrontierGateConfig,
    NaiveBand,
    NaiveBandConfig,
    gate_curriculum,
    luck_of_visits,
)
from twiceshy.training.loop import METRICS, RlConfig, Trained, train
from twiceshy.training.policy import PolicyConfig
from twiceshy.training.sft import untrained
from twiceshy.training.tasks import Chain

NEW, LIVE = TaskStatus.NEW, TaskStatus.LIVE
DEFERRED, REVIEW = TaskStatus.DEFERRED, TaskStatus.REVIEW
G = 16


def labels(*n_right: int, size: int = G) -> NDArray[np.int8]:
    """Return one group a number, with that many successes."""
    place = np.arange(size)
    return np.stack([np.where(place < r, 1, -1) for r in n_right]).astype(np.int8)


def rows(*places: int) -> NDArray[np.int64]:
    return np.array(places, dtype=np.int64)


def frontier(n_pool: int, **options: float) -> FrontierGate:
    config = FrontierGateConfig(**{"p0": 0.1, "margin": 0.0, **options})  # type: ignore[arg-type]
    return FrontierGate(n_pool, group_size=G, config=config)


def seen(gate: FrontierGate | NaiveBand, *n_right: int, step: int = 0) -> None:
    gate.observe(np.arange(len(n_right)), labels(*n_right), step=step)


def test_the_edge_of_the_frontier_by_hand() -> None:
    """P(p ≤ 0.1 | Beta(5, 13)) = P(Bin(17, 0.1) ≥ 5) = 0.022; with 3 of 16 it is 0.083."""
    for right, standing in ((4, LIVE), (3, DEFERRED), (0, DEFERRED), (16, REVIEW)):
        gate = frontier(1)
        seen(gate, right)
        assert gate.standing().tolist() == [standing], right


def test_the_margin_moves_the_edge() -> None:
    """P(p ≤ 0.2 | Beta(5, 13)) = P(Bin(17, 0.2) ≥ 5) = 0.242."""
    gate = frontier(1, margin=0.1)
    seen(gate, 4)
    assert gate.standing().tolist() == [DEFERRED]


def test_among_many_failing_prompts_a_lucky_one_needs_more() -> None:
    """Benjamini-Hochberg: 0.022 · 20 / 1 is above 0.05, and 16 of 16 is not."""
    gate = frontier(20)
    seen(gate, 4, *[0] * 19)
    assert set(gate.standing()) == {DEFERRED}
    sure = frontier(20)
    seen(sure, 16, *[0] * 19)
    assert sure.standing()[0] == REVIEW


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, G), min_size=6, max_size=6), st.integers(0, 2**20))
def test_the_gate_never_uses_the_current_visit(n_right: list[int], seed: int) -> None:
    gates = [frontier(6), frontier(6)]
    for gate in gates:
        seen(gate, 16, 8, 5, 3, 1, 0)
    chosen = gates[0].choose(6, step=1, seed=seed)
    luck = gates[0].luck(chosen)
    learned = gates[0].observe(chosen, labels(*n_right), step=1)
    other = gates[1].observe(chosen, labels(*[G - r for r in n_right]), step=1)
    assert learned.tolist() == other.tolist()
    assert learned.tolist() == [bool(row in (0, 1, 2)) for row in chosen]
    before = np.array([16, 8, 5, 3, 1, 0])[chosen]
    assert luck.tolist() == pytest.approx(p_lucky(before + 1, [17] * 6, p0=0.1).tolist())


def test_nothing_is_learned_from_the_first_visit() -> None:
    gate = frontier(40)
    chosen = gate.choose(8, step=0, seed=0)
    assert not gate.observe(chosen, labels(*[16] * 8), step=0).any()


def test_where_all_prompts_stand_above_guessing_new_ones_are_learned_from() -> None:
    gate = frontier(40)
    gate.observe(np.arange(30), labels(*[12] * 30), step=0)
    assert gate.observe(rows(35), labels(0), step=1).all()
    half = frontier(40)
    half.observe(np.arange(30), labels(*[12] * 15, *[0] * 15), step=0)
    assert not half.observe(rows(35), labels(12), step=1).any()


def test_the_naive_band_selects_the_lucky_groups() -> None:
    """Of unlearnable prompts, it learns from those whose one group happened to have successes."""
    gate = NaiveBand(4)
    learned = gate.observe(np.arange(4), labels(4, 1, 0, 16), step=0)
    assert learned.tolist() == [True, False, False, False]


def test_the_naive_band_visits_the_untried_and_those_in_the_band() -> None:
    gate = NaiveBand(10, config=NaiveBandConfig(explore=0.0))
    gate.observe(np.arange(6), labels(8, 8, 0, 0, 16, 16), step=0)
    assert sorted(gate.choose(6, step=1, seed=0)) == [0, 1, 6, 7, 8, 9]
    assert sorted(gate.choose(10, step=1, seed=0)) == list(range(10))


def test_deferred_prompts_come_back_and_can_become_live() -> None:
    gate = frontier(12, explore=0.25, replay=0.0)
    for step in range(3):
        gate.observe(rows(*range(4 * step, 4 * step + 4)), labels(0, 0, 0, 0), step=step)
    assert set(gate.standing()) == {DEFERRED}
    seen_again: set[int] = set()
    for step in range(3, 6):  # longest unvisited first
        chosen = gate.choose(4, step=step, seed=0)
        assert set(chosen // 4) == {step - 3}
        seen_again |= set(chosen.tolist())
        gate.observe(chosen, labels(0, 0, 0, 0), step=step)
    assert seen_again == set(range(12))
    for step in range(6, 9):
        gate.observe(rows(7), labels(16), step=step)
    assert gate.standing()[7] in (LIVE, REVIEW)


def test_shares_of_replay_and_exploration() -> None:
    gate = frontier(400, replay=0.25, explore=0.125, mastered=0.9)
    gate.observe(np.arange(300), labels(*[16] * 100, *[8] * 100, *[0] * 100), step=0)
    standing = gate.standing()
    chosen = gate.choose(32, step=1, seed=3)
    counts = {status: int((standing[chosen] == status).sum()) for status in TaskStatus}
    assert counts[REVIEW] == 8
    assert counts[NEW] == 4
    assert counts[LIVE] == 20
    assert len(set(chosen.tolist())) == 32


def test_few_live_prompts_get_several_groups_only_if_allowed() -> None:
    for most in (1, 3):
        gate = frontier(60, replay=0.0, explore=0.0, max_groups=most)
        gate.observe(np.arange(60), labels(*[8] * 4, *[0] * 56), step=0)
        chosen = gate.choose(20, step=1, seed=0)
        assert sorted(np.bincount(chosen)[:4]) == [most] * 4
        assert len(chosen) == 20


def test_prompts_likely_to_hold_a_contrast_are_drawn_more_often() -> None:
    gate = frontier(40, replay=0.0, explore=0.0, mastered=1.0)
    gate.observe(np.arange(40), labels(*[8] * 20, *[16] * 20), step=0)
    drawn = np.concatenate([gate.choose(10, step=step, seed=0) for step in range(40)])
    assert (drawn < 20).mean() > 0.6


def test_several_groups_of_a_prompt_are_one_visit() -> None:
    gate = frontier(2)
    gate.observe(rows(0, 0, 1), labels(8, 4, 0), step=0)
    assert gate.visits.alpha.tolist() == [13.0, 1.0]
    assert gate.visits.log == [(0, 0, 12, 20), (0, 1, 0, 16)]


def test_luck_by_hand() -> None:
    """A success after 0 of 16 is one of 17; at a new prompt it is one of one."""
    gate = frontier(2)
    seen(gate, 0)
    expected = p_lucky([1.0, 1.0], [17.0, 1.0], p0=0.1)
    assert gate.luck(rows(0, 1)).tolist() == pytest.approx(expected.tolist())
    assert gate.luck(rows(0))[0] > 0.7
    seen(gate, 0, step=1)  # 30 % of the first sixteen is forgotten
    assert gate.luck(rows(0))[0] == pytest.approx(float(p_lucky(1.0, 0.7 * 16 + 16 + 1, p0=0.1)))
    solved = frontier(1)
    seen(solved, 15)
    assert solved.luck(rows(0))[0] < 0.05


def test_what_was_said_of_luck_can_be_told_afterwards() -> None:
    gate = frontier(5)
    said: list[float] = []
    for step in range(4):
        chosen = np.sort(gate.choose(3, step=step, seed=1))
        said += gate.luck(chosen).tolist()
        gate.observe(chosen, labels(step, 2 * step, 12), step=step)
    assert luck_of_visits(gate).tolist() == said


@pytest.mark.parametrize("kind", [NaiveBandConfig(), FrontierGateConfig(p0=0.1)])
def test_state_goes_there_and_back(kind: NaiveBandConfig | FrontierGateConfig) -> None:
    first, second = (gate_curriculum(kind, n_pool=30, group_size=G) for _ in range(2))
    for step in range(3):
        chosen = first.choose(8, step=step, seed=2)
        first.observe(chosen, labels(*range(0, 16, 2)), step=step)
    second.restore(first.state())
    assert second.state() == first.state()
    assert second.choose(8, step=3, seed=2).tolist() == first.choose(8, step=3, seed=2).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 1.2}, "gate.confidence"),
        ({"replay": 0.6, "explore": 0.5}, "at most 1"),
        ({"p0": 0.85, "margin": 0.1}, "below mastered"),
        ({"max_groups": 0}, "gate.max_groups"),
        ({"decay": -0.1}, "gate.decay"),
    ],
)
def test_what_a_gate_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        frontier(4, **options)
    assert message in str(caught.value)


def test_a_gate_without_a_guess_rate_is_refused() -> None:
    with pytest.raises(BadInput, match="undeserved reward"):
        FrontierGate(4, group_size=G)
    assert FrontierGate(4, group_size=G, guess_rate=0.1).p0 == 0.1
    with pytest.raises(BadInput, match="low < high"):
        NaiveBandConfig(low=0.9, high=0.2)


TASK = Chain(easy=0.5, medium=0.0, unlearnable=0.5)
CONFIG = RlConfig(
    n_prompts=30,
    prompts_per_step=8,
    group_size=8,
    n_steps=6,
    learning_rate=1e-3,
    truncated_as="as_judged",
    checkpoint_every=2,
)
LUCKY = step_objective(ObjectiveConfig(name="luck_capped"), group_size=8)


def run(folder: Path, *, kill_after: int = -1) -> Trained:
    def progress(record: object) -> None:
        if getattr(record, "step", None) == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    return train(
        base_policy("chain").policy,
        TASK,
        objective=LUCKY,
        config=CONFIG,
        curriculum=gate_curriculum(
            FrontierGateConfig(), n_pool=30, group_size=8, guess_rate=TASK.guess_rate
        ),
        seed=5,
        folder=folder,
        ledger=folder.parent / f"{folder.name}.ledger",
        progress=progress,
    )


def test_kill_and_resume_with_the_gate_and_a_ledger(tmp_path: Path) -> None:
    """Killed after step 5, one past its checkpoint: the same bytes, and no visit counted twice."""
    whole = run(tmp_path / "whole")
    assert sum(len(record.learned) for record in whole.records) > 0
    assert any(record.metrics["n_updates"] for record in whole.records[1:])
    done = subprocess.run(
        [sys.executable, __file__, tmp_path / "killed", "5"], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    run(tmp_path / "killed")
    found = [(tmp_path / name / METRICS).read_bytes() for name in ("whole", "killed")]
    assert found[0] == found[1]
    ledgers = []
    for name in ("whole", "killed"):
        with SolveRateLedger(tmp_path / f"{name}.ledger") as ledger:
            ledgers.append([row._replace(version="") for row in ledger.rows()])
    assert ledgers[0] == ledgers[1]
    assert sum(row.n_success + row.n_failure for row in ledgers[0]) == 6 * 8 * 8


def test_a_ledger_carries_over_to_the_next_run(tmp_path: Path) -> None:
    names = [f"prompt {row}" for row in range(4)]
    first, second = frontier(4), frontier(4)
    kept = GateLedger(tmp_path / "l", prompts=names, run="first")
    seen(first, 16, 8, 0)
    seen(first, 16, 8, 0, step=1)
    assert kept.record(first) == 6
    assert kept.record(first) == 0  # all there
    seen(first, 16, step=2)
    assert kept.record(first) == 1
    later = GateLedger(tmp_path / "l", prompts=names[::-1], run="second")
    later.recall(second)
    assert second.standing().tolist() == first.standing().tolist()[::-1]
    assert second.visits.alpha.tolist() == pytest.approx(first.visits.alpha.tolist()[::-1])
    with SolveRateLedger(tmp_path / "l") as ledger:
        row = ledger.get("prompt 0", "policy")
    assert row is not None
    assert row.version.endswith(" 2")  # the step is the policy's version


def test_a_ledger_of_another_decay_is_refused(tmp_path: Path) -> None:
    SolveRateLedger(tmp_path / "l", decay=0.1).close()
    with pytest.raises(BadInput, match="decay"):
        GateLedger(tmp_path / "l", prompts=["a"], run="r").recall(frontier(1))


def test_luck_needs_a_gate_that_knows_it() -> None:
    policy = untrained(TASK, config=PolicyConfig(width=16, n_layers=1, n_heads=2), seed=0)
    for curriculum in (None, NaiveBand(30)):
        with pytest.raises(BadInput, match="knows how likely luck is"):
            train(policy, TASK, objective=LUCKY, config=CONFIG, curriculum=curriculum)


def test_a_ledger_needs_the_gate(tmp_path: Path) -> None:
    policy = untrained(TASK, config=PolicyConfig(width=16, n_layers=1, n_heads=2), seed=0)
    plain = step_objective(ObjectiveConfig(name="grpo"), group_size=8)
    with pytest.raises(BadInput, match="frontier gate"):
        train(policy, TASK, objective=plain, config=CONFIG, ledger=tmp_path / "l")


if __name__ == "__main__":  # FOLDER KILL_AFTER: a run of its own process, as a test starts it
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), kill_after=int(sys.argv[2]))
