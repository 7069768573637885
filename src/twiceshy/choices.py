"""Names out of a fixed set and numbers out of a range, refused with the nearest that would do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from twiceshy.errors import BadInput


def unknown_name(name: str, *, known: Iterable[str], where: str) -> BadInput:
    """Return the error for a name that is not known, with the nearest that are.

    Example:
        >>> print(unknown_name("w_reinforced", known=["nsr", "w_reinforce"], where="objective"))
        objective: expected one of nsr, w_reinforce, got "w_reinforced". Did you mean w_reinforce?
    """
    names = sorted(known)
    if not names:
        return BadInput("no options", got=f'"{name}"', where=where)
    longer = [each for each in names if name and name in each]
    near = longer[:3] or difflib.get_close_matches(name, names, n=3)
    fix = f"Did you mean {' or '.join(near)}?" if near else ""
    return BadInput(f"one of {', '.join(names)}", got=f'"{name}"', where=where, fix=fix)


def require_choice(name: str, *, known: Iterable[str], where: str) -> None:
    """Refuse a name outside a fixed set.

    Raises:
        BadInput: If `name` is not in `known`.
    """
    if name not in set(known):
        raise unknown_name(name, known=known, where=where)


def require_between(value: float, *, low: float, high: float, where: str, fix: str = "") -> None:
    """Refuse an option outside [low, high], or one that is not finite.

    Raises:
        BadInput: If it is.

    Example:
        >>> require_between(0.1, low=0, high=1, where="lambda_pos")
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and low <= value <= high):
        raise BadInput(f"a number from {low:g} to {high:g}", got=f"{value}", where=where, fix=fix)
