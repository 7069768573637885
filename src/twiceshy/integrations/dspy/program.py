"""Running a DSPy program as an executor, and its language model as a completer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from twiceshy.errors import BadInput, missing_extra
from twiceshy.integrations.outside import Run, failed, scored
from twiceshy.models import Completion, Request
from twiceshy.models.running import arun
from twiceshy.principles.types import Example, Scored, hash_of

Metric = Callable[..., Any]
"""DSPy's: `metric(example, prediction)` → bool, float, or a Prediction with score and feedback."""


def dspy() -> Any:
    """Return the package.

    Raises:
        MissingExtra: When it is not installed.
    """
    try:
        return import_module("dspy")
    except ImportError as error:
        raise missing_extra("optimising a DSPy program", "dspy") from error


def example_of(given: Any) -> Example:
    """Return a DSPy example as one of ours: its inputs are the question, its labels the answer.

    Raises:
        BadInput: It has no input or no label.
    """
    question, answer = told(given.inputs().toDict()), told(given.labels().toDict())
    if not question or not answer:
        raise BadInput(
            "a DSPy example with inputs and labels",
            got=str(given)[:80],
            fix="Mark its inputs with .with_inputs(…).",
        )
    return Example(id=hash_of("", question, answer), question=question, answer=answer)


def told(fields: Mapping[str, Any]) -> str:
    r"""Return named fields as text; a single one without its name.

    Example:
        >>> told({"answer": 5}), told({"a": 1, "b": 2})
        ('5', 'a: 1\nb: 2')
    """
    if len(fields) == 1:
        return str(next(iter(fields.values())))
    return "\n".join(f"{name}: {value}" for name, value in fields.items())


def with_block(program: Any, block: str) -> Any:
    """Return a copy of a program with a block after the instructions of every predictor."""
    made = program.deepcopy()
    for predictor in made.predictors():
        before = predictor.signature.instructions
        if block:
            predictor.signature = predictor.signature.with_instructions(f"{before}\n\n{block}")
    return made


class ProgramRunner:
    """Runs a program many times at once, and judges it by a DSPy metric. See `outside.Program`.

    Args:
        program: The program.
        metric: DSPy's metric; called once for an output, it gives score and feedback.
        known: The DSPy example of each of ours, by id.
        enough: The score from which an output counts as right.
        threads: Runs at once; None takes DSPy's setting.
    """

    def __init__(
        self,
        program: Any,
        metric: Metric,
        known: Mapping[str, Any],
        *,
        enough: float = 1.0,
        threads: int | None = None,
    ) -> None:
        self._program, self._metric, self._known = program, metric, known
        self._enough, self._threads = enough, threads

    def __call__(self, runs: Sequence[Run]) -> list[tuple[str, Scored]]:
        """Return output and judgement of every run."""
        at_once = dspy().Parallel(num_threads=self._threads, disable_progress_bar=True)
        found = at_once([(self._one, (each,)) for each in runs])
        gone = ("", failed("the run did not come to an end", unreadable=False))
        return [gone if each is None else each for each in found]

    def _one(self, run: Run) -> tuple[str, Scored]:
        given = self._known[run.example.id]
        program = with_block(self._program, run.block)
        if run.temperature > 0:
            for predictor in program.predictors():
                model = predictor.lm or dspy().settings.lm
                predictor.lm = model.copy(temperature=run.temperature, rollout_id=run.sample)
        try:
            prediction = program(**given.inputs().toDict())
        except Exception as error:  # noqa: BLE001  # a failed example is data
            told_error = f"{type(error).__name__}: {error}"
            return "", failed(told_error, unreadable="Parse" in type(error).__name__)
        output = told(prediction.toDict())
        return output, self._judged(given, prediction, output)

    def _judged(self, given: Any, prediction: Any, output: str) -> Scored:
        try:
            said = self._metric(given, prediction)
            score = float(getattr(said, "score", said))
        except Exception as error:  # noqa: BLE001  # so is a metric that raises
            return failed(f"metric: {type(error).__name__}: {error}", unreadable=False)
        feedback = str(getattr(said, "feedback", "") or "")
        return scored(score, output=output, feedback=feedback, enough=self._enough)


class DspyCompleter:
    """A DSPy language model as a completer, for writing principles.

    Args:
        lm: The model.
    """

    def __init__(self, lm: Any) -> None:
        self._lm = lm
        self.name: str = str(lm.model)

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Ask one after another; DSPy's own cache and retries apply."""
        return [self._one(each) for each in requests]

    async def acomplete(self, requests: Sequence[Request]) -> list[Completion]:
        """Do the same, from the loop of the models."""
        return await arun(self._all(requests))

    async def _all(self, requests: Sequence[Request]) -> list[Completion]:
        return self.complete(requests)

    def _one(self, request: Request) -> Completion:
        asked = "\n\n".join(each.content for each in request.messages)
        more = {"rollout_id": request.sample} if request.temperature > 0 else {}
        try:
            (said, *_) = self._lm(
                asked,
                temperature=request.temperature,
                max_tokens=request.max_tokens,
                **more,
            )
        except Exception as error:  # noqa: BLE001  # a failed call is data
            told_error = f"{type(error).__name__}: {error}"[:300]
            return Completion(text="", finish="refused", error=told_error)
        text = said if isinstance(said, str) else str(said.get("text", ""))
        return Completion(text=text, finish="stop" if text.strip() else "empty")
