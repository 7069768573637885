"""Evolution: where the policy is weak, take in what its attempts teach; round a training loop.

Source: SkillRL (2602.08234), section on recursive evolution: at each validation, for categories
whose success rate is below δ = 0.4, sample at most 10 failures stratified by category, propose 1 to
3 new skills, and unite them with the bank. What differs here:

- Only train attempts are looked at. Attempts kept for testing, and any attempt at a task that is
  kept so, are set aside and counted; not even the choice of categories sees them. SkillRL's code
  chooses by validation results and guards only the prompts of validation.
- A category's rate comes with n and an interval. SkillRL's code starts when *any* task is below the
  threshold, then takes the first 10 trajectories with score ≤ 0 and shows 5 of them, their last 5
  steps, observations cut to 200 characters. Here failures are drawn at random within tasks and
  categories, tasks that somebody solved first, because contrast teaches and failure alone does not.
- New lessons stay in the category they were learned in. SkillRL's code puts them among the general.
- Duplicates are found by what lessons say. SkillRL's code compares ids, and never refines or
  deletes; here known lessons are refined, merged, split and retired, and keep their parents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.errors import BadInput
from twiceshy.evidence.stats import beta_interval
from twiceshy.lessons import Lesson
from twiceshy.memory.bank.types import Edit
from twiceshy.memory.safety import Policy, vet
from twiceshy.memory.writing.proposing import propose_edits
from twiceshy.memory.writing.screening import FAMILY, Sides, family_of, screen
from twiceshy.memory.writing.types import FamilyOf, Proposal, SetAside, Similarity
from twiceshy.models import Completer

THRESHOLD = 0.4
"""Success rate below which a category is weak: δ of SkillRL."""
MAX_FAILURES = 10
"""Failures that are looked at in one round: SkillRL."""
MAX_NEW = 3
"""New lessons of a category in one round: SkillRL."""
EVERY = 5
"""Training steps between rounds: SkillRL."""
ALL = "all"
"""Name of the category of tasks without a family."""


class Category(NamedTuple):
    """How the policy does in one family of tasks."""

    name: str
    n: int
    """Scored train attempts."""
    rate: float | None
    """Success rate; None without attempts."""
    low: float | None
    """Lower end of the 95 % Jeffreys interval; attempts at one task are taken for independent."""
    high: float | None
    is_weak: bool
    """Whether the rate is below the threshold."""
    n_failures_sampled: int


class Evolved(NamedTuple):
    """One round: nothing has been stored."""

    categories: tuple[Category, ...]
    """Every category, the weakest first."""
    proposals: Mapping[str, Proposal]
    """What each weak category proposes."""
    edits: tuple[Edit, ...]
    """All edits, one after another."""
    sampled: tuple[str, ...]
    """Ids of the failures that were looked at."""
    attempts: tuple[Attempt, ...]
    """The attempts that the edits rest on, for `safety.vet`."""
    set_aside: Mapping[SetAside, int]

    @property
    def numbers(self) -> dict[str, Any]:
        """The counts, as a report's numbers."""
        return {
            "categories": [each._asdict() for each in self.categories],
            "n_edits": len(self.edits),
            "n_failures_sampled": len(self.sampled),
            "set_aside": {why.value: n for why, n in self.set_aside.items()},
            "proposals": {name: each.numbers for name, each in self.proposals.items()},
        }


