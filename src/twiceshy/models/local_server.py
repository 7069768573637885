"""A local model in a process of its own: `python -m twiceshy.models.local_server WEIGHTS …`.

It prints its address when the model is loaded, and ends when its input is closed, so that it never
outlives the process that started it.
"""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    """Serve until the input ends."""
    from importlib import import_module

    xllamacpp: Any = import_module("xllamacpp")  # it has no types
    weights, slots, context, threads = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.port = 0  # any that is free
    params.n_parallel, params.n_ctx = int(slots), int(context)
    params.cpuparams.n_threads = int(threads)
    params.warmup = False
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
