from __future__ import annotations

import numpy as np
import pytest
import torch

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import pass_at_k
from twiceshy.training import rollouts as rollouts_module
from twiceshy.training.alarms import (
    length_drop,
    modal_wrong,
    repetition,
    repetition_rise,
    skip_rise,
    step_checks,
    tallies,
)
from twiceshy.training.evaluation import EvaluationConfig, distinct_right, evaluate
from twiceshy.training.policy import PolicyConfig, Sampled, TinyPolicy
from twiceshy.training.rollouts import Rollouts, TruncatedAs, judged, roll_out
from twiceshy.training.sft import untrained
from twiceshy.training.tasks import Chain, Fault, Task, encode

TASK = Chain()


def tiny(task: Task = TASK) -> TinyPolicy:
    return untrained(task, config=PolicyConfig(width=16, n_layers=1, n_heads=2), seed=0)


def given(lines: list[str], *, truncated_as: TruncatedAs = "abstain") -> Rollouts:
    """Rollouts of two groups at chains whose results are 5 and 9."""
    prompts = ["8 *1 *2 *5 _ _ _ _ _ =", "7 +5 *3 +0 _ _ _ _ _ ="]
    responses = torch.tensor([encode(TASK, line) for line in lines])
    zeros = torch.zeros(responses.shape)
    return judged(
        TASK,
        np.array([encode(TASK, prompt) for prompt in prompts]),
        Sampled(responses, zeros - 1, zeros + 0.5),
        truncated_as=truncated_as,
    )


RIGHT, ALSO_RIGHT = "9 0 5 # 5 $ $ $", "# 5 $ $ $ $ $ $"
WRONG, CUT, GUESS = "9 0 4 # 4 $ $ $", "1 2 3 4 5 6 7 8", "# 4 $ $ $ $ $ $"
LINES = [RIGHT, ALSO_RIGHT, RIGHT, WRONG, WRONG, CUT, GUESS, GUESS]


def test_labels_masks_and_groups() -> None:
    found = given(LINES)
    assert found.labels.tolist() == [1, 1, 1, -1, -1, 0, -1, -1]
    assert given(LINES, truncated_as="as_judged").labels.tolist()[5] == -1
    assert found.group.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found.mask.sum(1).tolist() == [6, 3, 6, 6, 6, 8, 3, 3]
    assert distinct_right(found).tolist() == [2, 0]
    counts = tallies(found)
    assert counts.n_success.tolist() == [3, 0]
    assert counts.n_failure.tolist() == [1, 3]
    assert counts.n_unscored.tolist() == [0, 1]


def test_rollouts_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = TASK.prompts(10, split="train", seed=0)
    whole = roll_out(tiny(), TASK, prompts, group_size=6, seed=3)
    monkeypatch.setattr(rollouts_module, "CHUNK_ROWS", 13)
    cut = roll_out(tiny(), TASK, prompts, group_size=6, seed=3)
    assert torch.equal(whole.responses, cut.responses)
    torch.testing.assert_close(whole.logp, cut.logp)
    assert not torch.equal(
        whole.responses, roll_out(tiny(), TASK, prompts, group_size=6, seed=3, step=1).responses
    )


def test_no_prompt_is_an_error() -> None:
    with pytest.raises(BadInput, match="at least one prompt"):
        roll_out(tiny(), TASK, TASK.prompts(0, split="test", seed=0), group_size=2, seed=0)


def test_an_evaluation_adds_up() -> None:
    prompts = TASK.prompts(12, split="test", seed=0)
    found = evaluate(tiny(), TASK, prompts, n_samples=16, ks=(1, 4), seed=0)
    assert found.n_scored == (16,) * 12
    assert found.n_abstained == 0
    assert sum(found.faults.values()) == 12 * 16
    assert found.faults["none"] == sum(found.n_right) if "none" in found.faults else True
    assert found.at(4) == pass_at_k(found.n_scored, found.n_right, k=4).estimate
    assert found.at(1) == pytest.approx(sum(found.n_right) / (12 * 16))
    with pytest.raises(BadInput, match="k among"):
        found.at(2)


def test_truncated_responses_can_abstain_in_an_evaluation() -> None:
    prompts = TASK.prompts(3, split="test", seed=0)
    found = evaluate(tiny(), TASK, prompts, n_samples=4, ks=(4,), seed=0, truncated_as="abstain")
    assert found.n_abstained == found.faults[Fault.TRUNCATED.value] > 0
    enough = sum(n >= 4 for n in found.n_scored)
    assert found.pass_at[0].n_prompts == enough
    assert enough or found.at(4) is None  # undefined, not 0


def test_an_evaluation_config_refuses_k_above_n() -> None:
    with pytest.raises(BadInput, match="n_samples = 8"):
        EvaluationConfig(n_samples=8, ks=(1, 16))


def test_alarms_sound_on_what_they_are_for() -> None:
    guesses = given([GUESS] * 16)
    assert modal_wrong(guesses).raised
    assert modal_wrong(guesses).value == 1.0
    assert length_drop(guesses, first=6.0).raised
    assert not length_drop(guesses, first=None).raised
    assert skip_rise(guesses, first=0.1).value == pytest.approx(0.9)
    assert skip_rise(guesses, first=0.1).raised
    lone = given([RIGHT, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG])
    check = step_checks(lone, first_length=None, first_skips=None, first_repetition=None)[0]
    assert (check.value, check.n, check.raised) == (1.0, 1, False)  # one group is too few


def answering(*digits: int) -> Rollouts:
    return given([f"9 0 1 # {digit} $ $ $" for digit in digits])


def test_repeated_wrong_answers_by_hand() -> None:
    """Answers 1, 1, 2 to one prompt and 1, 2, 3 to the other: one of six pairs agrees."""
    assert repetition(answering(1, 1, 2, 1, 2, 3)) == (pytest.approx(1 / 6), 6)
    assert repetition(answering(1, 2, 3, 1, 2, 3)) == (0.0, 6)
    assert repetition(given([RIGHT, WRONG])) == (None, 0)


def test_the_alarm_on_repetition_sounds_on_a_rise_only() -> None:
    same = answering(*[1] * 32)
    assert repetition_rise(same, first=0.1).raised
    assert not repetition_rise(same, first=0.9).raised
    assert not repetition_rise(same, first=None).raised
    assert not repetition_rise(answering(*[1] * 16), first=0.1).raised  # 56 pairs
    checks = step_checks(same, first_length=6.0, first_skips=0.0, first_repetition=0.1)
    assert len({check.name for check in checks}) == 5
    assert all(check.source for check in checks)


def test_two_prompts_got_wrong_in_one_way_each_are_not_a_habit() -> None:
    check = modal_wrong(answering(*[1] * 8, *[2] * 8))
    assert check.value == 0.5
    assert not check.raised


def test_alarms_keep_quiet_on_honest_work() -> None:
    answers = [f"9 0 {d} # {d} $ $ $" for d in range(8)] * 2
    checks = step_checks(given(answers), first_length=6.0, first_skips=0.0, first_repetition=0.1)
    assert not any(check.raised for check in checks)


def test_undefined_is_none() -> None:
    checks = step_checks(
        given([RIGHT] * 4 + [CUT] * 4), first_length=None, first_skips=None, first_repetition=None
    )
    assert [check.value for check in checks] == [None] * 5
