"""Ways to ask a completer: one prompt, or many with every answer passed on as it comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twiceshy.errors import BadInput
from twiceshy.models.running import run, together
from twiceshy.models.types import Completer, Completion, Request, request_of


def ask(completer: Completer, prompt: str, *, system: str = "", max_tokens: int = 512) -> str:
    """Return the answer to one prompt at temperature 0; empty when the model said nothing.

    Raises:
        BadInput: When no answer could be had.

    Example:
        >>> from twiceshy.models import ScriptedCompleter
        >>> ask(ScriptedCompleter({"capital": "Paris"}), "The capital of France?")
        'Paris'
    """
    request = request_of(prompt, system=system, max_tokens=max_tokens)
    (completion,) = completer.complete([request])
    if not completion.answered:
        raise BadInput(
            "an answer from the language model",
            got=f"{completion.finish}: {completion.error}",
            where=completer.name,
            fix="Check the endpoint and the model, or go without: nothing needs a model.",
        )
    return completion.text


async def aeach(
    completer: Completer,
    requests: Sequence[Request],
    *,
    done: Callable[[int, Completion], object],
) -> list[Completion]:
    """Complete requests, each as a call of its own, and pass every answer on when it comes.

    Args:
        completer: It bounds how many run at once.
        requests: What to ask.
        done: Called with the request's place and its completion, in the order of arrival.
    """

    async def one(place: int, request: Request) -> Completion:
        (completion,) = await completer.acomplete([request])
        done(place, completion)
        return completion

    return await together([one(*each) for each in enumerate(requests)])


def complete_each(
    completer: Completer,
    requests: Sequence[Request],
    *,
    progress: Callable[[int, int], object] | None = None,
) -> list[Completion]:
    """Complete requests and tell how far it is: `progress(done, all)` after every answer.

    Example:
        >>> from twiceshy.models import ScriptedCompleter
        >>> requests = [request_of("One?"), request_of("Two?")]
        >>> told = complete_each(ScriptedCompleter({"?": "Yes"}), requests, progress=print)
        1 2
        2 2
    """
    n_done = 0

    def count(_place: int, _completion: Completion) -> None:
        nonlocal n_done
        n_done += 1
        if progress is not None:
            progress(n_done, len(requests))

    return run(aeach(completer, requests, done=count))
