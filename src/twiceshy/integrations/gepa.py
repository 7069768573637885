"""GEPA: a proposer that adds principles to a component's text, after they passed their gates.

    proposer = PrincipleProposer(adapter, writer, train, validation, describe=…)
    gepa.optimize(seed, train, validation, adapter=adapter, custom_candidate_proposer=proposer)

GEPA's own reflection rewrites the whole text from what it saw in a minibatch; here a text only
grows, by principles that cured their own mistake and broke nothing, measured with the adapter
itself. GEPA's acceptance (a strict rise on the minibatch, then all validation items) comes on top.
The runs that the gates take are not in GEPA's budget; `n_runs` counts them. Nothing of gepa is
imported. Tried with gepa 0.1.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from twiceshy.errors import BadInput
from twiceshy.integrations.outside import OutsideExecutor, Run, failed, scored
from twiceshy.models import Completer
from twiceshy.principles.asking import Asker
from twiceshy.principles.gates import Bench, Gate, Gated, accept
from twiceshy.principles.procedure import LeapConfig, low_level
from twiceshy.principles.prompting import bullets, principle_block
from twiceshy.principles.types import Example, Scored, mistake_of


class Adapter(Protocol):
    """The part of GEPA's `GEPAAdapter` that is needed."""

    def evaluate(
        self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False
    ) -> Any:
        """Return outputs, scores and, when asked, trajectories of a candidate on a batch."""
        ...


class PrincipleProposer:
    """Proposes texts, as GEPA's `custom_candidate_proposer`.

    Args:
        adapter: What runs a candidate.
        writer: The model that writes principles.
        train: GEPA's training instances; proposals come from those in a minibatch.
        validation: Instances for the gates.
        describe: An instance as an `Example`; its question is what the adapter puts under "Inputs".
        enough: The score from which an output counts as right.
        config: For the length of principles and the seed.
        gates: Of a principle; None takes `principle_gates()`.

    Raises:
        BadInput: There is nothing to gate with.
    """

    def __init__(
        self,
        adapter: Adapter,
        writer: Completer,
        train: Sequence[Any],
        validation: Sequence[Any],
        *,
        describe: Callable[[Any], Example],
        enough: float = 1.0,
        config: LeapConfig | None = None,
        gates: Sequence[Gate] | None = None,
    ) -> None:
        if not validation:
            raise BadInput("instances for the gates", got="none", where="validation")
        self.gated: list[Gated] = []
        """What the gates said, one for each proposal that had a mistake to learn from."""
        self.n_runs = 0
        """Runs of the adapter, in examples, that GEPA's budget does not know of."""
        self._adapter, self._asker = adapter, Asker(writer)
        self._enough, self._gates = enough, gates
        self._config = config or LeapConfig()
        pairs = [(describe(each), each) for each in (*train, *validation)]
        self._known = {made.id: each for made, each in pairs}
        self._by_question = {made.question: made for made, _ in pairs}
        self._held = tuple(made for made, _ in pairs[len(train) :])

    def __call__(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        """Return the new text of each component; the old one where nothing passed."""
        return {
            name: self._proposed(candidate, name, reflective_dataset.get(name, ()))
            for name in components_to_update
        }

    def _proposed(
        self, candidate: dict[str, str], name: str, records: Sequence[Mapping[str, Any]]
    ) -> str:
        questions = dict.fromkeys(str(each.get("Inputs", "")) for each in records)
        seen = tuple(self._by_question[each] for each in questions if each in self._by_question)
        executor = OutsideExecutor.of(lambda runs: self._run(candidate, name, runs), self._asker)
        answers = [of_one[0] for of_one in executor.answers(seen, step="minibatch")]
        mistakes = [mistake_of(each) for each in answers if each.scored.wrong]
        if not mistakes:
            return candidate[name]
        held = tuple(each for each in self._held if each not in seen)
        bench = Bench(executor, seen, held, seed=self._config.seed)
        written = low_level(self._asker, mistakes, config=self._config)
        self.gated.append(accept(written, bench, gates=self._gates, whole=()))
        return grown(candidate[name], [each.text for each in self.gated[-1].accepted])

    def _run(
        self, candidate: Mapping[str, str], name: str, runs: Sequence[Run]
    ) -> list[tuple[str, Scored]]:
        """Run a batch for each different block; the adapter decides about temperatures."""
        found: dict[int, tuple[str, Scored]] = {}
        for block in dict.fromkeys(each.block for each in runs):
            places = [place for place, each in enumerate(runs) if each.block == block]
            tried = {
                **candidate,
                name: f"{candidate[name]}\n\n{block}" if block else candidate[name],
            }
            batch = [self._known[runs[place].example.id] for place in places]
            found |= dict(zip(places, self._evaluated(batch, tried), strict=True))
        return [found[place] for place in range(len(runs))]

    def _evaluated(self, batch: list[Any], tried: dict[str, str]) -> list[tuple[str, Scored]]:
        self.n_runs += len(batch)
        try:
            told = self._adapter.evaluate(batch, tried)
            pairs = list(zip(told.outputs, told.scores, strict=True))
        except Exception as error:  # noqa: BLE001  # an adapter is the user's code
            gone = failed(f"{type(error).__name__}: {error}", unreadable=False)
            return [("", gone)] * len(batch)
        return [
            (text := _text(output), scored(score, output=text, feedback="", enough=self._enough))
            for output, score in pairs
        ]


def grown(text: str, principles: Sequence[str]) -> str:
    """Return a text with principles added to its list, or with a list where it has none.

    Example:
        >>> once = grown("Answer briefly.", ["Carry the one."])
        >>> grown(once, ["Carry the one.", "Count twice."]).splitlines()[-2:]
        ['- Carry the one.', '- Count twice.']
    """
    new = [each for each in bullets(principles).splitlines() if each not in text.splitlines()]
    if not new:
        return text
    opening = principle_block(["x"]).partition("\n")[0]
    if opening in text:
        return "\n".join((text, *new))
    return f"{text}\n\n{principle_block(each.removeprefix('- ') for each in new)}"


def _text(output: Any) -> str:
    if isinstance(output, Mapping) and len(output) == 1:
        return str(next(iter(output.values())))
    return str(output)
