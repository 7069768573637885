"""A verifiable task put in words, for a language model with a tokenizer of its own.

    task = TextTask(Countdown(), tokenizer)

Prompts, splits and verdicts are those of the task inside; here they only become text and back.
Numpy only: the tokenizer comes from outside.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.training.tasks.countdown import Countdown
from twiceshy.training.tasks.reasoning_gym import ReasoningGym
from twiceshy.training.tasks.types import (
    FAULTS,
    NO_ANSWER,
    Demonstrations,
    Fault,
    Split,
    Tokens,
    Verdicts,
    verdicts_of,
)

PADDING = -1
"""Fills short prompts on the left. It is no token id: a policy has to mask it."""


class _Words(Protocol):
    """How one task reads and is judged as text."""

    def question(self, prompt: NDArray[np.int64]) -> str:
        """Return the question that a prompt of the task asks."""
        ...

    def answer(self, response: NDArray[np.int64]) -> str:
        """Return the text of a demonstrated response."""
        ...

    def judge(self, prompts: Tokens, texts: list[str]) -> Verdicts:
        """Judge answers to prompts of the task."""
        ...


class TextTask:
    """Countdown or a reasoning-gym dataset as text.

    Args:
        task: The task inside.
        tokenizer: Of `transformers`, with an end-of-text token.
        prompt_length: Tokens of the longest question.
        response_length: Tokens of the longest response, its end included.
        chat: Whether questions go through the chat template; None: if the tokenizer has one.

    Raises:
        BadInput: When the tokenizer has no end-of-text token, or no chat template where one is
            asked for.
    """

    def __init__(
        self,
        task: Countdown | ReasoningGym,
        tokenizer: Any,
        *,
        prompt_length: int = 256,
        response_length: int = 32,
        chat: bool | None = None,
    ) -> None:
        if tokenizer.eos_token_id is None:
            raise BadInput("a tokenizer with an end-of-text token", where="tokenizer")
        has_template = getattr(tokenizer, "chat_template", None) is not None
        if chat and not has_template:
            raise BadInput("a tokenizer with a chat template", where="chat", fix="Set chat=False.")
        self.task, self.tokenizer = task, tokenizer
        self.chat = has_template if chat is None else chat
        self._lengths = (prompt_length, response_length)
        self._words = _words_of(task)
        self._inside: dict[bytes, NDArray[np.int64]] = {}

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The tokenizer's tokens, by id."""
        return tuple(self.tokenizer.convert_ids_to_tokens(list(range(len(self.tokenizer)))))

    @property
    def prompt_length(self) -> int:
        """Tokens of the longest question."""
        return self._lengths[0]

    @property
    def response_length(self) -> int:
        """The budget."""
        return self._lengths[1]

    @property
    def end_token(self) -> int | None:
        """The tokenizer's end of text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def guess_rate(self) -> float | None:
        """That of the task inside."""
        return self.task.guess_rate

    def described(self) -> dict[str, Any]:
        """Return what tells this task from another, for a run's identity."""
        vocabulary = json.dumps(sorted(self.tokenizer.get_vocab().items())).encode()
        template = str(getattr(self.tokenizer, "chat_template", None)) if self.chat else ""
        digest = hashlib.sha256(vocabulary + template.encode()).hexdigest()
        return {"text": self.task, "tokenizer": digest, "lengths": self._lengths}

    def prompts(self, n: int, *, split: Split, seed: int) -> Tokens:
        """Return n different questions of a split, padded on the left, (n, prompt_length).

        Raises:
            BadInput: When the split holds fewer, or a question is too long.
        """
        return self._encoded(self.task.prompts(n, split=split, seed=seed))

    def demonstrations(self, n: int, *, rng: np.random.Generator) -> Demonstrations:
        """Return fresh demonstrations of the task inside, as text.

        Raises:
            BadInput: When a question or an answer is too long.
        """
        shown = self.task.demonstrations(n, rng=rng)
        responses = np.full((n, self.response_length), self.end_token, dtype=np.int64)
        for row, response in zip(responses, shown.responses, strict=True):
            text = self._words.answer(response)
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(ids) >= self.response_length:
                raise _too_long("answers", "response_length", self.response_length - 1, len(ids))
            row[: len(ids)] = ids
        return Demonstrations(self._encoded(shown.prompts), responses)

    def verify(self, prompts: Tokens, responses: Tokens) -> Verdicts:
        """Judge the text before the end token, without blanks around it, by the task inside.

        A response without an end is truncated; one without any text is malformed.

        Raises:
            BadInput: When a prompt is none that this task has given out.
        """
        ends = responses == self.end_token
        ended, first = ends.any(1), ends.argmax(1)
        pieces = [row[:end].tolist() for row, end in zip(responses, first, strict=True)]
        texts = [
            text.strip() for text in self.tokenizer.batch_decode(pieces, skip_special_tokens=True)
        ]
        said = ended & np.array([bool(text) for text in texts], dtype=np.bool_)
        faults = np.where(ended, FAULTS.index(Fault.MALFORMED), FAULTS.index(Fault.TRUNCATED))
        faults, answers = faults.astype(np.int8), np.full(len(texts), NO_ANSWER, dtype=np.int64)
        skipped = np.zeros(len(texts), dtype=np.bool_)
        if said.any():
            inside = np.stack([self._inside_of(prompt) for prompt in prompts[said]])
            spoken = [text for text, is_said in zip(texts, said, strict=True) if is_said]
            verdicts = self._words.judge(inside, spoken)
            faults[said], answers[said] = verdicts.faults, verdicts.answers
            skipped[said] = verdicts.skipped
        return verdicts_of(faults, answers=answers, skipped=skipped)

    def _encoded(self, inside: Tokens) -> Tokens:
        rows = np.full((len(inside), self.prompt_length), PADDING, dtype=np.int64)
        for row, prompt in zip(rows, inside, strict=True):
            ids = self._question_ids(self._words.question(prompt))
            if not 0 < len(ids) <= self.prompt_length:
                raise _too_long("questions", "prompt_length", self.prompt_length, len(ids))
            row[-len(ids) :] = ids
            self._inside[row.tobytes()] = prompt
        return rows

    def _question_ids(self, question: str) -> list[int]:
        if not self.chat:
            return self.tokenizer(question)["input_ids"]
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False
        )
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _inside_of(self, prompt: NDArray[np.int64]) -> NDArray[np.int64]:
        found = self._inside.get(prompt.astype(np.int64).tobytes())
        if found is None:
            raise BadInput("prompts of this task", got="another", where="verify")
        return found


