from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.training.streams import generator, sequence_keys, uniforms
from twiceshy.training.tasks import (
    FAULTS,
    NO_ANSWER,
    Chain,
    ChainKind,
    Change,
    Countdown,
    Fault,
    Task,
    Tokens,
    chain_kinds,
    chain_values,
    decode,
    encode,
)
from twiceshy.training.tasks.splits import in_split

TASKS: list[Task] = [
    Countdown(),
    Change(),
    Change(n_coins=4),
    Chain(),
    Chain(medium=0.0, easy=0.2, over_budget=0.5, unlearnable=0.3),
]


def judge(task: Task, prompt: str, response: str) -> tuple[int, Fault, int, bool]:
    verdicts = task.verify(np.array([encode(task, prompt)]), np.array([encode(task, response)]))
    fault = FAULTS[int(verdicts.faults[0])]
    return int(verdicts.labels[0]), fault, int(verdicts.answers[0]), bool(verdicts.skipped[0])


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        ("3 + 8 - 3 + 5", Fault.NONE),  # 3 + 8 − 3 + 5 = 13
        ("8 - 3 + 5 + 3", Fault.NONE),
        ("3 * 3 - 8 + 5", Fault.WRONG_RESULT),  # ((3 · 3) − 8) + 5 = 6
        ("8 + 5 + 1 - 1", Fault.WRONG_ITEMS),  # 13, from other digits
        ("3 3 8 - 3 + 5", Fault.MALFORMED),
        ("3 + 8 - 3 + =", Fault.MALFORMED),
    ],
)
def test_countdown_by_hand(response: str, fault: Fault) -> None:
    label, found, answer, skipped = judge(Countdown(), "3 3 5 8 = 1 3 :", response)
    assert found is fault
    assert label == (1 if fault is Fault.NONE else -1)
    assert (answer == NO_ANSWER) == (fault is Fault.MALFORMED)
    assert not skipped


def test_countdown_reads_from_left_to_right() -> None:
    assert judge(Countdown(), "1 2 3 4 = 3 6 :", "1 + 2 * 3 * 4")[1] is Fault.NONE  # not 25


@given(st.lists(st.integers(1, 9), min_size=4, max_size=4), st.integers(1, 99))
def test_countdown_agrees_with_a_search(digits: list[int], target: int) -> None:
    """Every expression on the digits is right exactly when its value is the target."""
    task, signs = Countdown(), "+-*"
    lines = [
        (order, operators)
        for order in sorted(set(permutations(digits)))
        for operators in product(signs, repeat=3)
    ]
    values: list[int] = []
    responses: list[list[int]] = []
    for order, operators in lines:
        value = order[0]
        for sign, digit in zip(operators, order[1:], strict=True):
            value = {"+": value + digit, "-": value - digit, "*": value * digit}[sign]
        values.append(value)
        text = " ".join(f"{d} {o}" for d, o in zip(order, operators, strict=False))
        responses.append(encode(task, f"{text} {order[3]}"))
    prompt = " ".join([*map(str, sorted(digits)), "=", *f"{target:02d}", ":"])
    prompts = np.tile(encode(task, prompt), (len(lines), 1))
    labels = task.verify(prompts, np.array(responses)).labels
    assert (labels == np.where(np.array(values) == target, 1, -1)).all()


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        ("3 3 3 3 9 9", Fault.NONE),
        ("9 3 9 3 3 3", Fault.NONE),
        ("3 3 3 3 3 9", Fault.WRONG_RESULT),
        ("1 3 3 5 9 9", Fault.WRONG_ITEMS),  # 30, but no coin of 1 or 5
        ("3 3 3 3 9 =9", Fault.MALFORMED),
    ],
)
def test_change_by_hand(response: str, fault: Fault) -> None:
    label, found, answer, _ = judge(Change(), "3 9 10 11 =30", response)
    assert found is fault
    assert label == (1 if fault is Fault.NONE else -1)
    assert answer == {Fault.NONE: 30, Fault.WRONG_RESULT: 24, Fault.WRONG_ITEMS: 30}.get(fault, -1)


CHAIN_PROMPT = "8 *1 *2 *5 _ _ _ _ _ ="  # 8·1+1 = 9, 9·2+2 = 20 → 0, 0·5+5 = 5


@pytest.mark.parametrize(
    ("response", "fault", "skipped"),
    [
        ("9 0 5 # 5 $ $ $", Fault.NONE, False),
        ("1 1 1 # 5 $ $ $", Fault.NONE, False),  # the scratchpad is not graded
        ("# 5 $ $ $ $ $ $", Fault.NONE, True),  # a lucky guess
        ("# 4 $ $ $ $ $ $", Fault.SKIPPED, True),
        ("9 0 # 4 $ $ $ $", Fault.SKIPPED, True),
        ("9 0 4 # 4 $ $ $", Fault.WRONG_RESULT, False),
        ("9 0 5 5 $ $ $ $", Fault.MALFORMED, False),
        ("9 0 5 # 5 5 $ $", Fault.MALFORMED, False),
        ("9 0 5 # $ # 5 $", Fault.MALFORMED, False),  # what follows the end does not count
        ("9 0 5 0 5 0 5 0", Fault.TRUNCATED, False),
        ("9 0 5 0 5 0 5 #", Fault.TRUNCATED, False),
    ],
)
def test_chain_by_hand(response: str, fault: Fault, skipped: bool) -> None:
    label, found, _, did_skip = judge(Chain(), CHAIN_PROMPT, response)
    assert (found, did_skip) == (fault, skipped)
    assert label == (1 if fault is Fault.NONE else -1)


