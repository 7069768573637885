from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.attempts import sources
from twiceshy.attempts.sources import FileSource, expand
from twiceshy.errors import BadInput, MissingExtra

TEXT = b'{"a": 1}\n\n{"b": 2}\r\n{"c": 3}'
COMPRESS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("kind", COMPRESS)
def test_lines_are_numbered_as_in_an_editor(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "log"  # no suffix: the first bytes decide
    path.write_bytes(COMPRESS[kind](TEXT))
    source = FileSource(path)
    assert list(source.lines()) == [(1, b'{"a": 1}'), (3, b'{"b": 2}\r'), (4, b'{"c": 3}')]
    assert source.head == TEXT
    assert source.unterminated_line == 4


@given(lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))))
def test_splitting_agrees_with_the_obvious_way(
    lines: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("s") / "x"
    path.write_bytes(b"\n".join([b"head", *lines]))
    expected = [
        (n, line)
        for n, line in enumerate([b"head", *lines], start=1)
        if line and not line.isspace()
    ]
    assert list(FileSource(path).lines()) == expected


def test_lines_longer_than_a_chunk_and_over_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    long = b"x" * (2 * 1024 * 1024)
    path.write_bytes(b"a\n" + long + b"\nb\n")
    assert [len(line) for _, line in FileSource(path).lines()] == [1, len(long), 1]
    source = FileSource(path, max_line_bytes=1024)
    assert list(source.lines()) == [(1, b"a"), (3, b"b")]
    assert [fault.where for fault in source.faults] == [f"{path}:2"]


def test_a_file_that_grows_ends_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one\ntw")
    source = FileSource(path)
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert list(source.lines()) == [(1, b"one"), (2, b"tw")]
    assert source.unterminated_line == 2
    assert source.has_grown


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz"])
def test_damaged_compression_is_bad_input(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(COMPRESS[kind](TEXT * 100)[:-12])
    with pytest.raises(BadInput, match="intact"):
        list(FileSource(path).lines())
    assert isinstance(FileSource(path).head, bytes)


def test_zstd_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(zstandard.compress(TEXT))
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(MissingExtra, match=r"twiceshy\[zstd\]"):
        FileSource(path).open()


def test_expand_walks_folders_and_globs(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "sub/c.jsonl", ".hidden", ".git/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [str(path.relative_to(tmp_path)) for path in expand([tmp_path])]
    assert names == ["a.jsonl", "b.jsonl", "sub/c.jsonl"]
    assert [p.name for p in expand([str(tmp_path / "*.jsonl")])] == ["a.jsonl", "b.jsonl"]
    assert len(expand([str(tmp_path / "**" / "*.jsonl")])) == 3


def test_a_missing_path_names_near_matches(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").touch()
    with pytest.raises(BadInput, match=r"Did you mean runs\.jsonl"):
        expand([tmp_path / "run.jsonl"])
    with pytest.raises(BadInput, match="does not exist"):
        expand([tmp_path / "nowhere" / "x"])
    with pytest.raises(BadInput, match="no match"):
        expand([str(tmp_path / "*.csv")])


def test_a_folder_cannot_be_opened_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        list(FileSource(tmp_path).lines())


def test_magic_beats_suffix(tmp_path: Path) -> None:
    path = tmp_path / "plain.gz"
    path.write_bytes(b"{}\n")
    assert list(FileSource(path).lines()) == [(1, b"{}")]
    assert sources.compression(b"PAR1") is None