def _too_long(what: str, option: str, limit: int, got: int) -> BadInput:
    return BadInput(f"{what} of 1 to {limit} tokens", got=str(got), fix=f"Raise {option}.")


def require_words(task: Any) -> Countdown | ReasoningGym:
    """Return a task that can be put in words.

    Raises:
        BadInput: For any other.
    """
    if not isinstance(task, Countdown | ReasoningGym):
        raise BadInput(
            "countdown or reasoning_gym for a language model",
            got=type(task).__name__.lower(),
            where="task",
        )
    return task


def _words_of(task: Countdown | ReasoningGym) -> _Words:
    known = require_words(task)
    return _CountdownWords(known) if isinstance(known, Countdown) else _ReasoningGymWords(known)


class _CountdownWords:
    """An expression of four digits and three operators, blanks allowed anywhere."""

    def __init__(self, task: Countdown) -> None:
        self.task = task
        self.ids = {symbol: i for i, symbol in enumerate(task.symbols)}
        self.ids |= {"−": self.ids["-"], "×": self.ids["*"], "x": self.ids["*"]}

    def question(self, prompt: NDArray[np.int64]) -> str:
        digits, target = ", ".join(map(str, prompt[:4])), 10 * prompt[5] + prompt[6]
        return (
            f"Make {target} from the digits {digits}. Use each digit once, with +, - and *,"
            " and calculate from left to right. Answer with the expression only, such as 1+2*3-4.\n"
        )

    def answer(self, response: NDArray[np.int64]) -> str:
        return "".join(self.task.symbols[token] for token in response)

    def judge(self, prompts: Tokens, texts: list[str]) -> Verdicts:
        end = len(self.task.symbols)  # no symbol: makes a response malformed
        rows = np.full((len(texts), self.task.response_length), end, dtype=np.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = [self.ids.get(character, end) for character in "".join(text.split())]
            if len(ids) == len(row):
                row[:] = ids
        return self.task.verify(prompts, rows)


class _ReasoningGymWords:
    """The dataset's question and the dataset's verifier, any characters allowed in the answer."""

    def __init__(self, task: ReasoningGym) -> None:
        self.task = task

    def question(self, prompt: NDArray[np.int64]) -> str:
        return self.task.text(prompt) + "\n"

    def answer(self, response: NDArray[np.int64]) -> str:
        return self.task.text(response)

    def judge(self, prompts: Tokens, texts: list[str]) -> Verdicts:
        judged = [self.task.judge(p, text) for p, text in zip(prompts, texts, strict=True)]
        codes = np.array([FAULTS.index(fault) for fault, _ in judged], dtype=np.int8)
        return verdicts_of(codes, answers=np.array([a for _, a in judged], dtype=np.int64))
