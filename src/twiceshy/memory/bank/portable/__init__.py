"""Lessons out of a bank and into one: JSONL, Markdown, skill folders, and other systems' banks."""

from twiceshy.memory.bank.portable.jsonl import read_log, write_lessons, write_log
from twiceshy.memory.bank.portable.markdown import write_markdown
from twiceshy.memory.bank.portable.reading import FORMATS, Format, read_lessons
from twiceshy.memory.bank.portable.records import ORIGIN, Imported
from twiceshy.memory.bank.portable.skills import write_skills

__all__ = [
    "FORMATS",
    "ORIGIN",
    "Format",
    "Imported",
    "read_lessons",
    "read_log",
    "write_lessons",
    "write_log",
    "write_markdown",
    "write_skills",
]
