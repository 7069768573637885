"""Prompt in, text out: a protocol, an OpenAI-compatible endpoint, and a script for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from twiceshy.errors import BadInput, missing_extra


class Completer(Protocol):
    """Anything that answers a prompt."""

    def complete(self, prompt: str, *, system: str = "", max_tokens: int = 512) -> str:
        """Return the answer to `prompt`; `max_tokens` bounds the answer's length in tokens."""
        ...


class OpenAICompleter:
    """A model behind any OpenAI-compatible chat endpoint, at temperature 0.

    Args:
        model: The model's name as the endpoint knows it.
        base_url: The endpoint, for example a local server; None is the SDK's default.
        api_key: None reads the SDK's environment variable.
        timeout: Seconds to wait for one answer.

    Raises:
        MissingExtra: When the `openai` extra is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
    ) -> None:
        try:
            from openai import OpenAI
        except ImportError as error:
            raise missing_extra("asking a language model", "openai") from error
        self.model = model
        self._client = OpenAI(base_url=base_url, api_key=api_key, timeout=timeout, max_retries=1)

    def complete(self, prompt: str, *, system: str = "", max_tokens: int = 512) -> str:
        """Return the first choice's text.

        Raises:
            BadInput: When the endpoint cannot be reached or refuses the request.
        """
        from openai import OpenAIError

        try:
            answer = self._client.chat.completions.create(
                model=self.model,
                temperature=0.0,
                max_tokens=max_tokens,
                messages=[
                    {"role": "system", "content": system},
                    {"role": "user", "content": prompt},
                ],
            )
        except OpenAIError as error:
            raise BadInput(
                "an answer from the language model",
                got=f"{type(error).__name__}: {error}",
                where=str(self._client.base_url),
                fix="Check --model-url and --model, or leave them out: nothing needs a model.",
            ) from error
        return (answer.choices[0].message.content or "") if answer.choices else ""


class ScriptedCompleter:
    """Answers by a table and fails on a prompt it does not know. For tests only.

    Args:
        answers: The answer to each prompt that contains the key.

    Example:
        >>> ScriptedCompleter({"capital": "Paris"}).complete("The capital of France?")
        'Paris'
    """

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = dict(answers)
        self.prompts: list[str] = []

    def complete(self, prompt: str, *, system: str = "", max_tokens: int = 512) -> str:
        """Return the scripted answer.

        Raises:
            BadInput: When no key occurs in the prompt.
        """
        del system, max_tokens
        self.prompts.append(prompt)
        for key, answer in self.answers.items():
            if key in prompt:
                return answer
        raise BadInput(
            "a prompt with a scripted answer",
            got=repr(prompt[:80]),
            where="ScriptedCompleter",
            fix="Add the prompt to the script.",
        )
