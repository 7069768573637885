"""What parallel and sequential scaling have in common: the budget before, and the result after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from twiceshy.attempts.types import Attempt, Verdict
from twiceshy.lessons import Lesson
from twiceshy.memory.scaling.choosing import Choice
from twiceshy.memory.scaling.running import labelled
from twiceshy.memory.scaling.types import Budget, Scaled
from twiceshy.memory.writing.extraction import MAX_CALLS
from twiceshy.memory.writing.proposing import propose_edits
from twiceshy.models import Completer


class Writing(NamedTuple):
    """What lessons are written with, and who is told the budget."""

    known: Sequence[Lesson]
    completer: Completer | None
    announce: Callable[[str], object] | None
    seed: int

    def say(self, when: str, budget: Budget) -> None:
        """Tell the budget in words."""
        if self.announce is not None:
            self.announce(f"{when}: {budget}")


def plan(k: int, *, judges: bool, compares: bool, asks: bool) -> Budget:
    """Return what k attempts cost at most."""
    return Budget(
        attempts=k,
        judgements=k if judges else 0,
        comparisons=k * (k - 1) if compares else 0,
        questions=MAX_CALLS if asks else 0,
        tokens=None,
        n_tokens_unknown=k,
    )


async def finish(
    made: Sequence[Attempt],
    verdicts: Sequence[Verdict | None],
    *,
    choice: Choice,
    writing: Writing,
    planned: Budget,
) -> Scaled:
    """Return what the attempts came to, with what they teach.

    Args:
        made: The attempts as the agent made them.
        verdicts: The judge's, in order; None where it gave none.
        choice: The best of them.
        writing: What lessons are written with.
        planned: What it was to cost at most.
    """
    attempts = [labelled(each, told) for each, told in zip(made, verdicts, strict=True)]
    proposal = await asyncio.to_thread(
        propose_edits, attempts, writing.known, completer=writing.completer, seed=writing.seed
    )
    told = [each.token_ids for each in attempts if each.token_ids is not None]
    spent = Budget(
        attempts=len(attempts),
        judgements=sum(verdict is not None for verdict in verdicts),
        comparisons=choice.n_comparisons,
        questions=proposal.asked.n_calls,
        tokens=sum(map(len, told)) if told else None,
        n_tokens_unknown=len(attempts) - len(told),
    )
    writing.say("used", spent)
    return Scaled(
        attempts=tuple(attempts),
        best=None if choice.best is None else attempts[list(made).index(choice.best)],
        chosen_by=choice.chosen_by,
        tied=choice.tied,
        proposal=proposal,
        planned=planned,
        spent=spent,
    )
