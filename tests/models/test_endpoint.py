"""An endpoint that works, and every way in which one does not."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from loopback import Loopback, Reply, nobody, refused, said, serve

from twiceshy.errors import BadInput
from twiceshy.models import (
    Completion,
    Limits,
    OpenAICompleter,
    ask,
    complete_each,
    request_of,
    usage_of,
)

pytest.importorskip("openai", reason="needs the openai extra")

QUICK = Limits(retries=2, backoff=0.01)


def model(url: str, *, timeout: float = 20.0, limits: Limits = QUICK) -> OpenAICompleter:
    return OpenAICompleter("m", base_url=url, api_key="none", timeout=timeout, limits=limits)


def one(seen: Loopback, prompt: str = "hello", **settings: Any) -> Completion:
    (completion,) = model(seen.url, **settings).complete([request_of(prompt)])
    return completion


def test_what_is_sent_and_what_comes_back() -> None:
    request = request_of(
        "Two?", system="Count.", temperature=0.7, max_tokens=9, seed=3, stop=("\n",), sample=2
    )
    with serve(lambda asked: said("2")) as seen:
        (completion,) = model(seen.url).complete([request])
    assert completion == Completion(text="2", prompt_tokens=7, completion_tokens=3)
    assert seen.asked == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Count."},
                {"role": "user", "content": "Two?"},
            ],
            "temperature": 0.7,
            "max_tokens": 9,
            "stop": ["\n"],
            "seed": request.sent_seed,
        }
    ]


def test_answers_keep_the_order_of_the_requests_and_run_at_once() -> None:
    def answer(asked: dict[str, Any]) -> Reply:
        number = int(asked["messages"][-1]["content"])
        return said(str(number), delay=0.12 - 0.01 * number)

    with serve(answer) as seen:
        held = model(seen.url, limits=Limits(concurrency=4))
        found = held.complete([request_of(str(number)) for number in range(10)])
    assert [each.text for each in found] == [str(number) for number in range(10)]
    assert seen.most_at_once == 4


@pytest.mark.parametrize(
    ("reply", "finish"),
    [
        (said("cut", finish="length"), "length"),
        (said(""), "empty"),
        (said(None), "empty"),
        (said(" \n"), "empty"),
        (said("", finish="length"), "empty"),
        (said("no", finish="content_filter"), "filtered"),
        (said(7), "malformed"),
        (said([{"type": "text"}]), "malformed"),
        (Reply(b"{}"), "malformed"),
        (Reply(b'{"choices": 3}'), "malformed"),
        (Reply(b'{"choices": []}'), "malformed"),
        (Reply(b'{"choices": [{}]}'), "malformed"),
        (Reply(b"{"), "malformed"),
        (Reply(b"<html>It works!</html>", kind="text/html"), "malformed"),
        (Reply(b"boom", 500, "text/plain"), "malformed"),
    ],
)
def test_every_way_to_answer_is_told_apart(reply: Reply, finish: str) -> None:
    with serve(lambda asked: reply) as seen:
        completion = one(seen)
    assert completion.finish == finish
    assert completion.n_tries == len(seen.asked) == (3 if finish == "malformed" else 1)
    assert completion.answered == (finish != "malformed")
    assert completion.ok == (finish == "length")
    assert (completion.error is None) == (finish in ("length", "filtered"))


def test_a_server_error_is_tried_again() -> None:
    replies = iter([refused(503), Reply(b"{"), said("at last")])
    with serve(lambda asked: next(replies)) as seen:
        completion = one(seen)
    assert (completion.text, completion.n_tries) == ("at last", 3)
    assert usage_of([completion]).n_calls == 3


def test_an_answer_that_does_not_come_in_time_is_a_timeout() -> None:
    with serve(lambda asked: said("late", delay=0.5)) as seen:
        completion = one(seen, timeout=0.05, limits=Limits(retries=1, backoff=0.01))
    assert (completion.finish, completion.n_tries, completion.ok) == ("timeout", 2, False)


def test_a_rate_limit_holds_every_request_back_for_as_long_as_it_says() -> None:
    first = threading.Event()

    def answer(asked: dict[str, Any]) -> Reply:
        if not first.is_set():
            first.set()
            return refused(429, retry_after="0.6")
        return said("ok")

    with serve(answer) as seen:
        held = model(seen.url, limits=Limits(concurrency=1))
        found = held.complete([request_of(str(number)) for number in range(3)])
    assert [each.text for each in found] == ["ok"] * 3
    assert [each.n_tries for each in found] == [2, 1, 1]
    assert seen.times[1] - seen.times[0] >= 0.6


def test_a_limit_that_stays_is_data_and_the_others_are_tried_once() -> None:
    with serve(lambda asked: refused(429)) as seen:
        held = model(seen.url, limits=Limits(concurrency=1, retries=2, backoff=0.01))
        found = held.complete([request_of(str(number)) for number in range(4)])
    assert [each.finish for each in found] == ["rate_limited"] * 4
    assert [each.n_tries for each in found] == [3, 1, 1, 1]
    assert usage_of(found).n_failed == {"rate_limited": 4}


def test_an_endpoint_that_wants_a_long_wait_is_not_asked_again() -> None:
    with serve(lambda asked: refused(429, retry_after="3600")) as seen:
        began = time.monotonic()
        assert one(seen).finish == "rate_limited"
    assert len(seen.asked) == 1
    assert time.monotonic() - began < 5


def test_spent_money_is_not_waited_for() -> None:
    body = b'{"error": {"message": "no money", "code": "insufficient_quota"}}'
    with serve(lambda asked: Reply(body, 429)) as seen:
        completion = one(seen)
    assert (completion.finish, completion.n_tries) == ("rate_limited", 1)


def test_one_refused_request_among_others_is_data() -> None:
    def answer(asked: dict[str, Any]) -> Reply:
        long = len(asked["messages"][-1]["content"]) > 5
        return refused(400, "context length exceeded") if long else said("ok")

    with serve(answer) as seen:
        held = model(seen.url, limits=Limits(concurrency=1))
        found = held.complete([request_of(prompt) for prompt in ("a", "much too long", "b")])
    assert [each.finish for each in found] == ["stop", "refused", "stop"]
    assert "context length" in (found[1].error or "")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_or_a_model_that_is_not_taken_ends_it_at_once(status: int) -> None:
    with (
        serve(lambda asked: refused(status)) as seen,
        pytest.raises(BadInput, match="model's name"),
    ):
        one(seen)
    assert len(seen.asked) == 1


def test_an_endpoint_that_was_never_there_is_bad_input() -> None:
    with nobody() as url:
        began = time.monotonic()
        with pytest.raises(BadInput, match="unreachable") as caught:
            model(url).complete([request_of(str(number)) for number in range(20)])
        with pytest.raises(BadInput, match="unreachable"):
            ask(model(url), "hello")
    assert url in caught.value.where
    assert time.monotonic() - began < 5


def test_an_endpoint_that_goes_away_is_data() -> None:
    gone = said("ok")._replace(headers={"Connection": "close"})
    with serve(lambda asked: gone) as seen:
        held = model(seen.url)
        assert held.complete([request_of("a")])[0].ok
    found = held.complete([request_of(str(number)) for number in range(30)])
    assert {each.finish for each in found} == {"unreachable"}
    assert sum(each.n_tries for each in found) < 60, "given up after the first that failed"


def test_a_running_loop_may_await_and_may_block() -> None:
    async def both(url: str) -> list[str]:
        held = model(url)
        (awaited,) = await held.acomplete([request_of("a")])
        return [awaited.text, ask(held, "b")]

    with serve(lambda asked: said(asked["messages"][-1]["content"] * 2)) as seen:
        assert asyncio.run(both(seen.url)) == ["aa", "bb"]


def test_cancelling_stops_what_was_asked() -> None:
    async def impatient(url: str) -> None:
        held = model(url, limits=Limits(concurrency=1))
        await asyncio.wait_for(held.acomplete([request_of(str(n)) for n in range(50)]), 0.3)

    with serve(lambda asked: said("ok", delay=0.1)) as seen:
        with pytest.raises(TimeoutError):
            asyncio.run(impatient(seen.url))
        time.sleep(0.3)
        assert len(seen.asked) < 8


def test_requests_a_minute_are_spaced() -> None:
    with serve(lambda asked: said("ok")) as seen:
        held = model(seen.url, limits=Limits(requests_per_minute=600))
        held.complete([request_of(str(number)) for number in range(5)])
    assert seen.times[-1] - seen.times[0] >= 0.39


def test_progress_counts_every_answer() -> None:
    told: list[tuple[int, int]] = []
    with serve(lambda asked: said("ok")) as seen:
        requests = [request_of(str(number)) for number in range(3)]
        complete_each(model(seen.url), requests, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]