def test_chain_values_by_hand() -> None:
    prompts = np.array([encode(Chain(), "7 +5 *3 +0 _ _ _ _ _ =")])
    assert chain_values(prompts)[0, :3].tolist() == [2, 9, 9]


def test_hidden_operators_are_permutations() -> None:
    task = Chain()
    for operator in range(10):
        rows = [encode(task, f"{v} @{operator} _ _ _ _ _ _ _ =") for v in range(10)]
        assert sorted(chain_values(np.array(rows))[:, 0].tolist()) == list(range(10))


def test_an_honest_trace_of_seven_does_not_fit() -> None:
    """Over-budget demonstrations are cut: only skips and hidden luck can be right on them."""
    task = Chain(skips=0.0)
    shown = task.demonstrations(4000, rng=generator(0, "test"))
    verdicts = task.verify(*shown)
    for kind, fault in ((ChainKind.OVER_BUDGET, Fault.TRUNCATED),):
        of_kind = np.array([found is kind for found in chain_kinds(shown.prompts)])
        assert of_kind.sum() > 400
        assert set(verdicts.faults[of_kind].tolist()) == {FAULTS.index(fault)}
    hidden = np.array([k is ChainKind.UNLEARNABLE for k in chain_kinds(shown.prompts)])
    assert 0.05 < (verdicts.labels[hidden] == 1).mean() < 0.16  # a tenth, by chance


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_prompts_are_different_and_splits_disjoint(task: Task) -> None:
    seen: set[bytes] = set()
    for split in ("test", "train", "sft"):
        prompts = task.prompts(120, split=split, seed=3)
        assert prompts.shape == (120, task.prompt_length)
        assert in_split(prompts, split).all()
        fresh = {row.tobytes() for row in prompts}
        assert len(fresh) == 120
        assert not seen & fresh
        seen |= fresh
    assert (task.prompts(9, split="test", seed=3) == task.prompts(9, split="test", seed=3)).all()


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_demonstrations_are_of_the_sft_split_and_mostly_right(task: Task) -> None:
    shown = task.demonstrations(500, rng=generator(0, "test"))
    assert shown.responses.shape == (500, task.response_length)
    assert in_split(shown.prompts, "sft").all()
    assert int(shown.responses.max()) < len(task.symbols)
    share = (task.verify(*shown).labels == 1).mean()
    assert 0.5 < share < 0.9  # slips, and for chains what cannot be computed


def test_without_slips_every_demonstration_is_right() -> None:
    for task in (Countdown(slips=0.0), Change(slips=0.0)):
        assert (task.verify(*task.demonstrations(300, rng=generator(0, "test"))).labels == 1).all()


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_no_response_breaks_a_verifier(task: Task) -> None:
    rng = generator(1, "junk")
    prompts = task.prompts(50, split="train", seed=0)
    junk: Tokens = rng.integers(0, len(task.symbols), size=(50, task.response_length))
    verdicts = task.verify(prompts, junk)
    assert ((verdicts.labels == 1) == (verdicts.faults == FAULTS.index(Fault.NONE))).all()
    empty = task.verify(prompts[:0], junk[:0])
    assert all(len(column) == 0 for column in empty)


def test_shares_of_kinds() -> None:
    task = Chain(medium=0.1, over_budget=0.9)
    kinds = chain_kinds(task.prompts(200, split="train", seed=0))
    assert kinds.count(ChainKind.MEDIUM) == 20
    assert kinds.count(ChainKind.OVER_BUDGET) == 180


def test_what_is_refused() -> None:
    with pytest.raises(BadInput, match="add up to 1"):
        Chain(over_budget=0.5)
    with pytest.raises(BadInput, match="n_coins"):
        Change(n_coins=0)
    with pytest.raises(BadInput, match="at most"):
        Countdown().prompts(10**6, split="test", seed=0)
    with pytest.raises(BadInput, match="at most"):
        Chain(easy=1.0, medium=0.0).prompts(5000, split="test", seed=0)
    with pytest.raises(BadInput, match="symbols among"):
        encode(Countdown(), "3 / 4")


def test_text_round_trip() -> None:
    assert decode(Chain(), encode(Chain(), CHAIN_PROMPT)) == CHAIN_PROMPT


@given(st.integers(0, 2**31), st.integers(0, 1000))
def test_uniforms_are_inside_and_belong_to_the_sequence(seed: int, step: int) -> None:
    keys = sequence_keys(seed, purpose="rollouts", step=step, n=8)
    draws = uniforms(keys, 6)
    assert (draws > 0).all()
    assert (draws < 1).all()
    assert len(np.unique(draws)) > 40
    assert (draws[3:5] == uniforms(keys[3:5], 6)).all()
    other = uniforms(sequence_keys(seed, purpose="evaluate", step=step, n=8), 6)
    assert not (draws == other).any(axis=1).all()


def test_uniforms_are_uniform() -> None:
    draws = uniforms(sequence_keys(0, purpose="x", step=0, n=20_000), 5)
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    assert abs(counts - 5000).max() < 5 * 5000**0.5
    assert np.abs(np.corrcoef(draws.T) - np.eye(5)).max() < 0.03
