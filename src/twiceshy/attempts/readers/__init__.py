"""One file per log format; `READERS` lists them in the order in which they are tried."""

from __future__ import annotations

from twiceshy.attempts.readers.atif import Atif
from twiceshy.attempts.readers.claude_code import ClaudeCode
from twiceshy.attempts.readers.codex import Codex
from twiceshy.attempts.readers.inspect_log import InspectLog
from twiceshy.attempts.readers.mini_swe_agent import MiniSweAgent
from twiceshy.attempts.readers.openai_chat import OpenAIChat
from twiceshy.attempts.readers.own import Own
from twiceshy.attempts.readers.protocol import Reader, ReadOptions, Source
from twiceshy.attempts.readers.swe_agent import SweAgent
from twiceshy.attempts.readers.table import Table
from twiceshy.attempts.readers.tau2_bench import Tau2Bench
from twiceshy.attempts.readers.tau_bench import TauBench
from twiceshy.attempts.readers.trl import Trl
from twiceshy.attempts.readers.verifiers import Verifiers
from twiceshy.attempts.readers.verl import Verl

READERS: tuple[Reader, ...] = (
    Own(),
    Tau2Bench(),
    TauBench(),
    InspectLog(),
    Atif(),
    MiniSweAgent(),
    SweAgent(),
    Codex(),
    ClaudeCode(),
    Verifiers(),
    Verl(),
    Trl(),
    OpenAIChat(),
    Table(),
)
"""All readers, most specific first: the first whose `matches` says yes reads the file."""

__all__ = ["READERS", "ReadOptions", "Reader", "Source"]
