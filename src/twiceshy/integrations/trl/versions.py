"""Which versions of TRL this works with, and what is said about any other."""

from __future__ import annotations

import warnings
from importlib.metadata import PackageNotFoundError, version

from twiceshy.errors import MissingExtra, missing_extra

OLDEST, NEWEST = (1, 12), (1, 16)
"""Minor versions of TRL, both included, that the tests were run against."""
UNTRIED = (1, 15)
"""One between them that was not: TRL 1.15.0 needs Triton, even on a CPU."""

SELF_DISTILLATION = (1, 16)
"""The one minor version whose `trl.experimental.sdft` and `sdpo`, and the events they send to
callbacks, were tried. Whether older ones have them is untested; `CollapseWatch` warns where its
event does not come."""


def check_version(found: str | None = None) -> str:
    """Return the version of TRL, with a warning when it lies outside what was tested.

    The plug overrides methods that TRL does not promise to keep, so another version may work, fail
    with an error, or (the reason for the warning) call them no longer.

    Args:
        found: A version; None: the one installed.

    Raises:
        MissingExtra: If TRL is not installed.

    Example:
        >>> check_version("1.16.2")
        '1.16.2'
    """
    seen = _installed() if found is None else found
    if not is_tested(seen):
        oldest, newest = (".".join(map(str, each)) for each in (OLDEST, NEWEST))
        warnings.warn(
            f"twiceshy.integrations.trl was tested with TRL {oldest} to {newest}, not with {seen}."
            " To see whether it works: twiceshy doctor trl. For a tested one: "
            f'pip install "trl=={newest}.*".',
            UserWarning,
            stacklevel=2,
        )
    return seen


def is_tested(found: str) -> bool:
    """Return whether the tests were run against a version of these two numbers.

    Example:
        >>> is_tested("1.16.2"), is_tested("1.15.0"), is_tested("main")
        (True, False, False)
    """
    return OLDEST <= _minor(found) <= NEWEST and _minor(found) != UNTRIED


def _installed() -> str:
    try:
        return version("trl")
    except PackageNotFoundError as error:
        raise _missing() from error


def _missing() -> MissingExtra:
    return missing_extra("training with TRL", "trl")


def _minor(found: str) -> tuple[int, int]:
    """Return major and minor; (0, 0) when it is no version."""
    parts = found.split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (IndexError, ValueError):
        return (0, 0)
