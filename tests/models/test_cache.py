"""Answers on disk: nothing is paid for twice, through kills, processes and equal requests."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, Reply, refused, said, serve

from twiceshy.errors import BadInput
from twiceshy.models import (
    CachedCompleter,
    Completion,
    Finish,
    Message,
    RecordingCompleter,
    ReplayCompleter,
    Request,
    ScriptedCompleter,
    request_of,
)
from twiceshy.models.cache import request_key


def scripted(finish: Finish = "stop") -> ScriptedCompleter:
    return ScriptedCompleter(
        lambda request: Completion(text=request.prompt.upper(), finish=finish, prompt_tokens=1)
    )


def test_the_second_time_nothing_is_asked(tmp_path: Path) -> None:
    model = scripted()
    requests = [request_of("a"), request_of("b"), request_of("a")]
    with CachedCompleter(model, tmp_path / "c.db") as cached:
        first = cached.complete(requests)
    with CachedCompleter(model, tmp_path / "c.db") as cached:
        second = cached.complete(requests)
    assert [each.text for each in first] == [each.text for each in second] == ["A", "B", "A"]
    assert [each.cached for each in first] == [False, False, True]
    assert [(each.cached, each.n_tries) for each in second] == [(True, 0)] * 3
    assert model.prompts == ["a", "b"]


def test_every_sample_is_a_call_of_its_own(tmp_path: Path) -> None:
    model = ScriptedCompleter(lambda request: f"chain {request.sample}")
    chains = [request_of("q", temperature=0.7, seed=1, sample=number) for number in range(15)]
    with CachedCompleter(model, tmp_path / "c.db") as cached:
        cached.complete(chains)
        found = cached.complete(chains)
    assert len(model.requests) == 15
    assert [each.text for each in found] == [f"chain {number}" for number in range(15)]
    assert len({each.sent_seed for each in chains}) == 15


@pytest.mark.parametrize(
    "finish", ["timeout", "rate_limited", "malformed", "refused", "unreachable"]
)
def test_what_is_no_answer_is_asked_again(finish: Finish, tmp_path: Path) -> None:
    model = scripted(finish)
    with CachedCompleter(model, tmp_path / "c.db") as cached:
        found = cached.complete([request_of("a"), request_of("a")])
        cached.complete([request_of("a")])
    assert len(model.requests) == 3
    assert [each.cached for each in found] == [False, False]


@pytest.mark.parametrize("finish", ["length", "empty", "filtered"])
def test_a_poor_answer_is_an_answer(finish: Finish, tmp_path: Path) -> None:
    model = scripted(finish)
    with CachedCompleter(model, tmp_path / "c.db") as cached:
        cached.complete([request_of("a")])
        (found,) = cached.complete([request_of("a")])
    assert found.finish == finish
    assert len(model.requests) == 1


REQUESTS = st.builds(
    Request,
    messages=st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text()),
        min_size=1,
        max_size=3,
    ).map(tuple),
    temperature=st.floats(0, 2),
    max_tokens=st.integers(1, 4096),
    seed=st.none() | st.integers(0, 2**31),
    stop=st.lists(st.text(), max_size=2).map(tuple),
    sample=st.integers(0, 20),
)


@given(REQUESTS, REQUESTS)
def test_keys_are_equal_exactly_where_requests_are(one: Request, other: Request) -> None:
    assert (request_key("m", one) == request_key("m", other)) == (one == other)
    assert request_key("m", one) != request_key("n", one)
    changed = [
        ("sample", one.sample + 1),
        ("max_tokens", one.max_tokens + 1),
        ("stop", ("x", "y", "z")),
    ]
    for field, value in changed:
        fields = {name: getattr(one, name) for name in one.__struct_fields__} | {field: value}
        assert request_key("m", Request(**fields)) != request_key("m", one)


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(BadInput, match="another kind"):
        CachedCompleter(scripted(), path)
    (tmp_path / "text.db").write_text("this is no database, and long enough to be seen as none" * 9)
    with pytest.raises(BadInput, match="cache of model answers"):
        CachedCompleter(scripted(), tmp_path / "text.db")
    with pytest.raises(BadInput, match="cache of model answers"):
        CachedCompleter(scripted(), tmp_path / "no folder" / "c.db")


CLIENT = """
import json, sys
from twiceshy.models import CachedCompleter, Limits, OpenAICompleter, request_of, usage_of
url, path, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
model = OpenAICompleter("m", base_url=url, api_key="none", limits=Limits(concurrency=4))
with CachedCompleter(model, path) as cached:
    found = cached.complete([request_of(str(k)) for k in range(n)])
