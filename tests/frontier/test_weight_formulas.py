"""The sidecar's numbers are those of `twiceshy.objectives`.

To the last bit, but for objectives with a square root: torch's is not rounded correctly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.frontier.weights.formulas import (
    FORMULAS,
    counts_of,
    find_formula,
    group_advantages,
)
from twiceshy.objectives import treat_all_wrong
from twiceshy.objectives.registry import OBJECTIVES, find_objective

CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in OBJECTIVES),
    ("w_reinforce", {"lambda_pos": 0.07}),
    ("reinforce", {"baseline": "leave_one_out"}),
    ("signed", {"lambda_pos": 0.3, "lambda_neg": 0.7, "baseline": "group_mean"}),
    ("signed", {"lambda_pos": 0.1, "lambda_neg": 0.9, "baseline": "leave_one_out"}),
    ("grpo", {"epsilon": 1e-4}),
    ("pass_at_k", {"k": 1}),
    ("pass_at_k", {"k": 3}),
    ("asymre", {"margin": 0.37}),
    ("sign_balanced", {"scale": 1.7}),
    ("luck_capped", {"cap": 0.6}),
]
ROOTED = ("grpo", "ngrpo", "pass_at_k", "luck_capped")
GROUPS = st.lists(
    st.tuples(
        st.lists(st.sampled_from([-1, 0, 1]), min_size=4, max_size=9),
        st.floats(0, 1, width=32),
    ),
    min_size=1,
    max_size=6,
)


def test_every_objective_is_there_with_the_same_options() -> None:
    assert {n: set(f.options) for n, f in FORMULAS.items()} == {
        n: set(o.options) for n, o in OBJECTIVES.items()
    }


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
@settings(max_examples=25, deadline=None)
@given(groups=GROUPS)
def test_numbers_are_the_objective_s(
    name: str, options: dict[str, Any], groups: list[tuple[list[int], float]]
) -> None:
    labels = torch.tensor([label for rows, _ in groups for label in rows], dtype=torch.int8)
    group = torch.tensor([i for i, (rows, _) in enumerate(groups) for _ in rows])
    objective = find_objective(name)
    lucky = torch.tensor([p for rows, p in groups for _ in rows])
    more = {"p_lucky": lucky} if objective.needs_luck else {}
    theirs = objective.advantages(labels, group, **more, **options)
    ours = by_row(name, groups, options)
    assert ours.dtype == np.float32
    if name in ROOTED:
        np.testing.assert_array_max_ulp(ours, theirs.numpy(), maxulp=2)
    else:
        np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("policy", ["constant", "drop", "ngrpo"])
@settings(max_examples=25, deadline=None)
@given(groups=GROUPS, strength=st.floats(0, 1))
def test_all_wrong_groups_get_what_the_objectives_give_them(
    policy: Any, groups: list[tuple[list[int], float]], strength: float
) -> None:
    labels = torch.tensor([label for rows, _ in groups for label in rows], dtype=torch.int8)
    group = torch.tensor([i for i, (rows, _) in enumerate(groups) for _ in rows])
    plain = find_objective("nsr").advantages(labels, group)
    theirs = treat_all_wrong(plain, labels=labels, group=group, policy=policy, strength=strength)
    ours = by_row("nsr", groups, {}, all_wrong=policy, strength=strength)
    np.testing.assert_array_max_ulp(ours, theirs.numpy(), maxulp=2 if policy == "ngrpo" else 0)


def by_row(
    name: str, groups: list[tuple[list[int], float]], options: dict[str, Any], **more: Any
) -> np.ndarray[Any, Any]:
    counts = counts_of(
        [rows.count(1) for rows, _ in groups],
        [rows.count(-1) for rows, _ in groups],
        p_lucky=[p for _, p in groups],
    )
    given = group_advantages(name, counts, options=options, **more)
    cells = {1: given.right, -1: given.wrong, 0: np.zeros_like(given.right)}
    return np.array([cells[row][i] for i, (rows, _) in enumerate(groups) for row in rows])


def test_the_least_group_is_the_objective_s() -> None:
    for name, options in CASES:
        least = find_formula(name).least(options)
        objective = find_objective(name)
        more = {"p_lucky": torch.zeros(9)} if objective.needs_luck else {}
        labels = torch.ones(9, dtype=torch.int8)

        def tried(n: int, *, many: Any = objective, rest: Any = more, own: Any = options) -> None:
            part = {key: value[:n] for key, value in rest.items()}
            ones = torch.ones(n, dtype=torch.int8)
            many.advantages(ones, torch.zeros(n, dtype=torch.int64), **part, **own)

        assert len(labels) >= least
        tried(least)
        if least > 1:
            with pytest.raises(BadInput, match="in every group"):
                tried(least - 1)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("w_reinforced", {}, "Did you mean w_reinforce"),
        ("rloo", {"lambda_pos": 0.1}, "no options"),
        ("w_reinforce", {"lambda_pos": 2}, "from 0 to 1"),
        ("signed", {"baseline": "batch"}, "trainer makes the batches"),
        ("signed", {"lambda_pos": 0, "lambda_neg": 0}, "a weight above 0"),
        ("pass_at_k", {"k": 2.5}, "a whole k"),
        ("sign_balanced", {"scale": -1}, "from 0 to 10"),
    ],
)
def test_what_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        group_advantages(name, counts_of([1], [1]), options=options)


def test_luck_capped_needs_luck() -> None:
    with pytest.raises(BadInput, match="--p0"):
        group_advantages("luck_capped", counts_of([1], [1]), options={})
