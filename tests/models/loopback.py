"""An OpenAI-compatible endpoint on loopback whose answers, and misbehaviour, a test decides."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What the endpoint sends back."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = {}
    delay: float = 0.0
    """Seconds before it is sent."""


class Loopback:
    """What a served endpoint has seen."""

    def __init__(self, answer: Callable[[dict[str, Any]], Reply]) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self.url = ""
        self._at_once = 0
        self._lock = threading.Lock()

    @property
    def prompts(self) -> list[str]:
        """Last message of every request, in the order of arrival."""
        return [each["messages"][-1]["content"] for each in self.asked]

    def reply_to(self, asked: dict[str, Any]) -> Reply:
        with self._lock:
            self.asked.append(asked)
            self.times.append(time.monotonic())
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        reply = self.answer(asked)
        time.sleep(reply.delay)
        with self._lock:
            self._at_once -= 1
        return reply


def said(content: object, *, finish: str = "stop", usage: bool = True, delay: float = 0.0) -> Reply:
    """A chat completion with this content."""
    body: dict[str, Any] = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content},
            }
        ],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Reply(json.dumps(body).encode(), delay=delay)


def refused(status: int, message: str = "no", **headers: str) -> Reply:
    """An error in the shape that endpoints give it; `retry_after="2"` sets that header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps({"error": {"message": message}}).encode(), status, headers=named)


@contextmanager
def serve(answer: Callable[[dict[str, Any]], Reply]) -> Iterator[Loopback]:
    """Serve on a free port of loopback until the block ends."""
    seen = Loopback(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def do_POST(self) -> None:
            reply = seen.reply_to(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            try:
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.kind)
                self.send_header("Content-Length", str(len(reply.body)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)
            except OSError:
                self.close_connection = True  # the client did not wait for it

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False  # connections are kept open by the client

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def nobody() -> Iterator[str]:
    """The address of a port that refuses connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"
