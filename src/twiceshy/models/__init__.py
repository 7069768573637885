"""The only door to a language model. Every feature has a path without one."""

from twiceshy.models.asking import aeach, ask, complete_each
from twiceshy.models.cache import CachedCompleter
from twiceshy.models.embedder import Embedder, OpenAIEmbedder
from twiceshy.models.endpoint import OpenAICompleter
from twiceshy.models.local import LocalCompleter
from twiceshy.models.pacing import Limits
from twiceshy.models.recording import RecordingCompleter, ReplayCompleter
from twiceshy.models.scripted import ScriptedCompleter
from twiceshy.models.types import Completer, Completion, Finish, Message, Request, request_of
from twiceshy.models.usage import Price, Usage, usage_of

__all__ = [
    "CachedCompleter",
    "Completer",
    "Completion",
    "Embedder",
    "Finish",
    "Limits",
    "LocalCompleter",
    "Message",
    "OpenAICompleter",
    "OpenAIEmbedder",
    "Price",
    "RecordingCompleter",
    "ReplayCompleter",
    "Request",
    "ScriptedCompleter",
    "Usage",
    "aeach",
    "ask",
    "complete_each",
    "request_of",
    "usage_of",
]
