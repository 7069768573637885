"""A model that says what it was told to. For tests, and for trying a procedure without a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twiceshy.errors import BadInput
from twiceshy.models.types import Completion, Request

Said = str | Completion | None
"""An answer, with or without its particulars; None for a request without one."""


class ScriptedCompleter:
    """Answers by a table or a function, and fails on a prompt it has no answer to.

    Args:
        answers: The answer to each prompt that contains the key, the first key that matches; or a
            function of the request.
        name: The model's name.

    Example:
        >>> from twiceshy.models import request_of
        >>> model = ScriptedCompleter({"capital": "Paris"})
        >>> model.complete([request_of("The capital of France?")])[0].text, model.prompts
        ('Paris', ['The capital of France?'])
        >>> model.complete([request_of("A king?")])
        Traceback (most recent call last):
        twiceshy.errors.BadInput: scripted: expected a prompt with a scripted answer, got "A king?".
    """

    def __init__(
        self, answers: Mapping[str, str] | Callable[[Request], Said], *, name: str = "scripted"
    ) -> None:
        self.name = name
        self.requests: list[Request] = []
        """Everything asked so far."""
        self._answer = answers if callable(answers) else _by_table(answers)

    @property
    def prompts(self) -> list[str]:
        """The last message of everything asked so far."""
        return [each.prompt for each in self.requests]

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the scripted answers.

        Raises:
            BadInput: When a request has none.
        """
        return [self._one(each) for each in requests]

    async def acomplete(self, requests: Sequence[Request]) -> list[Completion]:
        """Return the scripted answers."""
        return self.complete(requests)

    def _one(self, request: Request) -> Completion:
        self.requests.append(request)
        said = self._answer(request)
        if said is None:
            raise BadInput(
                "a prompt with a scripted answer",
                got=f'"{request.prompt[:80]}"',
                where=self.name,
            )
        return said if isinstance(said, Completion) else _completion(said)


def _by_table(answers: Mapping[str, str]) -> Callable[[Request], Said]:
    table = dict(answers)
    return lambda request: next((table[key] for key in table if key in request.prompt), None)


def _completion(text: str) -> Completion:
    return Completion(text=text, finish="stop" if text.strip() else "empty")
