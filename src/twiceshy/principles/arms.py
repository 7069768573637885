"""What is compared: principles and every baseline they have to beat, each as a finished prompt.

The model's own mistakes are induced once and shared, so that the arms differ in what is done with
them and in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson
from twiceshy.principles.asking import Asker
from twiceshy.principles.contrastive import contrastive_block
from twiceshy.principles.controls import filler, irrelevant
from twiceshy.principles.executor import Executor
from twiceshy.principles.gates import Bench, accept
from twiceshy.principles.procedure import Leap, LeapConfig, leap, success_only
from twiceshy.principles.prompting import pair_block, principle_block
from twiceshy.principles.splits import Splits
from twiceshy.principles.types import Example, Metric, Mistake

ArmName = Literal[
    "zero_shot",
    "few_shot",
    "self_consistency",
    "raw_pairs",
    "contrastive",
    "success_only",
    "leap_low",
    "leap_high",
    "gated",
    "filler",
    "irrelevant",
    "given",
]
ARM_NAMES: tuple[ArmName, ...] = get_args(ArmName)
MEANINGS: dict[ArmName, str] = {
    "zero_shot": "the question alone, step by step",
    "few_shot": "the worked examples before it",
    "self_consistency": "few-shot, the commonest of several sampled answers",
    "raw_pairs": "few-shot after wrong and right answers, nothing explained",
    "contrastive": "each worked example with a right and a scrambled explanation",
    "success_only": "few-shot after principles drawn from right chains",
    "leap_low": "few-shot after one principle a mistake",
    "leap_high": "few-shot after the condensed principles",
    "gated": "few-shot after the principles that passed the gates",
    "filler": "few-shot after a block as long that says nothing",
    "irrelevant": "few-shot after a block as long about other things",
    "given": "few-shot after principles learned before",
}
BASELINES: tuple[ArmName, ...] = tuple(
    name for name in ARM_NAMES if name not in ("gated", "irrelevant", "given")
)
"""The arms of a proof unless others are named."""
_FROM_MISTAKES = frozenset(ARM_NAMES) - {"zero_shot", "few_shot", "contrastive", "given"}
FEWEST_VOTES = 3
"""Two answers cannot outvote each other."""
MOST_PAIRS = 6
"""Raw pairs in a prompt, at most: of different examples first. Ours."""


class Arm(NamedTuple):
    """A finished prompt."""

    name: ArmName
    block: str = ""
    """What stands first."""
    shots: tuple[Example, ...] = ()
    votes: int = 1
    """Answers a question, of which the commonest counts."""
    n_learning_calls: int = 0
    """Calls that it took to make the prompt."""


class Built(NamedTuple):
    """The arms that could be made."""

    arms: tuple[Arm, ...]
    left_out: dict[str, str]
    """Arms that could not, with the reason."""
    leap: Leap | None
    """What the mistakes came from; None when no arm needed any."""


def build_arms(
    names: Sequence[ArmName],
    asker: Asker,
    splits: Splits,
    *,
    metric: Metric,
    config: LeapConfig,
    given: Sequence[str] = (),
    foreign: Sequence[Sequence[str]] = (),
) -> Built:
    """Make prompts from train (and, for `gated`, validation). The locked split plays no part.

    Args:
        names: Which arms.
        asker: The model: it errs, writes, and is gated for.
        splits: Train, validation and the size of the locked split.
        metric: Judges an answer.
        config: Of the procedure.
        given: Principles learned before, for `given`.
        foreign: Lists of principles of other tasks, for the gates.

    Raises:
        BadInput: `given` is among the names and there are no such principles, or a name is unknown.
    """
    _check(names, given)
    maker = _Maker(asker, splits, metric, config, tuple(given), tuple(map(tuple, foreign)))
    found: Leap | None = None
    if _FROM_MISTAKES & set(names):
        found = leap(asker, splits.train, metric=metric, config=config)
    arms: list[Arm] = []
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(names):
        made = maker.make(name, found)
        if isinstance(made, str):
            left_out[name] = made
        else:
            arms.append(made)
    return Built(tuple(arms), left_out, found)


def _check(names: Sequence[str], given: Sequence[str]) -> None:
    unknown = next((each for each in names if each not in ARM_NAMES), None)
    if unknown is not None:
        raise BadInput(f"arms among {', '.join(ARM_NAMES)}", got=repr(unknown), where="arms")
    if "given" in names and not given:
        raise BadInput("principles for the arm given", got="none", where="arms")


class _Maker(NamedTuple):
    asker: Asker
    splits: Splits
    metric: Metric
    config: LeapConfig
    given: tuple[str, ...]
    foreign: tuple[tuple[str, ...], ...]

    def make(self, name: ArmName, found: Leap | None) -> Arm | str:
        """Return an arm, or why there is none."""
        train = self.splits.train
        if name == "zero_shot":
            return Arm(name)
        if name == "few_shot":
            return Arm(name, shots=train)
        if name == "contrastive":
            return Arm(name, block=contrastive_block(train, seed=self.config.seed))
        if name == "given":
            return Arm(name, block=principle_block(self.given), shots=train)
        assert found is not None, "arms from mistakes come with mistakes"
        if name == "self_consistency":
            return Arm(name, shots=train, votes=votes_for(found, n_items=len(self.splits.test)))
        return self._from_mistakes(name, found)

    def _from_mistakes(self, name: ArmName, found: Leap) -> Arm | str:
        k_n = found.planned.n_examples * found.planned.n_chains
        n_low = k_n + len(found.induced.mistakes)
        makers: dict[str, tuple[Callable[[Leap], str], int]] = {
            "raw_pairs": (_raw_pairs, k_n),
            "success_only": (self._success_only, n_low),
            "leap_low": (_low, n_low),
            "leap_high": (_high, found.n_calls_by_formula),
            "filler": (lambda made: filler(_high(made) or _low(made)), 0),
            "irrelevant": (lambda made: irrelevant(_high(made) or _low(made)), 0),
            "gated": (self._gated, 0),
        }
        make, n_calls = makers[name]
        block = make(found) if found.induced.mistakes else ""
        if not block:
            return _why_nothing(found, name)
        return Arm(name, block=block, shots=self.splits.train, n_learning_calls=n_calls)

    def _success_only(self, found: Leap) -> str:
        return principle_block(_texts(success_only(self.asker, found.induced, config=self.config)))

    def _gated(self, found: Leap) -> str:
        bench = Bench(
            Executor(self.asker, self.metric, self.config.chain_tokens, self.config.seed),
            self.splits.train,
            self.splits.validation,
            foreign=self.foreign,
            temperature=self.config.temperature,
            seed=self.config.seed,
        )
        return accept([*found.low, *found.high], bench).block


def votes_for(found: Leap, *, n_items: int) -> int:
    """Return the answers a question with which self-consistency costs what LEAP costs, rounded up.

    v = max(3, ⌈(c + N) / N⌉) for c calls of learning and N questions: rounding favours
    the baseline.
    """
    n_calls = found.n_calls_by_formula
    return max(FEWEST_VOTES, math.ceil((n_calls + n_items) / max(n_items, 1)))


def _texts(lessons: Sequence[Lesson]) -> list[str]:
    return [each.text for each in lessons]


def _low(found: Leap) -> str:
    return principle_block(dict.fromkeys(_texts(found.low)))


def _high(found: Leap) -> str:
    return principle_block(_texts(found.high))


def _raw_pairs(found: Leap) -> str:
    """Return pairs of different examples before second pairs of the same."""
    turns: dict[str, int] = {}
    ranked: list[tuple[int, Mistake]] = []
    for each in found.induced.mistakes:
        turns[each.example.id] = turns.get(each.example.id, -1) + 1
        ranked.append((turns[each.example.id], each))
    ranked.sort(key=lambda pair: pair[0])
    return pair_block([each for _, each in ranked[:MOST_PAIRS]])


def _why_nothing(found: Leap, name: str) -> str:
    told = {
        "too_easy": "the examples are too easy: no chain was wrong",
        "unread": "no answer could be read in any chain",
        "no_answers": "the endpoint answered no chain",
    }
    if found.induced.difficulty in told:
        return told[found.induced.difficulty]
    if name == "gated":
        return "the gates let no principle through"
    return "the model wrote nothing that could be used"
