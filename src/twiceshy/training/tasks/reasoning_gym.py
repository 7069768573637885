"""Any reasoning-gym dataset by name, judged by its own verifier, one token a character.

Questions that do not fit the prompt, or hold a character outside printable ASCII, are left out.
The package is optional (extra `reasoning-gym`) and loads when a task is made.
"""

from __future__ import annotations

import difflib
import json
import zlib
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np

from twiceshy.errors import BadInput, missing_extra
from twiceshy.training.tasks.splits import choose_prompts, in_split
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

_CHARACTERS = "".join(chr(code) for code in range(32, 127)) + "\n"
_PAD, _END = len(_CHARACTERS), len(_CHARACTERS) + 1
_IDS = {character: i for i, character in enumerate(_CHARACTERS)}

RIGHT_SCORE = 0.99
"""Score from which an answer counts as right; some verifiers give part marks for form."""


class ReasoningGym(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="name", tag="reasoning_gym"
):
    """A reasoning-gym dataset as a task.

    Attributes:
        dataset: Its name there.
        options: Its options there.
        size: Questions to generate; splits divide them.
        seed: Seed of the generation.
        prompt_length: Characters of the longest question; shorter ones are padded on the left.
        response_length: Characters of the longest response, and one for the end.
    """

    dataset: str
    options: dict[str, Any] = {}
    size: int = 2000
    seed: int = 0
    prompt_length: int = 96
    response_length: int = 8

    def __post_init__(self) -> None:
        if min(self.size, self.prompt_length, self.response_length - 1) < 1:
            raise BadInput("size and prompt_length of 1, response_length of 2 or more")
        if not len(self._questions.prompts):
            raise BadInput(
                f"questions of at most {self.prompt_length} ASCII characters",
                got="none",
                where=f"task {self.dataset}",
                fix="Raise prompt_length.",
            )

    @property
    def _questions(self) -> _Questions:
        options = json.dumps(self.options, sort_keys=True)
        return _generate(self.dataset, options, self.size, self.seed, self.prompt_length)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Printable ASCII and the line break, padding and the end."""
        return (*_CHARACTERS, "<pad>", "<end>")

    @property
    def end_token(self) -> int | None:
        """The last symbol."""
        return _END

    @property
    def n_left_out(self) -> int:
        """Questions that did not fit or were asked twice."""
        return self.size - len(self._questions.prompts)

    @property
    def guess_rate(self) -> float | None:
        """Not known."""
        return None

    def prompts(self, n: int, *, split: Split, seed: int) -> Tokens:
        """Return n different questions of a split."""
        return choose_prompts(self._questions.prompts, n=n, split=split, seed=seed)

    def demonstrations(self, n: int, *, rng: np.random.Generator) -> Demonstrations:
        """Return sft questions with the dataset's answers, drawn with replacement.

        Raises:
            BadInput: When no sft question has an answer that fits.
        """
        questions = self._questions
        answers = [
            _characters(str(e["answer"])) if e["answer"] else None for e in questions.entries
        ]
        fits = [a is not None and 0 < len(a) < self.response_length for a in answers]
        usable = np.flatnonzero(in_split(questions.prompts, "sft") & np.array(fits))
        if len(usable) == 0:
            raise BadInput(
                f"answers of at most {self.response_length - 1} ASCII characters",
                got="none",
                where=f"task {self.dataset}",
            )
        chosen = rng.choice(usable, size=n)
        responses = np.full((n, self.response_length), _END, dtype=np.int64)
        for row, index in enumerate(chosen):
            answer = answers[index] or []
            responses[row, : len(answer)] = answer
        return Demonstrations(questions.prompts[chosen], responses)

    def verify(self, prompts: Tokens, responses: Tokens) -> Verdicts:
        """Right: a score of at least 0.99 from the dataset's verifier; its failure is `broken`."""
        judged = [
            self._judge(prompt, response)
            for prompt, response in zip(prompts, responses, strict=True)
        ]
        codes = np.array([FAULTS.index(fault) for fault, _ in judged], dtype=np.int8)
        return verdicts_of(codes, answers=np.array([a for _, a in judged], dtype=np.int64))

    def _judge(self, prompt: Tokens, response: Tokens) -> tuple[Fault, int]:
        ended = np.flatnonzero(response == _END)
        if len(ended) == 0:
            return Fault.TRUNCATED, NO_ANSWER
        tokens = response[: ended[0]]
        if len(tokens) == 0 or (tokens >= _PAD).any():
            return Fault.MALFORMED, NO_ANSWER
        return self.judge(prompt, self.text(tokens))

    def text(self, tokens: Tokens) -> str:
        """Return the characters of one prompt or response, without padding and end."""
        return "".join(_CHARACTERS[token] for token in tokens if token < _PAD)

    def judge(self, prompt: Tokens, text: str) -> tuple[Fault, int]:
        """Return the dataset's word on an answer in any characters, and the answer as a number.

        Args:
            prompt: One prompt of this task, (prompt_length,).
            text: The answer.

        Raises:
            BadInput: When the prompt is none of this task's.
        """
        return self._fault_of(prompt, text), zlib.crc32(text.strip().encode())

    def _fault_of(self, prompt: Tokens, text: str) -> Fault:
        questions = self._questions
        index = questions.place.get(prompt.tobytes())
        if index is None:
            raise BadInput("prompts of this task", got="another", where=f"task {self.dataset}")
        try:
            score = float(questions.source.score_answer(text, questions.entries[index]))
        except Exception:  # noqa: BLE001 - the dataset's verifier; recorded as broken
            return Fault.BROKEN
        if not np.isfinite(score):
            return Fault.BROKEN
        return Fault.NONE if score >= RIGHT_SCORE else Fault.WRONG_RESULT


