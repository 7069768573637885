"""Attempts per second when importing chat JSONL, against `json.loads` and pydantic models.

The peer does what anyone would write first: parse each line with `json`, validate it with pydantic
models of our record, and hash the canonical JSON for an id. Both sides read the same generated file
and give the same fields: task, policy, trial, steps with parsed tool arguments, outcome, id. The
script checks that before it times them, in turns, and takes the best of each.
"""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic

from twiceshy.attempts import Attempt, read_attempts

N_CONVERSATIONS = 20_000
ROUNDS = 5
SEED = 7
TARGET_RATIO = 3.0
TEXT = (
    "the flight to Oslo leaves at nine and the reservation shows one checked bag but no meal so "
    "please change the seat, keep the insurance and refund the difference to my credit card"
)
WORDS = TEXT.split()


PEER_FIELDS = ("task_id", "model", "trial", "reward")


class PeerCall(pydantic.BaseModel):
    name: str
    arguments: dict[str, Any] | str
    id: str | None = None


class PeerStep(pydantic.BaseModel):
    role: Literal["system", "user", "assistant", "tool", "environment"]
    text: str = ""
    calls: list[PeerCall] = []
    call_id: str | None = None
    name: str | None = None


class PeerVerdict(pydantic.BaseModel):
    outcome: Literal["success", "failure", "broken", "unscored"]
    reward: float | None = None


class PeerAttempt(pydantic.BaseModel):
    task: str
    policy: str
    trial: str | None
    steps: list[PeerStep]
    verdict: PeerVerdict
    file: str
    line: int
    extra: dict[str, Any]
    id: str = ""


def sentence(rng: random.Random, *, low: int, high: int) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(low, high)))


def conversation(rng: random.Random, index: int) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": sentence(rng, low=60, high=60)}]
    for turn in range(rng.randint(2, 4)):
        messages.append({"role": "user", "content": sentence(rng, low=8, high=40)})
        call_id = f"call_{index}_{turn}"
        arguments = json.dumps(
            {"reservation": f"R{rng.randint(0, 9999)}", "bags": turn, "paid": True}
        )
        function = {"name": rng.choice(["get_order", "update_order"]), "arguments": arguments}
        call = {"id": call_id, "type": "function", "function": function}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        reply = json.dumps({"ok": True, "text": sentence(rng, low=20, high=120)})
        messages.append(
            {"role": "tool", "tool_call_id": call_id, "name": function["name"], "content": reply}
        )
        messages.append({"role": "assistant", "content": sentence(rng, low=20, high=80)})
    return {
        "task_id": f"task-{index // 8}",
        "model": "some-model",
        "trial": index % 8,
        "messages": messages,
        "reward": float(rng.random() < 0.5),
        "usage": {"prompt_tokens": rng.randint(500, 5000), "completion_tokens": 300},
    }


def write_file(path: Path, *, n_conversations: int) -> None:
    rng = random.Random(SEED)
    with path.open("w") as file:
        for index in range(n_conversations):
            file.write(json.dumps(conversation(rng, index)) + "\n")


def read_with_pydantic(path: Path) -> Iterator[PeerAttempt]:
    with path.open() as file:
        for number, line in enumerate(file, start=1):
            record = json.loads(line)
            attempt = PeerAttempt(
                task=str(record["task_id"]),
                policy=record["model"],
                trial=str(record["trial"]),
                steps=[peer_step(message) for message in record.pop("messages")],
                verdict=peer_verdict(record.get("reward")),
                file=str(path),
                line=number,
                extra={name: record[name] for name in record if name not in PEER_FIELDS},
            )
            told = attempt.model_dump(exclude={"file", "line", "id"})
            content = json.dumps(told, sort_keys=True)
            attempt.id = hashlib.blake2b(content.encode(), digest_size=8).hexdigest()
            yield attempt


def peer_step(message: dict[str, Any]) -> PeerStep:
    calls = [
        PeerCall(
            name=call["function"]["name"],
            arguments=json.loads(call["function"]["arguments"]),
            id=call["id"],
        )
        for call in message.get("tool_calls") or ()
    ]
    return PeerStep(
        role=message["role"],
        text=message["content"] or "",
        calls=calls,
        call_id=message.get("tool_call_id"),
        name=message.get("name"),
    )


def peer_verdict(reward: float | None) -> PeerVerdict:
    if reward is None:
        return PeerVerdict(outcome="unscored")
    return PeerVerdict(outcome="success" if reward == 1 else "failure", reward=reward)


def read_with_twiceshy(path: Path) -> Iterator[Attempt]:
    yield from read_attempts(path)


def same_information(path: Path) -> bool:
    """Whether both sides give the same fields, attempt by attempt."""
    pairs = zip(read_with_twiceshy(path), read_with_pydantic(path), strict=True)
    return all(told_by_twiceshy(ours) == told_by_peer(peer) for ours, peer in pairs)


def told_by_twiceshy(attempt: Attempt) -> list[object]:
    verdict = attempt.verdict
    whole = [attempt.task, attempt.policy, attempt.trial, verdict.outcome.value, verdict.reward]
    steps = [(step.role, step.text, step.call_id, step.name) for step in attempt.steps]
    calls = [(call.name, call.arguments, call.id) for step in attempt.steps for call in step.calls]
    return [whole, attempt.extra, steps, calls]


def told_by_peer(attempt: PeerAttempt) -> list[object]:
    verdict = attempt.verdict
    whole = [attempt.task, attempt.policy, attempt.trial, verdict.outcome, verdict.reward]
    steps = [(step.role, step.text, step.call_id, step.name) for step in attempt.steps]
    calls = [(call.name, call.arguments, call.id) for step in attempt.steps for call in step.calls]
    return [whole, attempt.extra, steps, calls]


def seconds(read: Callable[[Path], Iterator[object]], path: Path) -> float:
    """Time of reading the file once, each attempt let go of as the next is read."""
    started = time.perf_counter()
    n_read = sum(1 for _ in read(path))
    elapsed = time.perf_counter() - started
    if n_read != N_CONVERSATIONS:
        raise RuntimeError(f"read {n_read} of {N_CONVERSATIONS}")
    return elapsed


def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chat.jsonl")
        write_file(path, n_conversations=N_CONVERSATIONS)
        if not same_information(path):
            raise RuntimeError("the two readers do not give the same information")
        ours: list[float] = []
        peers: list[float] = []
        for _ in range(ROUNDS):
            ours.append(seconds(read_with_twiceshy, path))
            peers.append(seconds(read_with_pydantic, path))
        megabytes = path.stat().st_size / 1e6
    return {
        "n_conversations": N_CONVERSATIONS,
        "file_megabytes": round(megabytes, 1),
        "attempts_per_second": round(N_CONVERSATIONS / min(ours)),
        "json_pydantic_attempts_per_second": round(N_CONVERSATIONS / min(peers)),
        "ratio": round(min(peers) / min(ours), 2),
        "target_ratio": TARGET_RATIO,
    }


if __name__ == "__main__":
    print(json.dumps(main()))