print(json.dumps({"calls": usage_of(found).n_calls, "texts": [each.text for each in found]}))
"""


def client(seen: Loopback, path: Path, n: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", CLIENT, seen.url, str(path), str(n)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


def stored(path: Path) -> set[str]:
    with sqlite3.connect(path) as file:
        rows = file.execute("SELECT completion FROM answer").fetchall()
    file.close()
    return {json.loads(row[0])["text"] for row in rows}


def test_a_killed_run_repeats_nothing_it_received(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="needs the openai extra")
    path = tmp_path / "c.db"
    with serve(lambda asked: said(asked["messages"][-1]["content"], delay=0.04)) as seen:
        killed = client(seen, path, 60)
        deadline = time.monotonic() + 30
        while len(seen.asked) < 25 and time.monotonic() < deadline:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        kept, sent = stored(path), len(seen.asked)
        found = finished(client(seen, path, 60))
    assert 10 < len(kept) < 60
    assert found["texts"] == [str(number) for number in range(60)]
    assert found["calls"] == 60 - len(kept)
    again = {prompt for prompt, n in Counter(seen.prompts).items() if n > 1}
    assert not again & kept
    assert len(again) <= 8, "only those on their way, or just arrived, when it was killed"
    assert len(seen.asked) == sent + 60 - len(kept)


def test_several_processes_share_a_file(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="needs the openai extra")
    numbers = iter(range(10_000))

    def answer(asked: dict[str, Any]) -> Reply:
        return said(f"{asked['messages'][-1]['content']} answer {next(numbers)}", delay=0.01)

    path = tmp_path / "c.db"
    with serve(answer) as seen:
        told = [finished(each) for each in [client(seen, path, 40) for _ in range(3)]]
    assert told[0]["texts"] == told[1]["texts"] == told[2]["texts"]
    assert len(stored(path)) == 40
    assert [text.split()[0] for text in told[0]["texts"]] == [str(k) for k in range(40)]


def test_one_that_fails_in_a_batch_loses_no_other(tmp_path: Path) -> None:
    def answer(request: Request) -> str | None:
        return None if request.prompt == "unseen" else "yes"

    model = ScriptedCompleter(answer)
    with CachedCompleter(model, tmp_path / "c.db") as cached:
        with pytest.raises(BadInput, match="scripted answer"):
            cached.complete([request_of("a"), request_of("unseen")])
        assert cached.complete([request_of("a")])[0].cached


class TestRecording:
    def test_a_replay_goes_through_what_the_run_went_through(self, tmp_path: Path) -> None:
        path = tmp_path / "said.jsonl"
        requests: Sequence[Request] = [request_of("a"), request_of("b", sample=1)]
        first = RecordingCompleter(scripted("timeout"), path).complete(requests)
        replay = ReplayCompleter(path)
        assert [each.finish for each in replay.complete(requests)] == [
            each.finish for each in first
        ]
        RecordingCompleter(scripted(), path).complete(requests[:1])
        found = ReplayCompleter(path).complete(requests)
        assert [(each.text, each.finish) for each in found] == [("A", "stop"), ("B", "timeout")]
        assert all(each.cached and not each.n_tries for each in found)
        with pytest.raises(BadInput, match="recorded"):
            replay.complete([request_of("b")])

    def test_a_line_cut_by_a_kill_is_left_out_and_a_damaged_one_is_named(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "said.jsonl"
        RecordingCompleter(scripted(), path).complete([request_of("a"), request_of("b")])
        whole = path.read_bytes()
        path.write_bytes(whole[:-10])
        assert ReplayCompleter(path).complete([request_of("a")])[0].text == "A"
        path.write_bytes(b"{}\n" + whole)
        with pytest.raises(BadInput, match=r"said.jsonl:1"):
            ReplayCompleter(path)
        path.write_bytes(b"")
        with pytest.raises(BadInput, match="one model"):
            ReplayCompleter(path)
        with pytest.raises(BadInput, match="a recording"):
            ReplayCompleter(tmp_path / "none.jsonl")


def test_a_rate_limit_inside_a_cached_run_is_waited_for(tmp_path: Path) -> None:
    pytest.importorskip("openai", reason="needs the openai extra")
    from twiceshy.models import OpenAICompleter

    replies = iter([refused(429, retry_after="0.05"), said("ok"), said("ok")])
    with serve(lambda asked: next(replies)) as seen:
        model = OpenAICompleter("m", base_url=seen.url, api_key="none")
        with CachedCompleter(model, tmp_path / "c.db") as cached:
            found = cached.complete([request_of("a"), request_of("b")])
    assert [each.text for each in found] == ["ok", "ok"]
    assert sum(each.n_tries for each in found) == 3
