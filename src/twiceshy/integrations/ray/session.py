"""A Ray to run on: the one that is there, or one of our own for as long as it takes."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from twiceshy.errors import BadInput, missing_extra

_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Set to 0 before Ray is imported, a local Ray listens on 127.0.0.1 only, on Linux as well."""


def imported_ray(feature: str, *, needs: Sequence[str] = ("ray",)) -> Any:
    """Return Ray's module, with what it reads on being imported set beforehand.

    Args:
        feature: What it is for, in the message.
        needs: Modules of Ray that have to be there.

    Raises:
        MissingExtra: One of them is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not os.environ.get("RAY_ADDRESS"):
        os.environ.setdefault(_LOOPBACK, "0")
    try:
        ray, *_ = [import_module(name) for name in needs]
    except ImportError as error:
        raise missing_extra(feature, "ray") from error
    return ray


@contextmanager
def ray_session(
    feature: str,
    *,
    store_bytes: int,
    n_cpus: int | None = None,
    needs: Sequence[str] = ("ray",),
    instead: str,
) -> Iterator[Any]:
    """Yield Ray's module with a Ray running; one that was started here is shut down again.

    That is the Ray this process is connected to, else the cluster that `RAY_ADDRESS` names, else a
    local one on loopback.

    Args:
        feature: What it is for, in messages.
        store_bytes: Object store of a local one.
        n_cpus: Processors of a local one; None: all.
        needs: Modules of Ray that have to be there, Ray itself first.
        instead: What to do without Ray, in messages: "say --engine duckdb".

    Raises:
        MissingExtra: Ray is not installed.
        BadInput: Ray does not start.
    """
    ray = imported_ray(feature, needs=needs)
    ours = not ray.is_initialized()
    if ours:
        _start(ray, _local(store_bytes=store_bytes, n_cpus=n_cpus), instead=instead)
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


def _local(*, store_bytes: int, n_cpus: int | None) -> dict[str, Any]:
    """Return the settings of a local Ray; none where another one is named."""
    if os.environ.get("RAY_ADDRESS"):
        return {}
    return {
        "num_cpus": n_cpus,
        "include_dashboard": False,
        "object_store_memory": store_bytes,
        "_node_ip_address": "127.0.0.1",
    }


def _start(ray: Any, settings: dict[str, Any], *, instead: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Ray on its own coming defaults
            ray.init(logging_level=logging.ERROR, log_to_driver=False, **settings)
    except Exception as error:  # what Ray raises here is a plain Exception
        told = str(error).strip().splitlines()
        raise BadInput(
            "a Ray that starts, or one in RAY_ADDRESS",
            got=told[0] if told else type(error).__name__,
            where="ray.init",
            fix=f"Try again when the machine is less busy, or {instead}.",
        ) from error
