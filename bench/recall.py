"""Measure recall end to end at 100,000 lessons, and add and search beside two memory products.

A recall embeds the task, scans all vectors exactly, searches for words, filters by scope and
status, reads the candidates, guards against leaks, chooses and renders. Lessons and tasks are made
up: 20,000 words, some English and most invented, drawn by Zipf's law, and an identifier each.

    python bench/recall.py                      # twiceshy alone
    python bench/recall.py --peers PYTHON       # beside mem0 and LangMem, installed for PYTHON
    python bench/recall.py --lessons 10000      # smaller

The products run in a process each of their own interpreter, one after the other, on the same
lessons and tasks, with the same embedding model, without a language model: mem0 with `infer=False`
on its local Qdrant, LangMem's tools on LangGraph's in-memory store. They add one lesson a call, as
their interfaces do, and twiceshy a thousand a transaction: adding is not like for like. mem0
searches vectors alone here; its search for words needs a model that has to be downloaded. PYTHON
needs
`pip install mem0ai==2.2.1 langmem==0.0.30 qdrant-client==1.20.0 wordllama==0.4.0.post1`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

SEED = 11
N_LESSONS = 100_000
N_PEERS = 5_000
N_TASKS = 300
N_WARM = 20
BATCH = 1_000
CORES = 2
TARGETS_MS = {"p50": 20.0, "p95": 40.0}
FOLDER = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lessons", type=int, default=N_LESSONS)
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter with the memory products")
    parser.add_argument("--peer-lessons", type=int, default=N_PEERS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    if options.child:
        print(json.dumps(PEERS[options.child](options.peer_lessons)))
        return
    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, Any] = {"targets_ms": TARGETS_MS, "seed": SEED}
        result["twiceshy"] = ours(options.lessons, Path(folder) / "bank.db")
        if options.peers:
            small = ours(options.peer_lessons, Path(folder) / "small.db")
            result["side_by_side"] = {"twiceshy": small} | {
                name: peer(options.peers, name, options.peer_lessons) for name in PEERS
            }
            (FOLDER / "recall_peers.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


def ours(n_lessons: int, path: Path) -> dict[str, Any]:
    from twiceshy.lessons import Evidence, Lesson, Status
    from twiceshy.memory.bank import Add, Bank
    from twiceshy.memory.recall import StaticEmbedder, embed_missing, recall

    texts, tasks = corpus(n_lessons)
    model = StaticEmbedder()
    bank = Bank.open(path)
    started = time.perf_counter()
    for start in range(0, n_lessons, BATCH):
        bank.apply(
            [
                Add(
                    lesson=Lesson(
                        id=f"l{n:06d}",
                        kind="strategy",
                        text=text,
                        trigger=text.partition(":")[0],
                        scope={"tenant": f"t{n % 10}"} if n % 3 else {},
                        status=Status.ACTIVE,
                        evidence=Evidence(attempts_for=(f"a{n}",), n_for=1, n_tasks=2),
                    )
                )
                for n, text in enumerate(texts[start : start + BATCH], start=start)
            ]
        )
    added = time.perf_counter()
    embed_missing(bank, model)
    embedded = time.perf_counter()
    recall(bank, tasks[0], embedder=model)
    loaded = time.perf_counter()
    waits, cpu, hits = [], [], 0
    for n, task in enumerate(tasks):
        begun, spent = time.perf_counter(), time.process_time()
        found = recall(bank, task, embedder=model, scope={"tenant": f"t{n % 10}"}, task_id="none")
        waits.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - spent)
        hits += bool(found.chosen)
    bank.close()
    return {
        "n_lessons": n_lessons,
        "add_seconds": round(added - started, 2),
        "embed_seconds": round(embedded - added, 2),
        "load_seconds": round(loaded - embedded, 2),
        "file_mb": round(path.stat().st_size / 1e6, 1),
        "cpu": quantiles(cpu[N_WARM:]),
        "share_with_a_lesson": hits / len(tasks),
        **quantiles(waits[N_WARM:]),
        "load_average": round(os.getloadavg()[0], 1),
    }


def peer(python: str, name: str, n_lessons: int) -> dict[str, Any]:
    arguments = [python, __file__, "--child", name, "--peer-lessons", str(n_lessons)]
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True, env=clean)
    return json.loads(done.stdout.strip().splitlines()[-1])


def mem0(n_lessons: int) -> dict[str, Any]:
    os.environ |= {"MEM0_TELEMETRY": "False", "OPENAI_API_KEY": "none"}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEM0_DIR"] = folder
        import langchain_core.embeddings
        import mem0 as product

        model = static_model()

        class Static(langchain_core.embeddings.Embeddings):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                return model.embed(texts, norm=True).tolist()

            def embed_query(self, text: str) -> list[float]:
                return model.embed([text], norm=True)[0].tolist()

        memory = product.Memory.from_config(
            {
                "vector_store": {
                    "provider": "qdrant",
                    "config": {"path": f"{folder}/q", "embedding_model_dims": 256},
                },
                "embedder": {"provider": "langchain", "config": {"model": Static()}},
                "llm": {
                    "provider": "openai",
                    "config": {"api_key": "none", "openai_base_url": "http://127.0.0.1:9/v1"},
                },
                "history_db_path": f"{folder}/history.db",
            }
        )
        return measured(
            n_lessons,
            add=lambda text: memory.add(text, user_id="u", infer=False),
            search=lambda task: memory.search(task, filters={"user_id": "u"}, top_k=2),
        )


def langmem(n_lessons: int) -> dict[str, Any]:
    from langgraph.store.memory import InMemoryStore
    from langmem import create_manage_memory_tool, create_search_memory_tool

    model = static_model()
    store = InMemoryStore(
        index={"dims": 256, "embed": lambda texts: model.embed(list(texts), norm=True).tolist()}
    )
    write = create_manage_memory_tool(namespace=("lessons",), store=store)
    read = create_search_memory_tool(namespace=("lessons",), store=store)
    return measured(
        n_lessons,
        add=lambda text: write.invoke({"content": text, "action": "create"}),
        search=lambda task: read.invoke({"query": task, "limit": 2}),
    )


PEERS = {"mem0": mem0, "langmem": langmem}


def static_model() -> Any:
    import wordllama

    return wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, disable_download=True
    )


def measured(n_lessons: int, *, add: Any, search: Any) -> dict[str, Any]:
    texts, tasks = corpus(n_lessons)
    started = time.perf_counter()
    for text in texts:
        add(text)
    added = time.perf_counter()
    waits = []
    for task in tasks[: N_TASKS // 3]:
        begun = time.perf_counter()
        search(task)
        waits.append(time.perf_counter() - begun)
    return {
        "n_lessons": n_lessons,
        "add_seconds": round(added - started, 2),
        **quantiles(waits[N_WARM:]),
        "load_average": round(os.getloadavg()[0], 1),
    }


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(1000 * each for each in seconds)
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {
        f"{name}_ms": round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2)
        for name, share in at.items()
    } | {"n_searches": len(ordered)}


def corpus(n_lessons: int) -> tuple[list[str], list[str]]:
    """Return lessons and tasks; each third task names a lesson's identifier."""
    rng = random.Random(SEED)
    pairs = FOLDER.parent / "experiments" / "recall-quality" / "pairs.jsonl"
    words = sorted(set(re.findall(r"[a-z]{3,}", pairs.read_text().lower())))
    syllables = re.findall("..", "bacedifoguhajekilomunapequrosutavewixoyu")
    while len(words) < 20_000:
        words.append("".join(rng.choices(syllables, k=rng.randint(2, 4))))
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(words))))

    def some(k: int) -> str:
        return " ".join(rng.choices(words, cum_weights=weights, k=k))

    lessons = [
        f"When {some(6)} fails with ERR_{n:06d}: {some(8)}, instead of {some(4)}."
        for n in range(n_lessons)
    ]
    tasks = [
        f"{some(12)} ERR_{rng.randrange(n_lessons):06d}" if n % 3 == 0 else some(14)
        for n in range(N_TASKS)
    ]
    return lessons, tasks


if __name__ == "__main__":
    main()
