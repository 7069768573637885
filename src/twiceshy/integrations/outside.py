"""An executor that is somebody else's program: what the gates measure is the program itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.principles.asking import Asker
from twiceshy.principles.executor import Executor
from twiceshy.principles.types import Answer, Example, Scored


class Run(NamedTuple):
    """One run of a program that is wanted."""

    example: Example
    block: str
    """The principles to tell; empty for the program as it is."""
    sample: int
    temperature: float


Program = Callable[[Sequence[Run]], Sequence[tuple[str, Scored]]]
"""Runs a program: the output as text, and its judgement, for every run in order. It never raises
for one that failed: `outside.scored` and `outside.failed` tell it apart."""


class OutsideExecutor(Executor):
    """Runs a program instead of asking the model a question; everything else is an `Executor`'s."""

    program: Program

    @classmethod
    def of(cls, program: Program, asker: Asker) -> OutsideExecutor:
        """Return the executor of a program.

        Args:
            program: What runs it and judges the output.
            asker: The model's name, and the calls of whoever writes principles.
        """
        made = cls(asker, _never)
        made.program = program
        return made

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
        """Return `n_samples` judged outputs of the program on each example, in order."""
        del step
        if shots:
            raise BadInput("no worked examples: the program has its own", got=str(len(shots)))
        draws = range(first_sample, first_sample + n_samples)
        wanted = [Run(each, block, draw, temperature) for each in examples for draw in draws]
        told = iter(self.program(wanted))
        return [[Answer(each, draw, *next(told)) for draw in draws] for each in examples]


def scored(score: float, *, output: str, feedback: str, enough: float) -> Scored:
    """Return a program's own score as a judgement.

    Args:
        score: What its metric said; in [0, 1].
        output: The output as text.
        feedback: What its metric said in words.
        enough: The score from which an output counts as right.

    Example:
        >>> scored(0.4, output="6", feedback="too much", enough=1.0).outcome.value
        'failure'
    """
    outcome = Outcome.SUCCESS if score >= enough else Outcome.FAILURE
    return Scored(outcome=outcome, score=score, feedback=feedback, answer=output)


def failed(error: str, *, unreadable: bool) -> Scored:
    """Return a run without a score: the output could not be read, or there was none."""
    outcome = Outcome.UNSCORED if unreadable else Outcome.BROKEN
    return Scored(outcome=outcome, feedback=error[:300])


def _never(example: Example, response: str, /) -> Scored:
    raise NotImplementedError(f"{example.id}: the program judges itself, not {response[:20]!r}")