def evolve(
    known: Sequence[Lesson],
    attempts: Sequence[Attempt],
    *,
    threshold: float = THRESHOLD,
    max_failures: int = MAX_FAILURES,
    max_new: int = MAX_NEW,
    family_of: FamilyOf = family_of,
    completer: Completer | None = None,
    similarity: Similarity | None = None,
    seed: int = 0,
) -> Evolved:
    """Return the edits by which a bank takes in what attempts of weak categories teach.

    Args:
        known: Lessons of the bank, of every status.
        attempts: Attempts of the policy as it is now.
        threshold: Success rate in [0, 1] below which a category is weak.
        max_failures: Failures to look at in all, dealt evenly to the weak categories.
        max_new: Lessons to add for each weak category.
        family_of: Category of an attempt's task; "" counts as "all".
        completer: A language model to ask about the sampled failures; None asks nobody.
        similarity: Cosines between texts, to find near-duplicates that share few words.
        seed: Seed of the sample.

    Raises:
        BadInput: When `threshold` is outside [0, 1] or a number is negative.

    Example:
        >>> from twiceshy.attempts.types import Verdict
        >>> lost = Attempt(task="t", id="a", verdict=Verdict(outcome=Outcome.FAILURE))
        >>> evolved = evolve([], [lost])
        >>> [(c.name, c.rate, c.n, c.is_weak) for c in evolved.categories], evolved.edits
        ([('all', 0.0, 1, True)], ())
    """
    _check(threshold, max_failures, max_new)
    screened = screen(attempts)
    by_category: defaultdict[str, list[Attempt]] = defaultdict(list)
    for each in screened.attempts:
        by_category[family_of(each) or ALL].append(each)
    weak = [name for name, held in by_category.items() if _rate(held) < threshold]
    sampled = _sample({name: by_category[name] for name in weak}, most=max_failures, seed=seed)
    proposals = {
        name: propose_edits(
            _looked_at(by_category[name], sampled[name], all_count=completer is None),
            _concerning(known, name),
            completer=completer,
            similarity=similarity,
            family_of=family_of,
            max_new=max_new,
            seed=seed,
        )
        for name in sorted(weak)
    }
    return Evolved(
        categories=_categories(by_category, threshold=threshold, sampled=sampled),
        proposals=proposals,
        edits=_in_order(proposals),
        sampled=tuple(each.id for held in sampled.values() for each in held),
        attempts=screened.attempts,
        set_aside=screened.set_aside,
    )


def _check(threshold: float, *numbers: int) -> None:
    if not 0 <= threshold <= 1:
        raise BadInput("a success rate in [0, 1]", got=repr(threshold), where="threshold")
    if min(numbers) < 0:
        raise BadInput("at least 0", got=str(min(numbers)), where="max_failures or max_new")


def _rate(attempts: Sequence[Attempt]) -> float:
    return sum(each.outcome is Outcome.SUCCESS for each in attempts) / len(attempts)


def _categories(
    by_category: Mapping[str, Sequence[Attempt]],
    *,
    threshold: float,
    sampled: Mapping[str, Sequence[Attempt]],
) -> tuple[Category, ...]:
    found = [
        _category(name, held, threshold=threshold, n_sampled=len(sampled.get(name, ())))
        for name, held in by_category.items()
    ]
    return tuple(sorted(found, key=lambda each: (each.rate or 0.0, each.name)))


def _category(
    name: str, attempts: Sequence[Attempt], *, threshold: float, n_sampled: int
) -> Category:
    won = sum(each.outcome is Outcome.SUCCESS for each in attempts)
    rate, low, high, n = beta_interval(won, len(attempts))
    return Category(name, n, rate, low, high, _rate(attempts) < threshold, n_sampled)


def _sample(
    weak: Mapping[str, Sequence[Attempt]], *, most: int, seed: int
) -> dict[str, list[Attempt]]:
    """Deal the failures to look at evenly to categories and their tasks, solved tasks first."""
    rng = np.random.default_rng(seed)
    queues = {name: _queue(held, rng) for name, held in sorted(weak.items())}
    taken: dict[str, list[Attempt]] = {name: [] for name in queues}
    while sum(map(len, taken.values())) < most and any(queues.values()):
        for name, queue in queues.items():
            if queue and sum(map(len, taken.values())) < most:
                taken[name].append(queue.pop(0))
    return taken


