"""Advantages: the worked table by hand, then properties, then what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.objectives import advantages as signed
from twiceshy.objectives import group_advantages as grouped
from twiceshy.objectives.groups import group_states
from twiceshy.objectives.labels import labels_of
from twiceshy.objectives.luck import luck_capped
from twiceshy.objectives.schedules import by_accuracy, cosine, linear, switch

Advantages = Callable[[Tensor, Tensor], Tensor]
few = settings(max_examples=15, deadline=None)


def pass_at_4(labels: Tensor, group: Tensor) -> Tensor:
    return grouped.pass_at_k(labels, group, k=4)


def half_weights(labels: Tensor, group: Tensor) -> Tensor:
    return signed.signed_reinforce(labels, group, lambda_pos=0.5, baseline="leave_one_out")


def group_mean(labels: Tensor, group: Tensor) -> Tensor:
    return signed.reinforce(labels, group, baseline="group_mean")


def batch_mean(labels: Tensor, group: Tensor) -> Tensor:
    return signed.reinforce(labels, group, baseline="batch")


GROUPED: list[Advantages] = [
    grouped.grpo,
    grouped.dr_grpo,
    grouped.rloo,
    grouped.maxrl,
    grouped.ngrpo,
    pass_at_4,
    grouped.asymre,
    grouped.sign_balanced,
    half_weights,
    group_mean,
]
UNGROUPED: list[Advantages] = [
    signed.psr,
    signed.nsr,
    signed.w_reinforce,
    signed.reinforce,
    batch_mean,
]

# Eight attempts of which c succeed: advantage of a success, of a failure; None where there is none.
TABLE: dict[str, dict[int, tuple[float | None, float | None]]] = {
    "grpo": {1: (2.475, -0.354), 2: (1.620, -0.540), 4: (0.935, -0.935), 6: (0.540, -1.620),
             7: (0.354, -2.475), 0: (None, 0), 8: (0, None)},
    "ngrpo": {0: (None, -0.333), 1: (1.764, -0.504), 2: (1.333, -0.667), 4: (0.843, -1.054),
              6: (0.504, -1.764), 7: (0.333, -2.667), 8: (0, None)},
    "dr_grpo": {0: (None, 0), 1: (0.875, -0.125), 2: (0.75, -0.25), 4: (0.5, -0.5),
                6: (0.25, -0.75), 7: (0.125, -0.875), 8: (0, None)},
    "rloo": {0: (None, 0), 1: (1.0, -0.143), 2: (0.857, -0.286), 4: (0.571, -0.571),
             6: (0.286, -0.857), 7: (0.143, -1.0), 8: (0, None)},
    "maxrl": {0: (None, 0), 1: (7, -1), 2: (3, -1), 4: (1, -1), 6: (0.333, -1), 7: (0.143, -1),
              8: (0, None)},
    "pass_at_4": {0: (None, 0), 1: (1.0, -0.143), 2: (0.522, -0.174), 4: (0.120, -0.120),
                  6: (0, 0), 7: (0, 0), 8: (0, None)},
}  # fmt: skip
BY_NAME: dict[str, Advantages] = {f.__name__: f for f in GROUPED}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_the_worked_table_for_eight(name: str) -> None:
    for c, (right, wrong) in TABLE[name].items():
        labels = torch.tensor([1] * c + [-1] * (8 - c), dtype=torch.int8)
        got = BY_NAME[name](labels, torch.zeros(8, dtype=torch.int64))
        for expected, rows in ((right, got[:c]), (wrong, got[c:])):
            if expected is not None:
                assert rows.tolist() == pytest.approx([expected] * len(rows), abs=6e-4), (name, c)


def test_presets_by_hand() -> None:
    labels = torch.tensor([1, -1, 0, 1], dtype=torch.int8)
    group = torch.tensor([0, 0, 0, 0])
    assert signed.psr(labels, group).tolist() == [1, 0, 0, 1]
    assert signed.nsr(labels, group).tolist() == [0, -1, 0, 0]
    assert signed.w_reinforce(labels, group).tolist() == pytest.approx([0.1, -1, 0, 0.1])
    assert batch_mean(labels, group).tolist() == pytest.approx([2 / 3, -4 / 3, 0, 2 / 3])
    assert half_weights(labels, group).tolist() == pytest.approx([0.75, -1.5, 0, 0.75])


@st.composite
def batches(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Labels and ids of one to five groups of four to nine rows, shuffled."""
    sizes = draw(st.lists(st.integers(4, 9), min_size=1, max_size=5))
    names = draw(st.lists(st.integers(-50, 50), min_size=5, max_size=5, unique=True))
    ids = [name for name, size in zip(names, sizes, strict=False) for _ in range(size)]
    labels = draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=len(ids), max_size=len(ids)))
    order = draw(st.permutations(range(len(ids))))
    return torch.tensor(labels, dtype=torch.int8)[list(order)], torch.tensor(ids)[list(order)]


