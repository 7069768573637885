"""Asking a model through the step file: known answers are used, new ones are kept as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from twiceshy.models import Completer, Completion, Request, aeach
from twiceshy.models.running import run
from twiceshy.principles.steps import Step, StepFile, step_id

CHUNK = 64
"""Requests under way together; the completer bounds how many of them are sent at once."""
MAX_FAILED = 8
"""Calls without an answer in a row after which nothing more is asked. Ours."""

Progress = Callable[[str, int, int], None]
"""Called with (step, calls done, calls in all)."""


class Spent(NamedTuple):
    """What was used of a model."""

    n_calls: int
    """Requests that were sent and came to an end, with an answer or without."""
    n_known: int
    """Requests whose answer was there from an earlier call: nothing was sent."""
    failed: dict[str, int]
    """Requests without usable text, by how they ended ("timeout", "rate_limited", "empty")."""
    n_not_asked: int
    """Requests left out after too many failures in a row."""
    prompt_tokens: int
    completion_tokens: int
    n_uncounted: int
    """Calls whose tokens the endpoint did not tell; the sums are without them."""
    by_step: dict[str, int]
    """Distinct requests that have an answer, sent now or known before, by step."""


class Asker:
    """A model with its step file.

    Args:
        model: The model.
        steps: Where calls are kept; None keeps them in memory.
        progress: Told how far it is.

    Example:
        >>> from twiceshy.models import ScriptedCompleter, request_of
        >>> asker = Asker(ScriptedCompleter({"?": "Yes"}))
        >>> asker.ask("try", {"a": request_of("One?")})["a"].text, asker.spent.n_calls
        ('Yes', 1)
        >>> _ = asker.ask("try", {"a": request_of("One?")})
        >>> asker.spent.n_calls, asker.spent.n_known
        (1, 1)
    """

    def __init__(
        self,
        model: Completer,
        *,
        steps: StepFile | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.model = model
        self.steps = steps if steps is not None else StepFile()
        self._progress = progress
        self._calls: list[Completion] = []
        self._n_known = self._n_not_asked = self._n_failed_in_a_row = 0
        self._by_step: dict[str, set[str]] = {}

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def gave_up(self) -> bool:
        """Whether the endpoint failed too often in a row: nothing more is sent."""
        return self._n_failed_in_a_row >= MAX_FAILED

    @property
    def spent(self) -> Spent:
        """What was used so far."""
        counted = [each for each in self._calls if each.completion_tokens is not None]
        return Spent(
            n_calls=len(self._calls),
            n_known=self._n_known,
            failed=dict(Counter(str(each.finish) for each in self._calls if not each.ok)),
            n_not_asked=self._n_not_asked,
            prompt_tokens=sum(each.prompt_tokens or 0 for each in counted),
            completion_tokens=sum(each.completion_tokens or 0 for each in counted),
            n_uncounted=len(self._calls) - len(counted),
            by_step={step: len(ids) for step, ids in self._by_step.items()},
        )

    def ask(self, step: str, requests: Mapping[str, Request]) -> dict[str, Completion]:
        """Return a completion for every request, by key; a request that failed has one too.

        Args:
            step: What they are for.
            requests: What to ask, by key.
        """
        found: dict[str, Completion] = {}
        for key, request in requests.items():
            known = self.steps.find(request, model=self.name)
            if known is not None:
                found[key] = known
                self._count(step, request)
        self._n_known += len(found)
        missing = [key for key in requests if key not in found]
        for start in range(0, len(missing), CHUNK):
            chunk = {key: requests[key] for key in missing[start : start + CHUNK]}
            found |= self._send(step, chunk, done=len(found), total=len(requests))
        return {key: found[key] for key in requests}

    def _send(
        self, step: str, chunk: Mapping[str, Request], *, done: int, total: int
    ) -> dict[str, Completion]:
        if self.gave_up:
            self._n_not_asked += len(chunk)
            return {key: _not_asked(self._n_failed_in_a_row) for key in chunk}
        keys, n_done = list(chunk), done

        def arrived(place: int, completion: Completion) -> None:
            nonlocal n_done
            n_done += 1
            self._keep(step, keys[place], chunk[keys[place]], completion)
            if self._progress is not None:
                self._progress(step, n_done, total)

        answers = run(aeach(self.model, list(chunk.values()), done=arrived))
        return dict(zip(keys, answers, strict=True))

    def _keep(self, step: str, key: str, request: Request, completion: Completion) -> None:
        id = step_id(request, model=self.name)
        self.steps.add(Step(step=step, key=key, id=id, request=request, completion=completion))
        self._calls.append(completion)
        self._n_failed_in_a_row = 0 if completion.answered else self._n_failed_in_a_row + 1
        if completion.answered:
            self._count(step, request)

    def _count(self, step: str, request: Request) -> None:
        self._by_step.setdefault(step, set()).add(step_id(request, model=self.name))


def _not_asked(n_failed: int) -> Completion:
    return Completion(
        text="",
        finish="unreachable",
        n_tries=0,
        error=f"not asked: {n_failed} calls in a row had no answer",
    )
