"""Who the teacher is while the student changes: fixed, or moving after it.

    teacher = fixed_copy(student)              # frozen at the start
    ...
    move(teacher, towards=student, rate=0.05)  # after each update: EMA; rate 0 keeps it fixed

A teacher that moves learns the student's confidence and feeds it back: Kim et al. (2603.24472) find
a fixed one better on broad mathematics, SDPO's authors (2601.20802) the contrary on narrow tasks.
It has to be tried; 0 is our default.

In 16 bits a slow teacher stands still: with rate 0.05 a weight near 1 moves only when the student
is more than 0.08 (bfloat16) away, for less is rounded off. Keep a moving teacher in float32:
`fixed_copy(student, dtype=torch.float32)`.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import require_between


def fixed_copy(student: nn.Module, *, dtype: torch.dtype | None = None) -> nn.Module:
    """Return a copy that does not train: in evaluation mode, without gradients.

    Args:
        student: Any module; tied parameters stay tied.
        dtype: Of the copy's floating-point parameters and buffers; None for the student's.

    Example:
        >>> any(p.requires_grad for p in fixed_copy(nn.Linear(2, 2)).parameters())
        False
    """
    return deepcopy(student).to(dtype=dtype).eval().requires_grad_(False)


@torch.no_grad()
def move(teacher: nn.Module, *, towards: nn.Module, rate: float = 0.0) -> None:
    """Move the teacher's parameters in place: teacher += rate · (student − teacher).

    Buffers that are floating point move alike, others are copied when the rate is above 0. Rate 1
    is the live student. A parameter with several names, as of a tied head, moves once. Dtypes and
    devices may differ.

    Raises:
        BadInput: If the rate is outside [0, 1] or the two have different parameters.

    Example:
        >>> student, teacher = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        >>> _ = student.weight.data.fill_(1.0), teacher.weight.data.fill_(0.0)
        >>> move(teacher, towards=student, rate=0.25)
        >>> teacher.weight.item()
        0.25
    """
    require_between(rate, low=0, high=1, where="rate")
    target, source = teacher.state_dict(keep_vars=True), towards.state_dict()
    _check_alike(target, source)
    if rate == 0:
        return
    once = {id(value): name for name, value in target.items()}
    for name in once.values():
        value = target[name]
        if value.is_floating_point():
            value.lerp_(source[name].to(value), rate)
        else:
            value.copy_(source[name])


def _check_alike(target: dict[str, Tensor], source: dict[str, Tensor]) -> None:
    for name in [*target, *source]:
        shapes = [_shape(each.get(name)) for each in (target, source)]
        if shapes[0] != shapes[1]:
            raise BadInput(
                "a teacher of the student's names and shapes",
                got=f"{name}: {shapes[0]} and {shapes[1]}",
                where="teacher",
                fix="Unwrap both alike (DDP and compile prefix names); fixed_copy makes one.",
            )


def _shape(value: Tensor | None) -> str:
    return "absent" if value is None else str(tuple(value.shape))
