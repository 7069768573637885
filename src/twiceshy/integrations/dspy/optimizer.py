"""`LeapOptimizer`: a DSPy program errs on its trainset; gates judge on valset what it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from twiceshy.errors import BadInput
from twiceshy.integrations.dspy.program import (
    DspyCompleter,
    Metric,
    ProgramRunner,
    dspy,
    example_of,
    with_block,
)
from twiceshy.integrations.outside import OutsideExecutor
from twiceshy.principles.asking import Asker
from twiceshy.principles.gates import Bench, Gate, Gated, accept
from twiceshy.principles.procedure import Induced, LeapConfig, high_level, induce, low_level
from twiceshy.principles.types import Example


class Compiled(NamedTuple):
    """What compiling found; `LeapOptimizer.compiled` after a call."""

    induced: Induced
    gated: Gated
    n_writing_calls: int
    """Calls of the model that writes, without the program's runs."""


class LeapOptimizer:
    """Adds principles to a program's instructions, those that its gates let through.

    The program errs on `trainset`; principles are written from its mistakes; every gate runs the
    program itself on `valset`. Where nothing passes, the program comes back as it was.

    Args:
        metric: DSPy's metric. Called once for an output, it gives the score and, in a
            `dspy.Prediction(score=…, feedback=…)`, words about it.
        config: Of the procedure.
        writer: The language model that writes principles; None takes DSPy's.
        enough: The score from which an output counts as right.
        foreign: Lists of principles of other tasks, for the test of specificity.
        gates: Of a single principle; None takes `principle_gates()`.
        whole: Of the list; None takes `prompt_gates()`.
        threads: Runs of the program at once; None takes DSPy's setting.

    Raises:
        MissingExtra: When the extra `dspy` is not installed.
    """

    def __init__(
        self,
        metric: Metric,
        *,
        config: LeapConfig | None = None,
        writer: Any = None,
        enough: float = 1.0,
        foreign: Sequence[Sequence[str]] = (),
        gates: Sequence[Gate] | None = None,
        whole: Sequence[Gate] | None = None,
        threads: int | None = None,
    ) -> None:
        dspy()
        self.compiled: Compiled | None = None
        self._metric, self._config = metric, config or LeapConfig()
        self._writer, self._enough, self._threads = writer, enough, threads
        self._foreign = tuple(tuple(each) for each in foreign)
        self._gates, self._whole = gates, whole

    def compile(
        self, student: Any, *, trainset: Sequence[Any], valset: Sequence[Any] | None = None
    ) -> Any:
        """Return a copy of a program with what it learned; the student stays as it is.

        Args:
            student: A `dspy.Module`.
            trainset: DSPy examples to err on, with inputs and labels. Few: each costs
                `config.n_chains` runs, and every mistake a call of the writer.
            valset: DSPy examples for the gates, none of them in `trainset`.

        Raises:
            BadInput: `valset` is missing or shares an example with `trainset`, there is no
                language model, or an example has no input or label.
        """
        known: dict[str, Any] = {}
        train, held = _named(trainset, known), _named(valset or (), known)
        _check(train, held)
        asker = Asker(DspyCompleter(self._model()))
        runner = ProgramRunner(
            student, self._metric, known, enough=self._enough, threads=self._threads
        )
        executor = OutsideExecutor.of(runner, asker)
        induced = induce(executor, train, config=self._config)
        low = low_level(asker, induced.mistakes, config=self._config)
        high = high_level(asker, low, config=self._config)
        bench = Bench(
            executor,
            train,
            held,
            foreign=self._foreign,
            temperature=self._config.temperature,
            seed=self._config.seed,
        )
        gated = accept([*low, *high], bench, gates=self._gates, whole=self._whole)
        self.compiled = Compiled(induced, gated, asker.spent.n_calls)
        made = with_block(student, gated.block)
        made._compiled = True  # as DSPy's own optimisers say it
        return made

    def get_params(self) -> dict[str, Any]:
        """Return the settings, as DSPy asks for them."""
        return {"config": self._config, "enough": self._enough, "threads": self._threads}

    def _model(self) -> Any:
        found = self._writer or dspy().settings.lm
        if found is None:
            raise BadInput("a language model", where="dspy", fix="Call dspy.configure(lm=…).")
        return found


def _named(given: Sequence[Any], known: dict[str, Any]) -> tuple[Example, ...]:
    """Return examples as ours, and keep DSPy's by id."""
    made = [example_of(each) for each in given]
    known |= {one.id: each for one, each in zip(made, given, strict=True)}
    return tuple({each.id: each for each in made}.values())


def _check(train: Sequence[Example], held: Sequence[Example]) -> None:
    if not train:
        raise BadInput("examples to err on", got="none", where="trainset")
    if not held:
        raise BadInput(
            "examples for the gates",
            got="none",
            where="valset",
            fix="Keep some back: judged on its own trainset, any principle looks good.",
        )
    shared = {each.question for each in train} & {each.question for each in held}
    if shared:
        raise BadInput(
            "a valset that shares no example with trainset",
            got=f"{len(shared)} in both, as {next(iter(shared))[:60]!r}",
            where="valset",
        )
