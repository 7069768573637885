"""Opening the SDK's client: the one place that does."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from twiceshy.errors import missing_extra
from twiceshy.models.running import start

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def open_client(
    owner: object,
    *,
    feature: str,
    base_url: str | None,
    api_key: str | None,
    timeout: float,
    retries: int,
) -> AsyncOpenAI:
    """Return a client of an OpenAI-compatible endpoint, for use on the loop of `running`.

    Its connections are closed when the owner is gone.

    Args:
        owner: Who uses it.
        feature: What it is for, to say in the error.
        base_url: The endpoint; None is the SDK's default.
        api_key: None reads the SDK's environment variable.
        timeout: Seconds to wait for one answer.
        retries: How often the SDK itself asks again.

    Raises:
        MissingExtra: When the `openai` extra is not installed.
    """
    try:
        from openai import AsyncOpenAI
    except ImportError as error:
        raise missing_extra(feature, "openai") from error
    made = AsyncOpenAI(base_url=base_url, api_key=api_key, timeout=timeout, max_retries=retries)
    weakref.finalize(owner, _close, made)
    return made


def _close(made: AsyncOpenAI) -> None:
    start(made.close())  # not waited for: this may run on the loop's own thread
