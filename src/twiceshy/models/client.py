"""Opening the SDK's client: the one place that does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.errors import missing_extra

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def open_client(
    feature: str, *, base_url: str | None, api_key: str | None, timeout: float, retries: int
) -> AsyncOpenAI:
    """Return a client of an OpenAI-compatible endpoint, for use on the loop of `running`.

    Args:
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
    return AsyncOpenAI(base_url=base_url, api_key=api_key, timeout=timeout, max_retries=retries)
