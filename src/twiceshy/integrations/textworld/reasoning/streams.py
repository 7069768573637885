"""One stream: rounds of tasks, each told what the bank holds, after which the bank learns."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from twiceshy.attempts.types import Attempt, Outcome, Verdict
from twiceshy.integrations.textworld.advice import task_words
from twiceshy.integrations.textworld.agent import POLICY
from twiceshy.integrations.textworld.games import GameId, game_ids
from twiceshy.integrations.textworld.reasoning.plan import (
    FIELD_JUDGE,
    K_SWEEP,
    Job,
    K,
    Source,
)
from twiceshy.integrations.textworld.reasoning.players import StreamPlayer, game_of
from twiceshy.lessons import Lesson, LessonKind, Status
from twiceshy.memory.bank import Add, Bank
from twiceshy.memory.bank.types import Edit
from twiceshy.memory.recall import Wish, recall
from twiceshy.memory.runs import Memory
from twiceshy.memory.safety import Policy, vet
from twiceshy.memory.scaling import Request, Scaled, parallel, sequential
from twiceshy.memory.trials import ALWAYS_SHOWN, Rule, TrialDesign
from twiceshy.memory.writing import propose_edits

KINDS: dict[Source, tuple[LessonKind, ...]] = {
    "success": ("demonstration",),
    "failure": ("avoid",),
    "both": ("demonstration", "avoid"),
}
WISH = Wish(k=K, budget_tokens=100_000)
"""The agent reads patterns and no text, so that text costs it nothing."""
DESIGNS = {
    "append": ALWAYS_SHOWN,
    "lesson": TrialDesign(shadow_withheld=0.5, shadow_placebo=0.0, active_placebo=0.0),
    "set": msgspec.structs.replace(ALWAYS_SHOWN, hold_out=0.5),
}
"""A placebo in words does nothing to an agent that does not read; its share goes to `withheld`."""
_LETTERS = {"won": "W", "lost": "L", "max_steps": "T"}


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts at held-out games, in order of game."""

    after: int
    """Rounds learned from."""
    k: int
    """Lessons recalled."""
    endings: str
    """One letter a game: W(on), L(ost), T(imed out)."""
    n_steps: tuple[int, ...]
    n_lessons: float
    """Mean number of lessons told."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round of learning."""

    endings: str
    """True endings, in order."""
    n_steps: int
    """Of all attempts."""
    statuses: dict[str, int]
    """Lessons of the bank after it, by kind and status."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Several attempts at each of the scaled games, and one chosen of each."""

    name: str
    """With or without memory, and how."""
    endings: tuple[str, ...]
    """One word a game, a letter an attempt."""
    chosen: str
    """The ending of the attempt that a judge chose, one letter a game."""
    n_steps: tuple[int, ...]
    """Of all attempts at each game."""


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a job."""

    arm: str
    seed: int
    rounds: tuple[Round, ...]
    tested: tuple[Tested, ...]
    scaled: tuple[Chosen, ...] = ()
    avoid: tuple[str, ...] = ()
    """Patterns of the rules to avoid that are in use at the end."""
    cpu_seconds: float


def run_stream(job: Job) -> Stream:
    """Run one stream from an empty bank to its last test."""
    began = time.process_time()
    if job.source == "none":
        with Bank.open(":memory:") as bank:
            tested = _Streaming(job, bank).test(job.size.n_rounds, k=K)
        seconds = time.process_time() - began
        return Stream(arm=job.arm, seed=job.seed, rounds=(), tested=(tested,), cpu_seconds=seconds)
    with Bank.open(":memory:") as bank:
        return _Streaming(job, bank).run(began)


class _Streaming:
    """A stream in the making."""

    def __init__(self, job: Job, bank: Bank) -> None:
        self.job, self.size, self.bank = job, job.size, bank
        self.player = StreamPlayer(model=job.model, url=job.url)
        self.memory = Memory(bank, recall=WISH, trial=DESIGNS[job.gate], seed=job.seed)
        self.rng = np.random.default_rng([20261124, job.seed])
        self.noise = np.random.default_rng([20261125, job.seed])
        self.attempts: list[Attempt] = []
        self.first_trial = self.size.tries * (job.seed % 2)
        """The shipped attempts have these trials; nothing depends on it."""

    def run(self, began: float) -> Stream:
        rounds: list[Round] = []
        tested: list[Tested] = []
        for number, games in enumerate(self._games(), start=1):
            made = self._round(number, games)
            self._learn()
            rounds.append(_round_of(made, self.bank.lessons()))
            if number in self.size.test_after:
                tested.append(self.test(number, k=K))
        is_plain = self.job.arm == "both-append"
        if is_plain:
            tested += [self.test(self.size.n_rounds, k=k) for k in K_SWEEP]
        return Stream(
            arm=self.job.arm,
            seed=self.job.seed,
            rounds=tuple(rounds),
            tested=tuple(tested),
            scaled=tuple(self._scaled()) if is_plain else (),
            avoid=tuple(sorted(e.pattern for e in self._in_use() if e.kind == "avoid")),
            cpu_seconds=time.process_time() - began,
        )

    def _games(self) -> Iterator[list[GameId]]:
        pool, size = game_ids("train", self.size.n_pool), self.size
        single = self.job.schedule == "single"
        n = size.n_tasks * (size.tries if single else 1)
        order: list[int] = []
        for _ in range(size.n_rounds):
            if len(order) < n:
                order = self.rng.permutation(len(pool)).tolist()
            yield [pool[place] for place in order[:n]]
            order = order[n:]

    def _round(self, number: int, games: Sequence[GameId]) -> list[Attempt]:
        """Attempt the tasks of a round; return the attempts with their true outcomes."""
        made: list[Attempt] = []
        tries = 1 if self.job.schedule == "single" else self.size.tries
        for game_id in games:
            group: list[Attempt] = []
            for index in range(tries):
                looks = self.job.schedule == "sequential" and group
                previous = group[-1] if looks else None
                group.append(self._attempt(game_id, number, index=index, previous=previous))
            made += group
            self.attempts += self._judged(group)
        return made

    def _attempt(
        self, game_id: GameId, number: int, *, index: int, previous: Attempt | None
    ) -> Attempt:
        """Make one attempt inside a run of the memory, which is told the judge's outcome."""
        text, policy = task_words(game_of(game_id, None)), f"{POLICY}+round{number}"
        with self.memory.run(str(game_id), text=text, policy=POLICY) as run:
            made = self.player.attempt(
                game_id,
                lessons=run.lessons,
                trial=self.first_trial + index,
                told=run.text,
                run=run if run.decisions else None,
                previous=previous,
                policy=policy,
            )
            right = 1 - self.job.flipped
            run.end(self._judge(made).outcome, source="judge", reliability=right)
        return made

    def _judge(self, made: Attempt) -> Verdict:
        """Return the judge's verdict: the truth, but for the share it gets wrong."""
        coin = np.random.default_rng([20261126, self.job.seed, int(made.id[:8], 16)]).random()
        won = (made.outcome is Outcome.SUCCESS) != (coin < self.job.flipped)
        outcome = Outcome.SUCCESS if won else Outcome.FAILURE
        return Verdict(outcome=outcome, source="judge", reliability=1 - self.job.flipped)

    def _judged(self, group: Sequence[Attempt]) -> list[Attempt]:
        """Return the attempts at a task as the writer sees them."""
        verdicts = [self._judge(each) for each in group]
        if self.job.permuted:
            verdicts = [verdicts[place] for place in self.noise.permutation(len(group))]
        return [
            msgspec.structs.replace(each, verdict=verdict)
            for each, verdict in zip(group, verdicts, strict=True)
        ]

    def _learn(self) -> None:
        """Propose, vet, apply; then let the trial decide, where there is one."""
        known = self.bank.lessons()
        proposal = propose_edits(self.attempts, known, seed=self.job.seed)
        wanted = [each for each in proposal.edits if _is_wanted(each, KINDS[self.job.source])]
        vetted = vet(wanted, self.attempts, known=known, policy=Policy(trust_facts=True))
        gated = self.job.gate != "append"
        self.bank.apply(list(vetted.edits) if gated else [_in_force(e) for e in vetted.edits])
        if gated:
            rule = Rule(by_set=self.job.gate == "set")
            self.bank.apply(self.memory.verdicts(rule=rule))

    def _in_use(self) -> list[Lesson]:
        return [each for each in self.bank.lessons() if each.status is Status.ACTIVE]

    def _recalled(self, game_id: GameId, *, k: int) -> tuple[tuple[Lesson, ...], str]:
        wish = replace(WISH, k=k, task_id=str(game_id))
        found = recall(self.bank, task_words(game_of(game_id, None)), **wish.keywords)
        return found.chosen, found.text

    def test(self, after: int, *, k: int) -> Tested:
        """Attempt the held-out games once each with the bank as it is; nothing is logged."""
        made: list[Attempt] = []
        n_told = 0
        for game_id in game_ids("near", self.size.n_test):
            lessons, text = self._recalled(game_id, k=k)
            n_told += len(lessons)
            made.append(
                self.player.attempt(game_id, lessons=lessons, trial=self.job.seed, told=text)
            )
        return Tested(
            after=after,
            k=k,
            endings=letters(made),
            n_steps=tuple(len(each.steps) for each in made),
            n_lessons=n_told / len(made),
        )

    def _scaled(self) -> Iterator[Chosen]:
        """Attempt held-out games several times, with the bank and without; a judge chooses."""
        for has_memory in (False, True):
            for how in ("parallel", "sequential"):
                yield self._chosen(how, has_memory=has_memory)

    def _chosen(self, how: str, *, has_memory: bool) -> Chosen:
        found = [
            self._scale(game_id, how, has_memory=has_memory)
            for game_id in game_ids("near", self.size.n_scaled)
        ]
        return Chosen(
            name=f"{'memory' if has_memory else 'none'} {how}",
            endings=tuple(letters(each.attempts) for each in found),
            chosen=letters([each.best for each in found if each.best is not None]),
            n_steps=tuple(sum(len(one.steps) for one in each.attempts) for each in found),
        )

    def _scale(self, game_id: GameId, how: str, *, has_memory: bool) -> Scaled:
        lessons, text = self._recalled(game_id, k=K) if has_memory else ((), "")

        def agent(request: Request) -> Attempt:
            return self.player.attempt(
                game_id,
                lessons=lessons,
                trial=1000 + self.size.tries * self.job.seed + request.index,
                told=text,
                previous=request.previous,
            )

        def judge(made: Attempt) -> Verdict:
            key = [20261127, self.job.seed, int(made.id[:8], 16)]
            is_right = np.random.default_rng(key).random() < FIELD_JUDGE
            won = (made.outcome is Outcome.SUCCESS) == is_right
            return Verdict(outcome=Outcome.SUCCESS if won else Outcome.FAILURE, source="judge")

        settings: dict[str, Any] = {"k": self.size.tries, "judge": judge, "seed": self.job.seed}
        if how == "parallel":
            return parallel(agent, str(game_id), concurrency=1, **settings)
        return sequential(agent, str(game_id), **settings)


