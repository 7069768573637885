"""The model at work: questions behind a block of text, judged. The only place that asks questions.

Every arm and every gate measures through it, with the same prompts and the same random numbers, so
that two arms differ in their block and in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.types import Outcome
from twiceshy.models import Completion, Request, request_of
from twiceshy.principles.asking import Asker
from twiceshy.principles.prompting import question_prompt
from twiceshy.principles.types import Answer, Example, Metric, Scored
from twiceshy.principles.unread import Sheet


class Executor(NamedTuple):
    """A model, the metric it is judged by, and how it is asked."""

    asker: Asker
    metric: Metric
    max_tokens: int = 512
    """Longest answer, in tokens."""
    seed: int = 0

    @property
    def name(self) -> str:
        """The model's name: what gates accept holds for this executor only."""
        return self.asker.name

    def answers(
        self,
        examples: Sequence[Example],
        *,
        step: str,
        block: str = "",
        shots: Sequence[Example] = (),
        n_samples: int = 1,
        temperature: float = 0.0,
        first_sample: int = 0,
    ) -> list[list[Answer]]:
        """Return `n_samples` judged answers to each example, in order.

        Args:
            examples: What is asked.
            step: What the calls are for, in the step file.
            block: What stands before the question.
            shots: Worked examples between block and question.
            n_samples: Answers an example.
            temperature: 0 is greedy; several greedy answers are as many calls.
            first_sample: Number of the first draw; draws with other numbers are independent.
        """
        draws = range(first_sample, first_sample + n_samples)
        asked = {
            f"{each.id}#{draw}": self._request(
                question_prompt(each, block=block, shots=shots), temperature, draw
            )
            for each in examples
            for draw in draws
        }
        found = self.asker.ask(step, asked)
        return [[self._judged(each, draw, found) for draw in draws] for each in examples]

    def scores(
        self, examples: Sequence[Example], *, step: str, block: str = ""
    ) -> NDArray[np.float64]:
        """Return the greedy score of each example, shape (n,); NaN where there is none.

        There is none where no answer came, and none where it could not be read: `sheet` says which.
        """
        return self.sheet(examples, step=step, block=block).scores

    def sheet(self, examples: Sequence[Example], *, step: str, block: str = "") -> Sheet:
        """Return the greedy scores of the examples, and which answers could not be read."""
        judged = [each[0] for each in self.answers(examples, step=step, block=block)]
        return sheet_of(judged)

    def _request(self, prompt: str, temperature: float, sample: int) -> Request:
        return request_of(
            prompt,
            temperature=temperature,
            max_tokens=self.max_tokens,
            seed=self.seed,
            sample=sample,
        )

    def _judged(self, example: Example, sample: int, found: dict[str, Completion]) -> Answer:
        completion = found[f"{example.id}#{sample}"]
        return Answer(example, sample, completion.text, judge(self.metric, example, completion))


def judge(metric: Metric, example: Example, completion: Completion) -> Scored:
    """Return what a metric says of a completion; a metric that raises is `broken`, not wrong."""
    if not completion.answered:
        return Scored(outcome=Outcome.BROKEN, feedback=f"{completion.finish}: {completion.error}")
    try:
        return metric(example, completion.text)
    except Exception as error:  # noqa: BLE001  # a metric is the user's code
        return Scored(outcome=Outcome.BROKEN, feedback=f"metric: {type(error).__name__}: {error}")


def value_of(scored: Scored) -> float:
    """Return a score as a number, NaN where there is none: unread and unanswered are not wrong.

    Example:
        >>> value_of(Scored(outcome=Outcome.UNSCORED))
        nan
    """
    return float("nan") if scored.score is None else scored.score


def sheet_of(answers: Sequence[Answer]) -> Sheet:
    """Return answers as a sheet of shape (n,)."""
    return Sheet(
        scores=np.array([value_of(each.scored) for each in answers], dtype=float),
        unread=np.array([each.scored.outcome is Outcome.UNSCORED for each in answers], dtype=bool),
    )
