"""LEAP: let a model err on its own examples, have it say which principle it broke, condense.

1. induce      n chains an example, zero-shot, at a temperature
2. filter      keep those whose answer was read and is wrong
3. low level   one call a mistake: the model compares wrong and right and states a principle
4. high level  one call: all low-level principles condensed into about five

Source: Zhang et al. (2024), In-Context Principle Learning from Mistakes (2402.05403), section 3 and
algorithm 1. Differs: chains without a readable answer are counted and no mistakes (there any
mismatch is one); prompts are ours; the temperature is not given there. Nothing is accepted here:
that is the gates' doing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.models import Completer, Completion, Request, request_of
from twiceshy.principles.asking import Asker, Progress, Spent
from twiceshy.principles.cost import Planned, calls_of, plan
from twiceshy.principles.executor import Executor
from twiceshy.principles.lessons import condensed, principle, read_list, read_principle
from twiceshy.principles.metrics import AnswerMatch
from twiceshy.principles.prompting import (
    MOST_PRINCIPLES,
    high_level_prompt,
    low_level_prompt,
    success_prompt,
)
from twiceshy.principles.steps import StepFile
from twiceshy.principles.types import Answer, Example, Metric, Mistake, distinct, mistake_of

Difficulty = Literal["mistakes", "too_easy", "too_hard", "unread", "no_answers"]
"""What inducing found: some wrong and some right; no mistake; no right chain; no chain that could
be read; no chain at all."""


class LeapConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the procedure.

    Attributes:
        n_chains: Chains an example; 15 as published.
        temperature: Of the chains. Published as "non-zero"; 0.7 is ours.
        chain_tokens: Longest chain.
        principle_tokens: Longest principle, and longest condensed list.
        most: Principles of the condensed list; "about 5" as published.
        seed: Of the draws.
    """

    n_chains: int = 15
    temperature: float = 0.7
    chain_tokens: int = 512
    principle_tokens: int = 256
    most: int = MOST_PRINCIPLES
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = (self.n_chains, self.chain_tokens, self.principle_tokens, self.most)
        if min(sizes) < 1 or not self.temperature > 0:
            told = f"{sizes}, temperature {self.temperature}"
            raise BadInput("sizes of at least 1 and a temperature above 0", got=told)


class Induced(NamedTuple):
    """What the chains came to."""

    answers: tuple[Answer, ...]
    mistakes: tuple[Mistake, ...]
    n_right: int
    n_unread: int
    """Chains without a readable answer: neither right nor wrong."""
    n_broken: int
    """Chains that the endpoint did not give."""

    @property
    def difficulty(self) -> Difficulty:
        """Whether there is anything to learn from."""
        if self.n_broken == len(self.answers):
            return "no_answers"
        if self.n_unread + self.n_broken == len(self.answers):
            return "unread"
        if not self.mistakes:
            return "too_easy"
        return "mistakes" if self.n_right else "too_hard"


class Leap(NamedTuple):
    """What the procedure found. Lessons are candidates; nothing is stored."""

    low: tuple[Lesson, ...]
    """One principle a mistake (LEAP-low)."""
    high: tuple[Lesson, ...]
    """The condensed list (LEAP-high); its parents are all of `low`."""
    induced: Induced
    n_unusable: int
    """Answers in which no principle could be read."""
    planned: Planned
    spent: Spent

    @property
    def n_calls_by_formula(self) -> int:
        """Calls that the published procedure makes for as many mistakes: k·n + m + h."""
        return calls_of(
            self.planned.n_examples,
            n_chains=self.planned.n_chains,
            n_mistakes=len(self.induced.mistakes),
            n_condensing=int(bool(self.low)),
        )


