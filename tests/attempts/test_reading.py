from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from twiceshy.attempts import (
    Attempt,
    ImportSummary,
    Outcome,
    Reading,
    Unreadable,
    read_attempts,
    reading,
    write_attempts,
)
from twiceshy.attempts.readers import ReadOptions, Source
from twiceshy.attempts.sources import FileSource
from twiceshy.errors import BadInput


def chat(task: str, answer: str = "yes", **fields: Any) -> str:
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
    return json.dumps({"task_id": task, "messages": messages, **fields}) + "\n"


def read(*paths: Path | str, **options: Any) -> tuple[list[Attempt], ImportSummary]:
    found = read_attempts(list(paths), **options)
    return list(found), found.summary


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_reading_is_lazy_and_can_be_repeated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", chat("t", "a") + chat("t", "b"))
    found = read_attempts(path)
    assert found.summary.n_attempts == 0
    first = next(iter(found))
    assert found.summary.n_attempts == 1
    assert [a.id for a in found].index(first.id) == 0
    assert found.summary.n_attempts == 2
    assert found.summary.n_duplicates == 0


def test_unlabelled_attempts_are_usable_and_get_advice(tmp_path: Path) -> None:
    attempts, summary = read(write(tmp_path / "a.jsonl", chat("t", "a") + chat("t", "b")))
    assert [a.outcome for a in attempts] == [Outcome.UNSCORED] * 2
    assert not summary.nothing_usable
    assert any("--outcomes" in line for line in summary.advice)
    assert summary.unscored == {"no judgement in the log": 2}


def test_rewards_outside_zero_and_one(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", chat("t", "a", reward=0.7) + chat("t", "b", reward=1) + chat("t")
    )
    attempts, summary = read(path)
    assert [a.outcome.value for a in attempts] == ["unscored", "success", "unscored"]
    assert attempts[0].verdict.reward == 0.7
    assert summary.n_rewards_out_of_range == 1
    assert any("--threshold" in line for line in summary.notes())
    judged, summary = read(path, threshold=0.5)
    assert [a.outcome.value for a in judged] == ["success", "success", "unscored"]
    assert [a.id for a in judged] == [a.id for a in attempts]
    assert summary.n_rewards_out_of_range == 0


