"""Which versions of verl this works with, and what is said about any other."""

from __future__ import annotations

import warnings
from importlib.metadata import PackageNotFoundError, version

from twiceshy.errors import MissingExtra

OLDEST, NEWEST = "0.9.0", "0.9.1"
"""Releases of verl, both included, that the tests run against."""


def check_version(found: str | None = None) -> str:
    """Return the version of verl, with a warning when it lies outside what was tested.

    Another version may call an estimator with other arguments, or not at all. `twiceshy doctor
    verl` says whether it does.

    Args:
        found: A version; None: the one installed.

    Raises:
        MissingExtra: If verl is not installed.

    Example:
        >>> check_version("0.9.1")
        '0.9.1'
    """
    seen = _installed() if found is None else found
    if not is_tested(seen):
        warnings.warn(
            f"twiceshy.integrations.verl was tested with verl {OLDEST} to {NEWEST}, and this is "
            f"{seen}. Run: twiceshy doctor verl, or install a tested one: "
            f'pip install "verl=={NEWEST}".',
            UserWarning,
            stacklevel=2,
        )
    return seen


def is_tested(found: str) -> bool:
    """Return whether a version lies in the tested range, as far as its three numbers say.

    Example:
        >>> is_tested("0.9.1"), is_tested("0.8.0"), is_tested("main")
        (True, False, False)
    """
    return _numbers(OLDEST) <= _numbers(found) <= _numbers(NEWEST)


def _installed() -> str:
    try:
        return version("verl")
    except PackageNotFoundError as error:
        raise MissingExtra(
            "verl, for training with verl", got="none", fix=f"Run: pip install verl=={NEWEST}"
        ) from error


def _numbers(found: str) -> tuple[int, ...]:
    """Return the first three numbers; (0, 0, 0) when it is no version."""
    parts = found.split("+")[0].split(".")
    try:
        return tuple(int(part) for part in parts[:3])
    except ValueError:
        return (0, 0, 0)
