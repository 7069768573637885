"""Limits a minute on a clock that a test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.errors import BadInput
from twiceshy.models import Completion, Limits, Price, Usage, request_of, usage_of
from twiceshy.models.pacing import Pacer, retry_after


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def sent(limits: Limits, sizes: list[int]) -> list[float]:
    """When each request goes, when every one is asked for as early as it may be."""
    clock = Clock()
    pacer = Pacer(limits, now=lambda: clock.now, sleep=clock.sleep)

    async def all_of_them() -> list[float]:
        times = []
        for size in sizes:
            await pacer.admit(size)
            times.append(clock.now)
        return times

    return asyncio.run(all_of_them())


def test_by_hand() -> None:
    assert sent(Limits(requests_per_minute=60), [1, 1, 1]) == pytest.approx([0, 1, 2])
    # 600 tokens a minute: ten a second, so that 50 tokens hold the next request back for five.
    assert sent(Limits(tokens_per_minute=600), [50, 20, 1]) == pytest.approx([0, 5, 7])
    assert sent(Limits(), [10_000] * 3) == [0, 0, 0]


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=60),
    st.floats(1, 600),
    st.floats(10, 5000),
)
def test_no_minute_holds_more_than_allowed(
    sizes: list[int], requests: float, tokens: float
) -> None:
    limits = Limits(requests_per_minute=requests, tokens_per_minute=tokens)
    times = sent(limits, sizes)
    assert times == sorted(times)
    for start in times:
        inside = [size for at, size in zip(times, sizes, strict=True) if start <= at < start + 60]
        assert len(inside) <= requests + 1
        assert sum(inside[:-1]) <= tokens + 1e-6, "the last one ends beyond the minute"


def test_what_was_not_used_is_given_back() -> None:
    clock = Clock()
    pacer = Pacer(Limits(tokens_per_minute=600), now=lambda: clock.now, sleep=clock.sleep)

    async def two() -> float:
        await pacer.admit(500)
        pacer.settle(expected=500, used=20)
        await pacer.admit(500)
        return clock.now

    assert asyncio.run(two()) == pytest.approx(2.0)


def test_a_pause_holds_a_waiting_request_longer() -> None:
    clock = Clock()
    pacer = Pacer(Limits(), now=lambda: clock.now, sleep=clock.sleep)
    pacer.pause(7.0)
    pacer.pause(3.0)
    asyncio.run(pacer.admit(1))
    assert clock.now == 7.0


@given(st.text())
def test_any_header_is_read(text: str) -> None:
    wait = retry_after({"retry-after": text})
    assert wait is None or wait >= 0


@pytest.mark.parametrize(
    "settings",
    [{"concurrency": 0}, {"requests_per_minute": 0}, {"tokens_per_minute": -1}, {"retries": -1}],
)
def test_limits_that_cannot_be_kept_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        Limits(**settings)


@pytest.mark.parametrize("settings", [{"max_tokens": 0}, {"temperature": -1}, {"sample": -1}])
def test_requests_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        request_of("hello", **settings)


def test_waits_double_up_to_the_longest() -> None:
    limits = Limits(backoff=1.0, longest_wait=5.0)
    for n_tries, longest in enumerate([1.0, 2.0, 4.0, 5.0, 5.0], start=1):
        assert 0.75 * longest <= limits.wait_before(n_tries) <= longest


def test_costs_by_hand() -> None:
    paid = Completion(text="a", prompt_tokens=1000, completion_tokens=200, n_tries=2)
    saved = Completion(text="b", prompt_tokens=10, completion_tokens=5, cached=True, n_tries=0)
    silent = Completion(text="", finish="empty")
    usage = usage_of([paid, saved])
    assert usage.cost(Price(prompt=2.0, completion=10.0)) == pytest.approx(0.004)
    assert (usage.n_calls, usage.n_cached, usage.cached_tokens) == (2, 1, 15)
    both = usage + usage_of([silent])
    assert both.n_failed == {"empty": 1}
    assert both.n_tokens_unknown == 1
    assert both.cost(Price(prompt=2.0, completion=10.0)) is None
    assert Usage() + usage == usage
