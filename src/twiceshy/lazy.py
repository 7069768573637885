"""Names of a package that load on first use, so that importing it costs next to nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from twiceshy.errors import missing_extra


def lazy_names(
    package: str, homes: Mapping[str, str], *, needs_torch: bool = False
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's `__getattr__` and `__dir__`.

    Args:
        package: Its `__name__`.
        homes: Module of each name, below the package.
        needs_torch: Whether to name the extra where torch is missing.

    Example:
        >>> load, names = lazy_names("twiceshy", {"Outcome": "attempts"})
        >>> load("Outcome").SUCCESS.value, "Outcome" in names()
        ('success', True)
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(f"{package}.{homes[name]}"), name)
        except ModuleNotFoundError as error:
            if not needs_torch or error.name != "torch":
                raise
            raise missing_extra(package.rpartition(".")[2], "torch") from error
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*homes, *getattr(sys.modules[package], "__all__", ())})

    return load, names
