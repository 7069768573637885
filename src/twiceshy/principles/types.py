"""What the procedure is about: labelled examples, judged answers, and the mistakes among them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput


class Example(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question with its right answer."""

    id: str
    question: str
    answer: str
    reasoning: str = ""
    """Worked steps to the answer, where there are any."""
    task: str = ""
    """What kind of question it is, as "date understanding"."""
    extra: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not self.question.strip() or not self.answer.strip():
            raise BadInput("an example with a question and an answer", got=repr(self.id))

    @property
    def worked(self) -> str:
        """The right answer as a model would give it: reasoning, then the answer's line."""
        return f"{self.reasoning}\nAnswer: {self.answer}".strip()


def example(question: str, answer: str, *, reasoning: str = "", task: str = "") -> Example:
    """Return an example whose id is a hash of what it says.

    Example:
        >>> example("2 + 3?", "5").id == example("2 + 3?", "5").id
        True
    """
    return Example(
        id=hash_of(task, question, answer),
        question=question,
        answer=answer,
        reasoning=reasoning,
        task=task,
    )


class Scored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a metric says of one response: score and feedback, from one call."""

    outcome: Outcome
    """`unscored`: no answer could be read. `broken`: the endpoint gave none."""
    score: float | None = None
    """In [0, 1]; None exactly when the outcome is neither success nor failure."""
    feedback: str = ""
    """What was wrong, in words a model can use; it may name the right answer."""
    answer: str | None = None
    """The answer as it was read."""

    @property
    def right(self) -> bool:
        """Whether it was judged a success."""
        return self.outcome is Outcome.SUCCESS

    @property
    def wrong(self) -> bool:
        """Whether it was judged a failure; not the opposite of `right`."""
        return self.outcome is Outcome.FAILURE


class Metric(Protocol):
    """Judges one response. It never raises for a response, whatever that says.

    One call gives score and feedback, so that they cannot disagree. A response that cannot be read
    is `unscored`, not wrong: whoever counts decides what that means, and sees how many there are.
    """

    def __call__(self, example: Example, response: str, /) -> Scored:
        """Return the judgement."""
        ...


class Answer(NamedTuple):
    """One response to one example, judged."""

    example: Example
    sample: int
    text: str
    scored: Scored


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """A response that was judged wrong, with everything that a principle is written from."""

    id: str
    """`<example>#<sample>`."""
    example: Example
    text: str
    """The wrong response as it came."""
    answer: str
    """The wrong answer as it was read."""
    feedback: str = ""


def mistake_of(answer: Answer) -> Mistake:
    """Return a wrong answer as a mistake."""
    return Mistake(
        id=f"{answer.example.id}#{answer.sample}",
        example=answer.example,
        text=answer.text.strip(),
        answer=answer.scored.answer or "",
        feedback=answer.scored.feedback,
    )


def hash_of(*parts: str) -> str:
    """Return 16 hexadecimal digits that stand for some texts.

    Example:
        >>> len(hash_of("a", "b")), hash_of("a", "b") == hash_of("ab", "")
        (16, False)
    """
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def distinct(examples: Sequence[Example]) -> Sequence[Example]:
    """Return the examples as they are.

    Raises:
        BadInput: There are none, or two share an id.
    """
    ids = [each.id for each in examples]
    if not ids:
        raise BadInput("at least one example", got="none")
    twice = next((each for each in ids if ids.count(each) > 1), None)
    if twice is not None:
        raise BadInput("examples with different ids", got=f"{twice!r} twice", fix="Leave one out.")
    return examples
