"""Runs that go on after a kill as if nothing had happened, and policies in files.

All draws are keyed by (seed, purpose, step) (`streams`), so no generator's state has to be kept:
weights, optimiser, curriculum and step are the whole state. Files appear whole or not at all.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import torch

from twiceshy.errors import BadInput
from twiceshy.files import whole_file
from twiceshy.training.policy import PolicyConfig, TinyPolicy

FORMAT = 1

State = dict[str, Any]
T = TypeVar("T")


class Checkpoint(NamedTuple):
    """A run between two steps."""

    identity: str
    """What the run was asked to do; another run's checkpoint is refused."""
    step: int
    """Steps that are done."""
    policy: State
    optimiser: State
    curriculum: bytes


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in the place of the last one."""
    content = {"kind": "run", "format": FORMAT, **checkpoint._asdict()}
    _save(
        path, {**content, "curriculum": checkpoint.curriculum.hex()}
    )  # safe loading knows no bytes


def load_checkpoint(path: Path, *, identity: str) -> Checkpoint | None:
    """Return the checkpoint of this run; None when there is none yet.

    Raises:
        BadInput: When the file is damaged or belongs to another run.
    """
    if not path.exists():
        return None
    found = _load(path, kind="run")
    if found["identity"] != identity:
        raise BadInput(
            "a checkpoint of the same run: task, objective, config, seed and base policy",
            got="another run's",
            where=str(path),
            fix="Choose another folder, or delete this one to start again.",
        )
    found["curriculum"] = bytes.fromhex(found["curriculum"])
    return Checkpoint(*(found[field] for field in Checkpoint._fields))


def save_policy(path: Path, policy: TinyPolicy, *, about: dict[str, str]) -> None:
    """Write a policy's weights, size and origin to a file.

    Args:
        path: Where.
        policy: The policy.
        about: What a reader should know of it (task, recipe, seed), as text.
    """
    config = msgspec.json.encode(policy.config).decode()
    size = {"config": config, "n_tokens": policy.n_tokens, "max_length": policy.max_length}
    content = {"kind": "policy", "format": FORMAT, "about": about, **size}
    _save(path, {**content, "weights": policy.state_dict()})


class SavedPolicy(NamedTuple):
    """A policy read from a file."""

    policy: TinyPolicy
    about: dict[str, str]


def load_policy(path: Path) -> SavedPolicy:
    """Return a policy that `save_policy` wrote.

    Raises:
        BadInput: When the file is missing or damaged, or holds weights that are not finite.
    """
    found = _load(path, kind="policy")
    if not all(bool(torch.isfinite(each).all()) for each in found["weights"].values()):
        raise BadInput(
            "finite weights",
            got="NaN or infinity",
            where=str(path),
            fix="Take an earlier policy; the run that made it had diverged.",
        )
    config = msgspec.json.decode(found["config"], type=PolicyConfig)
    policy = TinyPolicy(config, n_tokens=found["n_tokens"], max_length=found["max_length"], seed=0)
    policy.load_state_dict(found["weights"])
    return SavedPolicy(policy, found["about"])


def append_line(path: Path, record: msgspec.Struct) -> None:
    """Add one record to a file of JSON lines."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(record) + b"\n")


def keep_lines(path: Path, record_type: type[T], *, n: int) -> list[T]:
    """Cut a file of JSON lines to its first n records and return them.

    A run that was killed may have written lines that its checkpoint knows nothing of.

    Raises:
        BadInput: When fewer than n records can be read.
    """
    lines = path.read_bytes().splitlines(keepends=True)[:n] if path.exists() else []
    try:
        records = [msgspec.json.decode(line, type=record_type) for line in lines]
    except msgspec.DecodeError as error:
        raise BadInput(f"{n} records", got=str(error), where=str(path)) from error
    if len(records) < n:
        raise BadInput(
            f"{n} records, as many as the checkpoint has seen",
            got=str(len(records)),
            where=str(path),
            fix="Delete the run's folder to start again.",
        )
    with whole_file(path) as part:
        part.write_bytes(b"".join(lines))
    return records


def _save(path: Path, content: State) -> None:
    with whole_file(path) as part, part.open("wb") as file:
        torch.save(content, file)


def _load(path: Path, *, kind: str) -> State:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        raise _unreadable(path, kind, str(error).splitlines()[0] if str(error) else "") from error
    if not isinstance(found, dict) or found.get("kind") != kind or found.get("format") != FORMAT:
        raise _unreadable(path, kind, "another kind of file")
    return found


def _unreadable(path: Path, kind: str, why: str) -> BadInput:
    return BadInput(f"a {kind} file of format {FORMAT}", got=why, where=str(path))