@pytest.mark.parametrize("advantages", GROUPED + UNGROUPED)
@few
@given(batch=batches(), data=st.data())
def test_permuting_rows_permutes_advantages(
    advantages: Advantages, batch: tuple[Tensor, Tensor], data: st.DataObject
) -> None:
    labels, group = batch
    order = torch.tensor(data.draw(st.permutations(range(len(labels)))))
    torch.testing.assert_close(
        advantages(labels[order], group[order]), advantages(labels, group)[order]
    )


@pytest.mark.parametrize("advantages", GROUPED + UNGROUPED)
@few
@given(batch=batches())
def test_abstentions_get_zero_and_move_nothing(
    advantages: Advantages, batch: tuple[Tensor, Tensor]
) -> None:
    labels, group = batch
    got = advantages(labels, group)
    assert got[labels == 0].tolist() == [0.0] * int((labels == 0).sum())
    more = advantages(
        torch.cat([labels, torch.zeros(3, dtype=torch.int8)]), torch.cat([group, group[:3]])
    )
    torch.testing.assert_close(more[: len(labels)], got)


@pytest.mark.parametrize("advantages", GROUPED)
@few
@given(batch=batches())
def test_a_group_does_not_see_the_others(
    advantages: Advantages, batch: tuple[Tensor, Tensor]
) -> None:
    labels, group = batch
    mine = group == group[0]
    torch.testing.assert_close(
        advantages(labels[mine], group[mine]), advantages(labels, group)[mine]
    )


@few
@given(batch=batches(), scale=st.floats(0.01, 1.0))
def test_signed_reinforce_is_linear_in_its_weights(
    batch: tuple[Tensor, Tensor], scale: float
) -> None:
    for baseline in ("none", "group_mean", "leave_one_out", "batch"):
        whole = signed.signed_reinforce(*batch, lambda_pos=0.3, baseline=baseline)
        part = signed.signed_reinforce(
            *batch, lambda_pos=0.3 * scale, lambda_neg=scale, baseline=baseline
        )
        torch.testing.assert_close(part, scale * whole)


@pytest.mark.parametrize("advantages", [grouped.grpo, grouped.dr_grpo, grouped.rloo, grouped.maxrl,
                                        grouped.sign_balanced])  # fmt: skip
@few
@given(batch=batches())
def test_centred_objectives_sum_to_zero_over_each_group(
    advantages: Advantages, batch: tuple[Tensor, Tensor]
) -> None:
    labels, group = batch
    got = advantages(labels, group)
    for name in group.unique():
        assert float(got[group == name].sum()) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("advantages", GROUPED + UNGROUPED)
def test_they_can_be_traced(advantages: Advantages) -> None:
    labels = torch.tensor([1, -1, 0, -1, 1, 1, -1, -1], dtype=torch.int8)
    group = torch.tensor([3, 3, 3, 3, 9, 9, 9, 9])

    def bound(labels: Tensor, group: Tensor) -> Tensor:
        return advantages(labels, group)

    traced = torch.fx.symbolic_trace(bound)
    torch.testing.assert_close(traced(labels, group), advantages(labels, group))
    torch.testing.assert_close(traced(-labels, group), advantages(-labels, group))


def test_luck_discounts_successes_only() -> None:
    labels = torch.tensor([1, -1, -1, -1, -1, -1, -1, -1])
    p_lucky = torch.tensor([0.4, *([9.0] * 7)])
    got = luck_capped(labels, torch.zeros(8, dtype=torch.int64), p_lucky=p_lucky, cap=2.0)
    assert got[0].item() == pytest.approx(2.0 * 0.6)
    assert got[1:].tolist() == pytest.approx([-0.354] * 7, abs=1e-3)