def leap(
    model: Completer | Asker,
    examples: Sequence[Example],
    *,
    metric: Metric | None = None,
    config: LeapConfig | None = None,
    steps: StepFile | None = None,
    progress: Progress | None = None,
    announce: Callable[[Planned], object] | None = None,
) -> Leap:
    """Learn principles from the mistakes that a model makes on a few examples.

    Args:
        model: One model plays all parts, as published; or one with its step file already.
        examples: Few-shot examples, with different ids; three as published.
        metric: Judges a chain; default `AnswerMatch()`.
        config: Default `LeapConfig()`.
        steps: Where calls are kept, to look at and to go on from; None keeps them in memory.
        progress: Told how far it is, by step.
        announce: Told the cost before the first call.

    Raises:
        BadInput: There is no example, or the endpoint was never reached.

    Example:
        >>> from twiceshy.models import ScriptedCompleter
        >>> from twiceshy.principles import example
        >>> script = {"Condensed": "- Count on.", "Principle:": "Count on.", "2 + 3": "Answer: 6"}
        >>> found = leap(ScriptedCompleter(script), [example("2 + 3?", "5")])
        >>> len(found.low), [each.text for each in found.high], found.spent.n_calls
        (15, ['Count on.'], 31)
    """
    chosen = config or LeapConfig()
    planned = plan(
        distinct(examples),
        n_chains=chosen.n_chains,
        chain_tokens=chosen.chain_tokens,
        principle_tokens=chosen.principle_tokens,
    )
    if announce is not None:
        announce(planned)
    asker = model if isinstance(model, Asker) else Asker(model, steps=steps, progress=progress)
    executor = Executor(asker, metric or AnswerMatch(), chosen.chain_tokens, chosen.seed)
    induced = induce(executor, examples, config=chosen)
    low = low_level(asker, induced.mistakes, config=chosen)
    high = high_level(asker, low, config=chosen)
    return Leap(
        low=low,
        high=high,
        induced=induced,
        n_unusable=len(induced.mistakes) - len(low) + int(bool(low) and not high),
        planned=planned,
        spent=asker.spent,
    )


def induce(executor: Executor, examples: Sequence[Example], *, config: LeapConfig) -> Induced:
    """Return n zero-shot chains of every example, judged."""
    judged = executor.answers(
        examples, step="induce", n_samples=config.n_chains, temperature=config.temperature
    )
    answers = tuple(answer for of_one in judged for answer in of_one)
    outcomes = [each.scored.outcome for each in answers]
    return Induced(
        answers=answers,
        mistakes=tuple(mistake_of(each) for each in answers if each.scored.wrong),
        n_right=outcomes.count(Outcome.SUCCESS),
        n_unread=outcomes.count(Outcome.UNSCORED),
        n_broken=outcomes.count(Outcome.BROKEN),
    )


def low_level(
    asker: Asker, mistakes: Sequence[Mistake], *, config: LeapConfig
) -> tuple[Lesson, ...]:
    """Return one principle a mistake, asked for one by one; unusable answers are left out."""
    prompts = {each.id: low_level_prompt(each) for each in mistakes}
    found = _write(asker, "low_level", prompts, config=config)
    return tuple(
        principle(
            text,
            height="low",
            writer=asker.name,
            mistakes=[each],
            parents=[each.id],
            task=each.example.task,
        )
        for each in mistakes
        if (text := read_principle(found[each.id].text)) is not None
    )


def high_level(asker: Asker, low: Sequence[Lesson], *, config: LeapConfig) -> tuple[Lesson, ...]:
    """Return the principles condensed in one call, as published; empty without any."""
    if not low:
        return ()
    prompt = high_level_prompt([each.text for each in low], most=config.most)
    found = _write(asker, "high_level", {"all": prompt}, config=config)
    return condensed(
        read_list(found["all"].text, most=config.most), low, writer=asker.name, height="high"
    )


def success_only(asker: Asker, induced: Induced, *, config: LeapConfig) -> tuple[Lesson, ...]:
    """Return one principle a right chain, at most as many as there are mistakes. A control.

    What principles gain over these is what mistakes are worth. Where no chain is right, the worked
    example takes its place.
    """
    n = len(induced.mistakes)
    right = [
        msgspec.structs.replace(each.example, reasoning=_reasoning(each.text))
        for each in induced.answers
        if each.scored.right
    ] or list({each.example.id: each.example for each in induced.answers}.values())
    prompts = {f"{place}": success_prompt(each) for place, each in enumerate(right[:n])}
    found = _write(asker, "success", prompts, config=config)
    return tuple(
        principle(
            text,
            height="success",
            writer=asker.name,
            parents=[right[int(place)].id],
            task=right[int(place)].task,
        )
        for place, completion in found.items()
        if (text := read_principle(completion.text)) is not None
    )


def _reasoning(text: str) -> str:
    return text.rpartition("Answer:")[0].strip()


def _write(
    asker: Asker, step: str, prompts: Mapping[str, str], *, config: LeapConfig
) -> dict[str, Completion]:
    """Ask for texts at temperature 0, one call a prompt; equal prompts are numbered.

    The number depends on equal prompts only, so that a chain that comes late changes no other call.
    """
    seen: Counter[str] = Counter()
    asked: dict[str, Request] = {}
    for key, prompt in prompts.items():
        asked[key] = request_of(
            prompt, max_tokens=config.principle_tokens, seed=config.seed, sample=seen[prompt]
        )
        seen[prompt] += 1
    return asker.ask(step, asked)
