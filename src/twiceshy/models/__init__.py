"""The only door to a language model. Every feature has a path without one."""

from twiceshy.models.completer import Completer, OpenAICompleter, ScriptedCompleter
from twiceshy.models.embedder import Embedder, OpenAIEmbedder

__all__ = ["Completer", "Embedder", "OpenAICompleter", "OpenAIEmbedder", "ScriptedCompleter"]
