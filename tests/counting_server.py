"""An endpoint on loopback that counts what it is asked, and can hold a call until it is let go."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from twiceshy.models import Completer, Message, Request

Respond = Callable[[bytes], tuple[int, bytes]]
"""Status and body for the body of a request."""


class Counted:
    """What an endpoint was asked. A body is one request: it carries a seed of its own.

    Args:
        respond: What answers.
        hold_at: Number of the request that is held, from 1; None holds none.
    """

    def __init__(self, respond: Respond, *, hold_at: int | None = None) -> None:
        self.url = ""
        self.received: Counter[bytes] = Counter()
        self.answered: Counter[bytes] = Counter()
        self.held, self.let_go = threading.Event(), threading.Event()
        self._respond, self._hold_at, self._lock = respond, hold_at, threading.Lock()

    @property
    def n_received(self) -> int:
        """Requests that came in."""
        return self.received.total()

    def take(self, body: bytes) -> tuple[int, bytes]:
        """Answer one request."""
        with self._lock:
            self.received[body] += 1
            mine = self.received.total()
        if mine == self._hold_at:
            self.held.set()
            self.let_go.wait(60)
        status, said = self._respond(body)
        with self._lock:
            self.answered[body] += 1
        return status, said


@contextmanager
def serving(respond: Respond, *, hold_at: int | None = None) -> Iterator[Counted]:
    """Serve on loopback and yield the counts, with the address."""
    counted = Counted(respond, hold_at=hold_at)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = counted.take(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # whoever asked was killed

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    counted.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield counted
    finally:
        counted.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def by_model(model: Completer) -> Respond:
    """Return what lets a completer answer."""
    lock = threading.Lock()

    def respond(body: bytes) -> tuple[int, bytes]:
        asked: dict[str, Any] = json.loads(body)
        messages = tuple(Message(each["role"], each["content"]) for each in asked["messages"])
        with lock:
            (said,) = model.complete([Request(messages=messages, seed=asked.get("seed"))])
        return 200, reply(said.text)

    return respond


def by_endpoint(url: str) -> Respond:
    """Return what passes every request on to another endpoint: a proxy that counts."""

    def respond(body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/chat/completions", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()

    return respond


def reply(content: str) -> bytes:
    """Return an answer as an endpoint gives it, with counted tokens."""
    message = {"role": "assistant", "content": content}
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
    }
    return json.dumps(body).encode()
