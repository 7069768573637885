"""One event loop in the background, where every call of a model runs.

Connections and limits belong to one loop. With a loop of our own they live from call to call, and
blocking calls work from anywhere, inside a notebook's running loop too.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""The loop of each process: a fork does not inherit its parent's thread."""


def loop() -> asyncio.AbstractEventLoop:
    """Return this process's loop; the first call starts its thread, which ends with the process."""
    with _lock:
        if os.getpid() not in _loops:
            made = asyncio.new_event_loop()
            threading.Thread(target=made.run_forever, name="twiceshy-models", daemon=True).start()
            _loops[os.getpid()] = made
        return _loops[os.getpid()]


def start(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Start work on the loop."""
    return asyncio.run_coroutine_threadsafe(work, loop())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run work to its end; an interrupt cancels it."""
    if threading.current_thread().name == "twiceshy-models":
        work.close()
        raise RuntimeError("a blocking call of a model inside an async one: await acomplete")
    future = start(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def arun(work: Coroutine[Any, Any, T]) -> T:
    """Run work to its end from any event loop; cancelling cancels it."""
    if asyncio.get_running_loop() is loop():
        return await work
    return await asyncio.wrap_future(start(work))


async def together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all of it at once; when one part fails or this is cancelled, the rest is cancelled."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