def test_group_states() -> None:
    labels = torch.tensor([1, -1, 1, 1, -1, -1, 0, -1, 0, 0])
    states = group_states(labels, torch.tensor([0, 0, 1, 1, 2, 2, 2, 3, 3, 4]))
    assert states.mixed.nonzero().flatten().tolist() == [0, 1]
    assert states.all_right.nonzero().flatten().tolist() == [2, 3]
    assert states.all_wrong.nonzero().flatten().tolist() == [4, 5, 6]
    assert states.single.nonzero().flatten().tolist() == [7, 8]


def test_labels_of_outcomes() -> None:
    every = [Outcome.SUCCESS, Outcome.FAILURE, Outcome.BROKEN, Outcome.UNSCORED]
    assert labels_of(every).tolist() == [1, -1, 0, 0]
    assert labels_of(every, truncated=[True, True, None, False]).tolist() == [0, 0, 0, 0]
    judged = labels_of(every, truncated=[True] * 4, truncated_as="as_judged")
    assert judged.tolist() == [1, -1, 0, 0]


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([0.5, -1.0]),
        torch.tensor([2, -1]),
        torch.tensor([math.nan, 1.0]),
        torch.tensor([True, False]),
        torch.tensor([[1, -1]]),
        torch.tensor([0.0, 1.0]),
    ],
)
@pytest.mark.parametrize("advantages", [signed.nsr, grouped.grpo])
def test_what_is_not_a_label_is_refused(advantages: Advantages, labels: Tensor) -> None:
    with pytest.raises(BadInput, match="labels"):
        advantages(labels, torch.tensor([0, 0]))


@pytest.mark.parametrize("advantages", GROUPED)
def test_a_group_of_one_is_refused_where_groups_are_compared(advantages: Advantages) -> None:
    with pytest.raises(BadInput, match="in group 5"):
        advantages(torch.tensor([1, 1, 1, 1, -1]), torch.tensor([4, 4, 4, 4, 5]))


@pytest.mark.parametrize("advantages", UNGROUPED)
def test_a_group_of_one_is_fine_elsewhere(advantages: Advantages) -> None:
    assert advantages(torch.tensor([1, -1]), torch.tensor([4, 5])).shape == (2,)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"lambda_pos": -0.1}, "lambda_pos"),
        ({"lambda_pos": 10.0}, "lambda_pos"),
        ({"lambda_neg": math.nan}, "lambda_neg"),
        ({"lambda_pos": 0.0, "lambda_neg": 0.0}, "weight above 0"),
        ({"baseline": "group"}, "group_mean"),
    ],
)
def test_bad_options(options: dict[str, float], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        signed.signed_reinforce(torch.tensor([1, -1]), torch.tensor([0, 0]), **options)  # pyrefly: ignore


def test_bad_groups_and_odds() -> None:
    labels, group = torch.tensor([1, -1]), torch.tensor([0, 0])
    with pytest.raises(BadInput, match="group"):
        grouped.grpo(labels, torch.tensor([0.0, 0.0]))
    with pytest.raises(BadInput, match="group"):
        grouped.grpo(labels, torch.tensor([0, 0, 0]))
    with pytest.raises(BadInput, match="p_lucky"):
        luck_capped(labels, group, p_lucky=torch.tensor([1.2, 0.0]))
    with pytest.raises(BadInput, match="k"):
        grouped.pass_at_k(labels, group, k=0)
    with pytest.raises(BadInput, match="at least 3"):
        grouped.pass_at_k(labels, group, k=3)
    with pytest.raises(BadInput, match="outcomes"):
        labels_of(["won"])  # pyrefly: ignore


def test_schedules() -> None:
    assert [linear(s, start=1, end=0, steps=4) for s in (0, 1, 4, 9)] == [1, 0.75, 0, 0]
    assert cosine(5, start=0, end=1, steps=10) == pytest.approx(0.5)
    assert switch(3, before=1, after=2, at=3) == 2
    assert by_accuracy(0.9, full_at=0.5) == 1
    with pytest.raises(BadInput, match="schedule"):
        linear(-1, start=0, end=1, steps=3)