def dataset_names() -> list[str]:
    """Return the names of all reasoning-gym datasets.

    Raises:
        MissingExtra: When the package is not installed.
    """
    try:
        from reasoning_gym.factory import DATASETS
    except ModuleNotFoundError as error:
        raise missing_extra("reasoning-gym tasks", "reasoning-gym") from error
    return sorted(DATASETS)


class _Questions(NamedTuple):
    """A generated dataset without repeats and what does not fit."""

    source: Any
    entries: list[Any]
    prompts: Tokens
    place: dict[bytes, int]
    """Index of each prompt."""


@lru_cache(maxsize=4)
def _generate(dataset: str, options: str, size: int, seed: int, length: int) -> _Questions:
    source = _source(dataset, json.loads(options), size=size, seed=seed)
    entries: list[Any] = []
    rows: list[Tokens] = []
    place: dict[bytes, int] = {}
    for entry in source:
        characters = _characters(entry["question"])
        if characters is None or len(characters) > length:
            continue
        row = np.array([_PAD] * (length - len(characters)) + characters, dtype=np.int64)
        if row.tobytes() not in place:
            place[row.tobytes()] = len(rows)
            entries.append(entry)
            rows.append(row)
    prompts = np.stack(rows) if rows else np.zeros((0, length), dtype=np.int64)
    return _Questions(source, entries, prompts, place)


def _source(dataset: str, options: dict[str, Any], *, size: int, seed: int) -> Any:
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ModuleNotFoundError as error:
        raise missing_extra("reasoning-gym tasks", "reasoning-gym") from error
    if dataset not in DATASETS:
        near = difflib.get_close_matches(dataset, list(DATASETS), n=3)
        fix = f"Did you mean {' or '.join(near)}?" if near else ""
        raise BadInput("a reasoning-gym dataset", got=dataset, where="task.dataset", fix=fix)
    try:
        return reasoning_gym.create_dataset(dataset, seed=seed, size=size, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise BadInput("options of the dataset", got=str(error), where="task.options") from error


def _characters(text: str) -> list[int] | None:
    """Return one token a character; None where a character has none."""
    ids = [_IDS.get(character) for character in text]
    known = [i for i in ids if i is not None]
    return known if len(known) == len(ids) else None
