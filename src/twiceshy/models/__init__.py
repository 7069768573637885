"""The only door to a language model. Every feature has a path without one."""

from twiceshy.models.completer import Completer, OpenAICompleter, ScriptedCompleter

__all__ = ["Completer", "OpenAICompleter", "ScriptedCompleter"]
