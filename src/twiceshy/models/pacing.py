"""When the next request may go: limits a minute, pauses, and the waits between tries."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime

import msgspec

from twiceshy.errors import BadInput


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How hard an endpoint may be driven, and how often a request is tried."""

    concurrency: int = 8
    """Requests on their way at once."""
    requests_per_minute: float | None = None
    """None: no limit. Requests are spaced evenly, without bursts."""
    tokens_per_minute: float | None = None
    """Tokens of prompts and answers; before an answer its `max_tokens` is reckoned with."""
    retries: int = 5
    """Further tries after a timeout, a rate limit, a server error or an unreadable answer."""
    backoff: float = 0.5
    """Seconds before the second try; doubled for each further one, less up to a quarter by chance.
    A `Retry-After` of the endpoint goes before."""
    longest_wait: float = 60.0
    """Seconds between two tries at most; an endpoint that asks for more is not asked again."""

    def __post_init__(self) -> None:
        rates = (self.requests_per_minute, self.tokens_per_minute)
        if self.concurrency < 1 or any(each is not None and each <= 0 for each in rates):
            raise BadInput("positive limits", got=repr(self), where="Limits")
        if min(self.retries, self.backoff, self.longest_wait) < 0:
            raise BadInput("retries and waits of at least 0", got=repr(self), where="Limits")

    def wait_before(self, n_tries: int) -> float:
        """Return the seconds to wait after so many failed tries."""
        longest = min(self.backoff * 2 ** (n_tries - 1), self.longest_wait)
        return longest * (1 - random.random() / 4)  # spreads clients, decides nothing else


class Pacer:
    """Spaces requests so that no minute holds more than allowed.

    Args:
        limits: The limits.
        now: The clock, in seconds.
        sleep: How to wait.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._now, self._sleep = now, sleep
        self._request = _Line(limits.requests_per_minute)
        self._tokens = _Line(limits.tokens_per_minute)
        self._paused_until = 0.0

    async def admit(self, tokens: int) -> None:
        """Wait for this request's turn; `tokens` is what it may use."""
        now = self._now()
        at = max(self._request.turn(now, 1), self._tokens.turn(now, tokens))
        # A pause may be asked for while this one waits.
        while (left := max(at, self._paused_until) - self._now()) > 0:
            await self._sleep(left)

    def settle(self, *, expected: int, used: int) -> None:
        """Put right what was reckoned with by what was used."""
        self._tokens.shift(used - expected)

    def pause(self, seconds: float) -> None:
        """Hold every request back for so long."""
        self._paused_until = max(self._paused_until, self._now() + seconds)


class _Line:
    """A queue whose turns are `60 / rate` seconds apart for each unit."""

    def __init__(self, rate: float | None) -> None:
        self._spacing = 60.0 / rate if rate else 0.0
        self._free_at = 0.0

    def turn(self, now: float, units: float) -> float:
        at = max(now, self._free_at)
        self._free_at = at + units * self._spacing
        return at

    def shift(self, units: float) -> None:
        self._free_at += units * self._spacing


def retry_after(
    headers: Mapping[str, str], *, now: Callable[[], float] = time.time
) -> float | None:
    """Return the seconds an endpoint asks to wait, or None when it does not say.

    Example:
        >>> retry_after({"retry-after": "2.5"}), retry_after({"retry-after-ms": "300"})
        (2.5, 0.3)
        >>> retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=lambda: 50.0)
        10.0
    """
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(float(headers.get(name, "")) / divisor, 0.0)
        except ValueError:
            continue
    try:
        return max(parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
