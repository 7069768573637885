"""`learn --as principles` over HTTP: end to end, killed in the middle, and with bad endpoints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from parcel_office import office_model, parcel, parcels
from typer.testing import CliRunner

from counting_server import Counted, Respond, by_endpoint, by_model, reply, serving
from local_model import real_model
from twiceshy.cli.app import app
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.memory.bank import Bank
from twiceshy.principles import accepted_on, calls_of

N_CHAINS = 4
MAIN = (sys.executable, "-c", "import twiceshy.cli; twiceshy.cli.main()")


@pytest.fixture(scope="module", autouse=True)
def _sdk() -> None:
    pytest.importorskip("openai", reason="needs the openai extra")


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Three examples with two exceptions, 36 items for the gates, two that are locked away."""
    train = [parcel("small", "red", "K"), parcel("large", "blue", "M"), parcel("flat", "grey", "K")]
    seen = {each.question for each in train}
    unseen = [each for each in parcels(120, seed=1) if each.question not in seen]
    exceptions = [each for each in unseen if each.answer == "up"]
    others = [each for each in unseen if each.answer != "up"]
    rest = [*exceptions[:9], *others[:29]]
    splits = ["train"] * 3 + ["validation"] * 36 + ["test"] * 2
    path = tmp_path / "office.jsonl"
    records = [
        {"question": each.question, "answer": each.answer, "task": each.task, "split": split}
        for each, split in zip([*train, *rest], splits, strict=True)
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    return path


def command(examples: Path, url: str, out: Path, *options: str) -> list[str]:
    head = ["learn", "--as", "principles", "--json"]
    asked = ["--examples", str(examples), "--model-url", url, "--model", "clerk"]
    return [*head, *asked, "--out", str(out), "--chains", str(N_CHAINS), *options]


def run(words: Sequence[str], *, code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    found["stderr"] = done.stderr
    return found


def test_end_to_end_over_http(examples: Path, tmp_path: Path) -> None:
    out, bank = tmp_path / "out", tmp_path / "bank.db"
    with serving(by_model(office_model())) as server:
        found = run(command(examples, server.url, out, "--bank", str(bank)))
        assert "3·4 = 12 chains" in found["stderr"]  # the cost, before the first call
        assert found["n_mistakes"] == 8
        assert found["n_calls_by_formula"] == calls_of(3, n_chains=4, n_mistakes=8) == 21
        procedure = ("induce", "low_level", "high_level")
        assert sum(found["spent"]["by_step"][step] for step in procedure) == 21
        assert server.n_received == len(server.received) == found["spent"]["n_calls"]
        assert not any(b"parcel" in body and _is_test(body, examples) for body in server.received)
    lines = (out / "principles.jsonl").read_bytes().splitlines()
    lessons = [msgspec.json.decode(line, type=Lesson) for line in lines]
    accepted = [each for each in lessons if accepted_on(each)]
    assert [each.text for each in accepted] == ["When it is K, take up."]
    assert found["gates"]["prompt"]["accepted"] is True
    with Bank.open(bank) as opened:
        (held,) = opened.lessons()
    assert (held.kind, held.status.value) == ("principle", "candidate")
    assert accepted_on(held) == ("clerk",)
    assert held.contrast[0].extra["right"] == "up"


def test_killed_in_the_middle_it_goes_on_and_repeats_no_call(
    examples: Path, tmp_path: Path
) -> None:
    options = ("--no-gates",)
    _kill_and_go_on(by_model(office_model()), examples, tmp_path, hold_at=16, options=options)


def _kill_and_go_on(
    respond: Respond, examples: Path, tmp_path: Path, *, hold_at: int, options: Sequence[str] = ()
) -> tuple[dict[str, Any], int]:
    """Return what the second run found, and the calls that were sent more than once."""
    out = tmp_path / "out"
    with serving(respond, hold_at=hold_at) as server:
        words = command(examples, server.url, out, *options)
        process = subprocess.Popen(
            [*MAIN, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert server.held.wait(120)
        _wait_for_quiet(server, out / "steps.jsonl")
        process.send_signal(signal.SIGKILL)
        process.wait()
        answered = set(server.answered)
        server.let_go.set()
        found = run(words)
        again = {body for body in server.received if server.received[body] > 1}
        assert not answered & again  # nothing that was answered was asked again
        assert found["n_steps_known"] == len(answered)
        assert found["spent"]["n_calls"] == len(server.received) - len(answered)
        tries = server.n_received - len(server.received)
    return found, tries


def _wait_for_quiet(server: Counted, steps: Path) -> None:
    """Wait until every answer that was given lies in the step file."""
    for _ in range(600):
        before = server.n_received
        time.sleep(0.1)
        written = steps.read_bytes().count(b"\n") if steps.exists() else 0
        if before == server.n_received and written == server.answered.total() == before - 1:
            return
    raise AssertionError("the run did not come to rest")


def _is_test(body: bytes, examples: Path) -> bool:
    records = map(json.loads, examples.read_text().splitlines())
    locked = [each["question"] for each in records if each["split"] == "test"]
    return any(each.encode() in body for each in locked)


ENDPOINTS: dict[str, tuple[Respond, str, int]] = {
    "always right": (lambda body: (200, reply(_right(body))), "too_easy", 0),
    "always wrong": (lambda body: (200, reply("Answer: nowhere")), "too_hard", 0),
    "chatter": (lambda body: (200, reply("Let me think about parcels.")), "unread", 1),
    "empty": (lambda body: (200, reply("")), "unread", 1),
    "malformed": (lambda body: (200, b'{"choices": 3}'), "no_answers", 1),
}


def _right(body: bytes) -> str:
    asked = json.loads(body)["messages"][-1]["content"]
    return "Answer: up" if " K" in asked.splitlines()[-1] else "Answer: south"


@pytest.mark.parametrize("kind", ["always right", "always wrong", "chatter", "empty"])
def test_endpoints_that_teach_nothing_are_told(kind: str, examples: Path, tmp_path: Path) -> None:
    respond, difficulty, code = ENDPOINTS[kind]
    with serving(respond) as server:
        found = run(command(examples, server.url, tmp_path / "out"), code=code)
    assert found["difficulty"] == difficulty
    assert difficulty in [each["name"] for each in found["alarms"]]
    assert found["gates"]["n_accepted"] == 0
    assert found["n_chains"] == 12


def test_without_a_model_or_examples_it_says_what_is_missing(examples: Path) -> None:
    words = ["learn", "--as", "principles"]
    for given, told in (
        ([*words, str(examples)], "--model NAME"),
        ([*words, "--model", "m", "--model-url", "http://127.0.0.1:1/v1"], "--examples FILE"),
        (words[:1], "INPUT"),
        (["learn", "--as", "poems"], "lessons or principles"),
    ):
        done = CliRunner().invoke(app, given)
        assert isinstance(done.exception, BadInput)
        assert told in str(done.exception)


@pytest.mark.slow
def test_a_small_real_model_end_to_end_and_killed(tmp_path: Path) -> None:
    sums = [(3, 4), (5, 2), (6, 1), (2, 2), (7, 2), (4, 4), (1, 8), (3, 3)]
    path = tmp_path / "sums.jsonl"
    path.write_text(
        "".join(
            json.dumps({"question": f"What is {a} + {b}?", "answer": str(a + b)}) + "\n"
            for a, b in sums
        )
    )
    options = ("--reader", "number", "--max-tokens", "24", "--no-gates")
    with real_model() as url:
        respond = by_endpoint(url)
        found, _ = _kill_and_go_on(respond, path, tmp_path, hold_at=7, options=options)
    assert found["n_chains"] == 12
    counts = ("n_right", "n_mistakes", "n_unread", "n_broken")
    assert sum(found[each] for each in counts) == 12
    assert found["n_low"] + found["n_unusable"] >= found["n_mistakes"]
    assert os.path.getsize(tmp_path / "out" / "principles.json") > 0