def test_equal_samples_stay_and_duplicates_go(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", chat("t") * 3 + chat("t", trial=1) * 2)
    attempts, summary = read(path)
    assert len({a.id for a in attempts}) == len(attempts) == 4
    assert summary.n_duplicates == 1
    again, summary = read(path, path)
    assert [a.id for a in again] == [a.id for a in attempts]
    assert summary.n_duplicates == 6
    more = write(tmp_path / "b.jsonl", chat("t") * 4)
    both, summary = read(path, more)
    assert len(both) == 5
    assert summary.n_duplicates == 1 + 3


def test_one_trial_with_two_contents_is_kept_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", chat("t", "a", trial=1) + chat("t", "b", trial=1))
    attempts, summary = read(path)
    assert len(attempts) == 2
    assert summary.n_conflicting == 1
    assert any("share task, policy and trial" in line for line in summary.notes())


def test_a_folder_of_mixed_formats(tmp_path: Path) -> None:
    write(tmp_path / "chat.jsonl", chat("t", reward=1))
    row: dict[str, Any] = {"task_id": 1, "reward": 0.0, "info": {}, "traj": [], "trial": 0}
    write(tmp_path / "tau.json", json.dumps([row]))
    write_attempts(list(read_attempts(tmp_path / "chat.jsonl")), tmp_path / "own.jsonl")
    write(tmp_path / "table.csv", "task,success\nx,true\nx,false\n")
    write(tmp_path / "packed.gz", gzip.compress(chat("z").encode()))
    write(tmp_path / "empty.jsonl", "")
    write(tmp_path / "blank.jsonl", "\n \n")
    write(tmp_path / "image.png", bytes(range(256)))
    write(tmp_path / "notes.txt", "buy milk\n")
    write(tmp_path / "other.jsonl", '{"question": 1, "gold": 2}\n')
    attempts, summary = read(tmp_path)
    assert summary.formats == {"openai_chat": 2, "table": 2, "tau_bench": 1}
    assert len(attempts) == 5
    assert summary.n_duplicates == 1  # own.jsonl repeats chat.jsonl
    reasons = {Path(one.file).name: one.reason for one in summary.skipped}
    assert "empty" in reasons["empty.jsonl"]
    assert "blank" in reasons["blank.jsonl"]
    assert "binary" in reasons["image.png"]
    assert "--map" in reasons["notes.txt"]
    assert "question, gold" in reasons["other.jsonl"]
    assert any("several formats" in line for line in summary.notes())


def test_nothing_usable(tmp_path: Path) -> None:
    attempts, summary = read(write(tmp_path / "x.jsonl", b"\x00\xff" * 50))
    assert attempts == []
    assert summary.nothing_usable
    assert summary.numbers()["n_files_skipped"] == 1


def test_damaged_lines_are_counted_with_their_place(tmp_path: Path) -> None:
    text = chat("a").encode() + b"{oops\n" + b'{"messages": "\xff"}\n' + chat("b").encode()
    attempts, summary = read(write(tmp_path / "x.jsonl", text))
    assert [a.task for a in attempts] == ["a", "b"]
    assert [u.where.rsplit(":", 1)[1] for u in summary.unreadable] == ["2", "3"]
    assert summary.n_unreadable == 2


def test_a_cut_last_line_may_still_be_written(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", (chat("a") + chat("b"))[:-20])
    attempts, summary = read(path)
    assert [a.task for a in attempts] == ["a"]
    assert "still being written" in summary.unreadable[0].fix
    assert summary.unreadable[0].where == f"{path}:2"


def test_a_growing_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", chat("a") * 2)
    found = read_attempts(path)
    steps = iter(found)
    next(steps)
    with path.open("a") as file:
        file.write(chat("b"))
    assert [a.task for a in steps] == ["a"]
    assert "grew" in found.summary.files[0].note


def test_a_cut_json_list_keeps_what_is_whole(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"task_id": n, "reward": 1.0, "info": {}, "traj": [{"role": "user", "content": "[{,"}]}
        for n in range(3)
    ]
    whole = json.dumps(rows)
    between = whole.rindex(", {" + '"task_id"')
    for n_bytes in (len(whole) - 10, between, between + 1):
        path = write(tmp_path / f"{n_bytes}.json", whole[:n_bytes])
        attempts, summary = read(path)
        assert [a.task for a in attempts] == ["0", "1"]
        assert summary.n_unreadable == 1
    assert "still being written" in summary.unreadable[0].fix


def test_a_cut_line_in_the_middle_is_not_called_unfinished(tmp_path: Path) -> None:
    _, summary = read(write(tmp_path / "x.jsonl", chat("a") + chat("b")[:30] + "\n" + chat("c")))
    assert "truncated" in summary.unreadable[0].got
    assert summary.unreadable[0].fix == ""


def test_one_giant_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.jsonl", chat("a") + chat("b", "y" * 3_000_000) + chat("c"))
    assert len(read(path)[0]) == 3
    monkeypatch.setattr(reading, "FileSource", partial(FileSource, max_line_bytes=1_000_000))
    attempts, summary = read(path)
    assert [a.task for a in attempts] == ["a", "c"]
    assert "1,000,000 bytes" in summary.unreadable[0].expected


def test_the_clock_going_backwards_is_a_warning(tmp_path: Path) -> None:
    times = ["2026-01-01T10:00:00Z", "2026-01-01T09:00:00Z"]
    messages = [{"role": "user", "content": "x", "timestamp": time} for time in times]
    text = json.dumps({"messages": messages}) + "\n"
    attempts, summary = read(write(tmp_path / "x.jsonl", text))
    assert len(attempts) == summary.n_clock_backwards == 1
    assert any("clock goes backwards" in line for line in summary.notes())


def test_groups_with_one_attempt_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", chat("a") * 2 + chat("b"))
    _, summary = read(path)
    assert (summary.n_groups, summary.n_single_groups, summary.n_tasks) == (2, 1, 2)
    _, summary = read(write(tmp_path / "y.jsonl", chat("a") + chat("b")))
    assert any("Every task has one attempt" in line for line in summary.advice)
    told, alone = summary.notes(), summary.notes(contrasts=False)
    dropped = [line for line in told if line not in alone]
    assert [line.split(".")[0] for line in dropped] == [
        "2 groups (task and policy) with a single attempt",
        "Every task has one attempt",
    ]


def test_damaged_compression_is_reported(tmp_path: Path) -> None:
    lines = "".join(chat(str(n), "word " * 50) for n in range(2000)).encode()
    path = write(tmp_path / "x.jsonl.gz", gzip.compress(lines)[:-500])
    attempts, summary = read(path)
    assert attempts
    assert "intact gzip data" in summary.unreadable[-1].expected


def test_text_that_cannot_be_stored_is_unreadable(tmp_path: Path) -> None:
    line = chat("a", "X").replace("X", "\\ud800")
    attempts, summary = read(write(tmp_path / "x.jsonl", line))
    assert attempts == []
    assert summary.n_unreadable == 1


def test_unknown_formats_and_paths_are_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", chat("a"))
    with pytest.raises(BadInput, match="Did you mean openai_chat"):
        read_attempts(path, format="openai-chat")
    with pytest.raises(BadInput, match="existing file"):
        read_attempts(tmp_path / "nothing.jsonl")
    with pytest.raises(BadInput, match="--map"):
        read_attempts(path, mapping={"tusk": "a"})


def test_a_named_format_is_used_for_every_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", chat("a"))
    attempts, summary = read(path, format="tau_bench")
    assert attempts == []
    assert summary.n_unreadable == 1


def test_the_users_own_rules(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", chat("a", "quota", success=True) + chat("a", success=False))

    def no_quota(attempt: Attempt) -> str | None:
        return "our quota ran out" if attempt.steps[-1].text == "quota" else None

    attempts, summary = read(path, rules=[no_quota])
    assert [a.outcome.value for a in attempts] == ["broken", "failure"]
    assert attempts[0].verdict.recorded is Outcome.SUCCESS
    assert summary.broken == {"user_rule": {"our quota ran out": 1}}

    def faulty(attempt: Attempt) -> str | None:
        raise KeyError("oops")

    with pytest.raises(BadInput, match="KeyError"):
        read(path, rules=[faulty])


class Faulty:
    name: Literal["faulty"] = "faulty"

    def matches(self, source: Source) -> bool:
        return True

    def read(self, source: Source, options: ReadOptions) -> Iterator[Attempt | Unreadable]:
        raise ZeroDivisionError("a bug in a reader")
        yield


def test_a_reader_that_raises_does_not_end_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "READERS", (Faulty(),))
    _, summary = read(write(tmp_path / "x.jsonl", "x"), write(tmp_path / "y.jsonl", "x"))
    assert summary.n_unreadable == 2
    assert "a bug in a reader" in summary.unreadable[0].got


def test_progress_ends_at_the_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", "".join(chat(str(n)) for n in range(600)))
    told: list[tuple[int, int, int]] = []
    found = read_attempts(path, progress=lambda done, total, n: told.append((done, total, n)))
    assert isinstance(found, Reading)
    list(found)
    size = path.stat().st_size
    assert told[-1] == (size, size, 600)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert len(told) == 3


def test_the_policy_option_fills_a_gap_only(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", chat("a") + chat("a", model="m"))
    attempts, _ = read(path, policy="p")
    assert [a.policy for a in attempts] == ["p", "m"]