def _is_wanted(edit: Edit, kinds: Sequence[LessonKind]) -> bool:
    """Whether an edit adds a lesson of the arm's half; what it changes is of that half already."""
    return not isinstance(edit, Add) or edit.lesson.kind in kinds


def _in_force(edit: Edit) -> Edit:
    """Return an edit that puts a new lesson to use at once, unless it is in quarantine."""
    if not isinstance(edit, Add) or edit.lesson.status is not Status.CANDIDATE:
        return edit
    active = msgspec.structs.replace(edit.lesson, status=Status.ACTIVE)
    return msgspec.structs.replace(edit, lesson=active)


def _round_of(made: Sequence[Attempt], lessons: Sequence[Lesson]) -> Round:
    return Round(
        endings=letters(made),
        n_steps=sum(len(each.steps) for each in made),
        statuses=dict(Counter(f"{each.kind} {each.status.value}" for each in lessons)),
    )


def letters(attempts: Sequence[Attempt]) -> str:
    """Return how attempts ended, a letter each.

    Example:
        >>> from twiceshy.attempts.types import Verdict
        >>> verdict = Verdict(outcome=Outcome.SUCCESS)
        >>> letters([Attempt(task="t", verdict=verdict, ending="won")])
        'W'
    """
    return "".join(_LETTERS[each.ending or ""] for each in attempts)