def _queue(attempts: Sequence[Attempt], rng: np.random.Generator) -> list[Attempt]:
    """Return the failures in the order to take them: one of every task before a second of any."""
    tasks: defaultdict[str, Sides] = defaultdict(lambda: Sides([], []))
    for each in attempts:
        side = tasks[each.task]
        (side.passed if each.outcome is Outcome.SUCCESS else side.failed).append(each)
    ranked: list[tuple[bool, int, float, Attempt]] = []
    for side in tasks.values():
        order = rng.permutation(len(side.failed))
        ranked += [
            (not side.passed, place, float(rng.random()), side.failed[int(index)])
            for place, index in enumerate(order)
        ]
    return [each for *_, each in sorted(ranked, key=lambda one: one[:3])]


def _looked_at(
    attempts: Sequence[Attempt], sampled: Sequence[Attempt], *, all_count: bool
) -> list[Attempt]:
    """Return what a category teaches from: all of it where patterns are counted, else the sample.

    A model is asked about the sampled failures beside the successes at their tasks.
    """
    if all_count:
        return list(attempts)
    ids, tasks = {each.id for each in sampled}, {each.task for each in sampled}
    return [
        each
        for each in attempts
        if each.id in ids or (each.task in tasks and each.outcome is Outcome.SUCCESS)
    ]


def _concerning(known: Sequence[Lesson], category: str) -> list[Lesson]:
    """Return the lessons of a category and the general ones."""
    return [each for each in known if each.scope.get(FAMILY, category) == category]


def _in_order(proposals: Mapping[str, Proposal]) -> tuple[Edit, ...]:
    """Return all edits; a change of a general lesson that two categories ask for is made once."""
    seen: set[bytes] = set()
    changed: set[str] = set()
    edits: list[Edit] = []
    for proposal in proposals.values():
        for edit in proposal.edits:
            names = _touched(edit)
            encoded = msgspec.json.encode(edit)
            if encoded not in seen and not names & changed:
                edits.append(edit)
            seen.add(encoded)
            changed |= names
    return tuple(edits)


def _touched(edit: Edit) -> set[str]:
    """Return the ids of the lessons that an edit writes."""
    fields = msgspec.structs.asdict(edit)
    names = {fields.get("lesson_id"), *fields.get("absorbed", ())}
    if "lesson" in fields:
        names.add(fields["lesson"].id)
    return {each for each in (*names, *(one.id for one in fields.get("into", ()))) if each}


def round_training(
    known: Callable[[], Sequence[Lesson]],
    apply: Callable[[Sequence[Edit]], object],
    *,
    every: int = EVERY,
    policy: Policy | None = None,
    **settings: Any,
) -> Callable[[int, Sequence[Attempt]], Evolved | None]:
    """Return a callback for a training loop: it takes (step, attempts of that step).

    Attempts are gathered between rounds. At every `every`-th step one round is made, its edits pass
    `safety.vet`, and what passed is handed to `apply`; nothing else is written.

    Args:
        known: Returns the lessons of the bank, of every status: `bank.lessons`.
        apply: Takes edits: `bank.apply`.
        every: Steps between rounds.
        policy: Rules of the gate; None for the defaults.
        settings: Passed to `evolve`.

    Raises:
        BadInput: When `every` is below 1.

    Example:
        >>> applied = []
        >>> callback = round_training(lambda: [], applied.append, every=2)
        >>> callback(1, []) is None, callback(2, []).edits
        (True, ())
    """
    if every < 1:
        raise BadInput("at least 1", got=str(every), where="every")
    gathered: list[Attempt] = []

    def callback(step: int, attempts: Sequence[Attempt]) -> Evolved | None:
        gathered.extend(attempts)
        if step % every:
            return None
        lessons = known()
        evolved = evolve(lessons, gathered, **settings)
        gathered.clear()
        edits = vet(evolved.edits, evolved.attempts, known=lessons, policy=policy).edits
        if edits:
            apply(edits)
        return evolved

    return callback
