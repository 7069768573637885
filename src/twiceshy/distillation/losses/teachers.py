"""Who the teacher is while the student changes: fixed, or moving after it.

    teacher = fixed_copy(student)              # frozen at the start
    ...
    move(teacher, towards=student, rate=0.05)  # after each update: EMA; rate 0 keeps it fixed

A teacher that moves learns the student's confidence and feeds it back: Kim et al. (2603.24472) find
a fixed one better on broad mathematics, SDPO's authors (2601.20802) the contrary on narrow tasks.
It has to be tried; 0 is our default.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from twiceshy.errors import BadInput
from twiceshy.objectives.checks import require_between


def fixed_copy(student: nn.Module) -> nn.Module:
    """Return a copy that does not train: in evaluation mode, without gradients.

    Example:
        >>> any(p.requires_grad for p in fixed_copy(nn.Linear(2, 2)).parameters())
        False
    """
    return deepcopy(student).eval().requires_grad_(False)


@torch.no_grad()
def move(teacher: nn.Module, *, towards: nn.Module, rate: float = 0.0) -> None:
    """Move the teacher's parameters in place: teacher += rate · (student − teacher).

    Buffers that are floating point move alike, others are copied when the rate is above 0. Rate 1
    is the live student.

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
    target, source = teacher.state_dict(), towards.state_dict()
    shapes = {name: value.shape for name, value in source.items()}
    if {name: value.shape for name, value in target.items()} != shapes:
        raise BadInput("a teacher of the student's shape", where="teacher")
    if rate == 0:
        return
    for name, value in target.items():
        if value.is_floating_point():
            value.lerp_(source[name].to(value.dtype), rate)
        else:
            value.copy_(source[name])
