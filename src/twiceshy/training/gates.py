"""Gates: which prompts of the pool to visit, and which groups to learn from.

`NaiveBand` is the usual filter and looks at the very group it gates. `FrontierGate` decides from
earlier visits only, asks for a solve rate above what guessing earns, defers instead of deleting,
and replays what is mastered.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from twiceshy.errors import BadInput
from twiceshy.evidence.stats import q_values
from twiceshy.frontier.ledger import DEFAULT_PRIOR, TaskStatus, discounted
from twiceshy.frontier.luck import p_lucky
from twiceshy.frontier.rates import (
    FloatArray,
    IntArray,
    band_chances,
    chance_of_contrast,
    probability_in_band,
)
from twiceshy.training.curriculum import Curriculum, UniformPrompts
from twiceshy.training.streams import generator

Rows = NDArray[np.int64]
"""Rows of the pool, one a group."""


class NoGate(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="none"):
    """Every prompt equally often, every group learned from."""


class NaiveBandConfig(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="naive_band"
):
    """The usual filter.

    Attributes:
        low: Lower edge of the band of solve rates.
        high: Upper edge.
        chance: Posterior chance of lying in the band from which a group is learned from.
        explore: Share of slots for prompts at random, whatever is known of them.
    """

    low: float = 0.2
    high: float = 0.9
    chance: float = 0.5
    explore: float = 0.02

    def __post_init__(self) -> None:
        _require_shares(chance=self.chance, explore=self.explore)
        if not 0 <= self.low < self.high <= 1:
            raise BadInput(
                "a band 0 ≤ low < high ≤ 1", got=f"{self.low:g}, {self.high:g}", where="gate"
            )


class FrontierGateConfig(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="frontier"
):
    """Our gate. Defaults without a source are ours.

    Attributes:
        p0: Rate of undeserved reward; None: the task's guess rate.
        margin: How far above p0 the lower edge of the frontier lies. At p0 itself, prompts that
            were lucky pass one time in twenty, are trained on, and are then memorised.
        confidence: How sure a solve rate must be above the lower edge, with the false discovery
            rate over the pool controlled at the rest.
        mastered: Solve rate above which a prompt is only replayed.
        replay: Share of slots for mastered prompts.
        explore: Share of slots for prompts that are new or deferred.
        decay: Share of the evidence that fades at a visit. The default remembers about three
            groups, as a policy that moves fast needs.
        max_groups: Most groups a prompt may have in one step.
    """

    p0: float | None = None
    margin: float = 0.1
    confidence: float = 0.95
    mastered: float = 0.9
    replay: float = 0.2
    explore: float = 0.2
    decay: float = 0.3
    max_groups: int = 1

    def __post_init__(self) -> None:
        shares = {"replay": self.replay, "explore": self.explore, "decay": self.decay}
        edges = {"margin": self.margin, "mastered": self.mastered, "p0": self.p0 or 0.0}
        _require_shares(confidence=self.confidence, **edges, **shares)
        if self.replay + self.explore > 1:
            raise BadInput(
                "replay and explore that add up to at most 1",
                got=f"{self.replay + self.explore:g}",
                where="gate",
            )
        if self.max_groups < 1:
            raise BadInput("at least 1", got=str(self.max_groups), where="gate.max_groups")


Gate = NoGate | NaiveBandConfig | FrontierGateConfig
GateKind = Literal["none", "naive_band", "frontier"]


def _require_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise BadInput("a share between 0 and 1", got=f"{share:g}", where=f"gate.{name}")


def gate_curriculum(
    gate: Gate, *, n_pool: int, group_size: int, guess_rate: float | None = None
) -> Curriculum:
    """Return the curriculum that a config describes.

    Args:
        gate: The config.
        n_pool: Size of the pool.
        group_size: Responses a group will have.
        guess_rate: The task's, used where the config has no p0.

    Raises:
        BadInput: If the frontier gate has no p0 from either.

    Example:
        >>> curriculum = gate_curriculum(NaiveBandConfig(), n_pool=8, group_size=4)
        >>> curriculum.choose(8, step=0, seed=0).shape
        (8,)
    """
    if isinstance(gate, FrontierGateConfig):
        return FrontierGate(n_pool, group_size=group_size, config=gate, guess_rate=guess_rate)
    return (
        NaiveBand(n_pool, config=gate)
        if isinstance(gate, NaiveBandConfig)
        else UniformPrompts(n_pool)
    )


class Visit(NamedTuple):
    """One visit of one prompt."""

    step: int
    row: int
    n_success: int
    n_failure: int


class Visits:
    """What earlier visits say of each prompt of a pool: a discounted Beta posterior each.

    Args:
        n_pool: Size of the pool.
        decay: Share of the evidence that fades at a visit; 0: all visits count alike.
    """

    def __init__(self, n_pool: int, *, decay: float) -> None:
        self.decay = decay
        self.alpha: FloatArray = np.full(n_pool, DEFAULT_PRIOR[0])
        self.beta: FloatArray = np.full(n_pool, DEFAULT_PRIOR[1])
        self.n_scored: IntArray = np.zeros(n_pool, dtype=np.int64)
        self.last: IntArray = np.full(n_pool, -1, dtype=np.int64)
        self.log: list[Visit] = []
        self.origin = ""
        """Hash of what was known before the first visit; empty: nothing (see `gate_ledger`)."""

    def add(self, chosen: Rows, labels: NDArray[np.int8], *, step: int) -> None:
        """Take note of a step; several groups of one prompt make one visit."""
        rows, place = np.unique(chosen, return_inverse=True)
        right = np.bincount(place, weights=(labels > 0).sum(1)).astype(np.int64)
        wrong = np.bincount(place, weights=(labels < 0).sum(1)).astype(np.int64)
        columns = (rows.tolist(), right.tolist(), wrong.tolist())
        self.add_visits([Visit(step, *each) for each in zip(*columns, strict=True)])

    def add_visits(self, visits: Sequence[Visit]) -> None:
        """Take note of visits of different prompts."""
        step, rows, right, wrong = np.array(visits, dtype=np.int64).reshape(-1, 4).T
        self.alpha[rows], self.beta[rows] = discounted(
            self.alpha[rows], self.beta[rows], successes=right, failures=wrong, decay=self.decay
        )
        self.n_scored[rows] += right + wrong
        self.last[rows] = step
        self.log += visits

    def evidence(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Return the discounted successes and trials of some prompts, without the prior."""
        right = np.maximum(self.alpha[rows] - DEFAULT_PRIOR[0], 0.0)
        wrong = np.maximum(self.beta[rows] - DEFAULT_PRIOR[1], 0.0)
        return right, right + wrong

    def state(self) -> bytes:
        """Return everything; numbers survive bit by bit."""
        kept = (self.alpha, self.beta, self.n_scored, self.last)
        return msgspec.msgpack.encode(([column.tolist() for column in kept], self.log, self.origin))

    def restore(self, state: bytes) -> None:
        """Go back to what `state` returned."""
        columns, self.log, self.origin = msgspec.msgpack.decode(
            state, type=tuple[list[list[float]], list[Visit], str]
        )
        alpha, beta, n_scored, last = (np.array(column) for column in columns)
        self.alpha, self.beta = alpha.astype(np.float64), beta.astype(np.float64)
        self.n_scored, self.last = n_scored.astype(np.int64), last.astype(np.int64)


class NaiveBand:
    """The usual filter: learn from a group if its prompt's solve rate is likely in a band.

    Solve rates are Beta(1, 1) plus all counts so far, *those of the group in question included*:
    where guessing pays, that selects lucky groups. Visits untried prompts and those in the band.

    Source: online difficulty filters (Bae et al., 2504.03380; prime-rl's pools), by posterior mass
    in place of the group's mean.
    """

    def __init__(self, n_pool: int, *, config: NaiveBandConfig | None = None) -> None:
        self.config = config or NaiveBandConfig()
        self.visits = Visits(n_pool, decay=0.0)

    @property
    def name(self) -> str:
        """Name and options."""
        return _name(self.config)

    def choose(self, n: int, *, step: int, seed: int) -> Rows:
        """Return n rows: untried ones or in the band, and a few at random."""
        rng = generator(seed, "gate", step)
        wanted = self._in_band() | (self.visits.n_scored == 0)
        wanted |= rng.random(len(wanted)) < self.config.explore
        order = rng.permutation(len(wanted))
        first = np.concatenate([order[wanted[order]], order[~wanted[order]]])
        return np.resize(first, n)

    def observe(self, chosen: Rows, labels: NDArray[np.int8], *, step: int) -> NDArray[np.bool_]:
        """Count the step's labels, then return which groups are in the band."""
        self.visits.add(chosen, labels, step=step)
        return self._in_band()[chosen]

    def _in_band(self) -> NDArray[np.bool_]:
        config = self.config
        inside = probability_in_band(self.visits.alpha, self.visits.beta, config.low, config.high)
        return inside >= config.chance

    def state(self) -> bytes:
        """Return all counts."""
        return self.visits.state()

    def restore(self, state: bytes) -> None:
        """Go back to what `state` returned."""
        self.visits.restore(state)


class FrontierGate:
    """Learn where earlier visits show a solve rate above what guessing earns.

    A prompt is *live* when P(p ≤ p0 + margin) under its discounted posterior is small
    (q ≤ 1 − confidence, Benjamini-Hochberg over all prompts tried), *in review* when it is also
    likely mastered, and *deferred* otherwise: tried again in its turn, never deleted. New and
    deferred prompts are visited to be measured; nothing is learned from the group that decides.
    Only where nearly all prompts tried so far stand above the edge is a new one taken to be live.

    Slots of a step: a share to new and then deferred prompts, longest unvisited first; a share to
    mastered ones at random; the rest to live ones, in proportion to the chance that a group of
    theirs holds a contrast, with several groups each where `max_groups` allows. What is left over
    goes to new, then mastered, then deferred prompts.

    Source: BOTS (2510.26374) for the posterior, Pilot-Commit (2605.26606) for deferring, Knapsack
    RL (2509.25849) for the chance of a contrast. Differs: the lower edge lies above the rate of
    undeserved reward with confidence, and the group that is gated has no vote.

    Args:
        n_pool: Size of the pool.
        group_size: Responses a group will have.
        config: Options.
        guess_rate: The task's, used where the config has no p0.

    Raises:
        BadInput: If there is no p0 from either, or it leaves no room below mastered.
    """

    def __init__(
        self,
        n_pool: int,
        *,
        group_size: int,
        config: FrontierGateConfig | None = None,
        guess_rate: float | None = None,
    ) -> None:
        self.config = config or FrontierGateConfig()
        p0 = guess_rate if self.config.p0 is None else self.config.p0
        if p0 is None:
            raise BadInput(
                "a rate of undeserved reward",
                where="gate.p0",
                fix="This task has no guess rate of its own: set p0 (0 where guessing cannot pay).",
            )
        if not p0 + self.config.margin < self.config.mastered:
            raise BadInput(
                f"p0 + margin below mastered = {self.config.mastered:g}",
                got=f"{p0:g} + {self.config.margin:g}",
                where="gate",
            )
        self.p0, self.group_size = p0, group_size
        self.visits = Visits(n_pool, decay=self.config.decay)

    @property
    def name(self) -> str:
        """Name and options, p0 filled in."""
        return _name(msgspec.structs.replace(self.config, p0=self.p0))

    def standing(self) -> NDArray[np.object_]:
        """Return each prompt's `TaskStatus` by the visits so far."""
        visits = self.visits
        new = visits.n_scored == 0
        chances = band_chances(
            visits.alpha, visits.beta, band=(self.p0 + self.config.margin, self.config.mastered)
        )
        q = q_values(np.where(new, np.nan, np.clip(chances.below, 0.0, 1.0)))
        deserved = q <= 1 - self.config.confidence + 1e-12
        mastered = deserved & (chances.above >= 0.5)
        order = (TaskStatus.NEW, TaskStatus.REVIEW, TaskStatus.LIVE, TaskStatus.DEFERRED)
        codes = np.select([new, mastered, deserved], [0, 1, 2], 3)
        n_tried, n_deserved = int((~new).sum()), int(deserved.sum())
        if (n_deserved + 1) / (n_tried + 2) >= self.config.confidence:  # rule of succession
            codes[new] = 2
        return np.array(order, dtype=object)[codes]

    def choose(self, n: int, *, step: int, seed: int) -> Rows:
        """Return n rows; a prompt comes more than once only when live ones are few."""
        rng = generator(seed, "gate", step)
        standing = self.standing()
        order = rng.permutation(len(standing))
        new, live, review, deferred = (
            order[standing[order] == status]
            for status in (TaskStatus.NEW, TaskStatus.LIVE, TaskStatus.REVIEW, TaskStatus.DEFERRED)
        )
        deferred = deferred[np.argsort(self.visits.last[deferred], kind="stable")]
        unsure = np.concatenate([new, deferred])
        explored = unsure[: round(self.config.explore * n)]
        replayed = review[: round(self.config.replay * n)]
        n_live = n - len(explored) - len(replayed)
        picked = self._by_worth(live, n=n_live, rng=rng)
        rest = [new, review, deferred, live]
        taken = [explored, replayed, picked]
        return _filled(taken, rest=rest, n=n)

    def _by_worth(self, live: Rows, *, n: int, rng: np.random.Generator) -> Rows:
        """Return up to n live rows in proportion to worth, each at most `max_groups` times."""
        rounds: list[Rows] = []
        for _ in range(self.config.max_groups if len(live) else 0):
            alpha, beta = self.visits.alpha[live], self.visits.beta[live]
            worth = chance_of_contrast(alpha, beta, more=self.group_size) + 1e-12
            size = min(n, len(live))
            rounds.append(rng.choice(live, size=size, replace=False, p=worth / worth.sum()))
            n -= size
        return np.concatenate([*rounds, np.zeros(0, dtype=np.int64)]).astype(np.int64)

    def observe(self, chosen: Rows, labels: NDArray[np.int8], *, step: int) -> NDArray[np.bool_]:
        """Return which groups to learn from, by what was known before; then take note of them."""
        standing = self.standing()[chosen]
        self.visits.add(chosen, labels, step=step)
        return (standing == TaskStatus.LIVE) | (standing == TaskStatus.REVIEW)

    def luck(self, chosen: Rows) -> FloatArray:
        """Return the chance that a success at each row is undeserved, shape (P,).

        `p_lucky` of the earlier visits and the one success in question; its siblings have no vote.
        """
        right, tried = self.visits.evidence(chosen)
        return p_lucky(right + 1, tried + 1, p0=self.p0)

    def state(self) -> bytes:
        """Return all visits."""
        return self.visits.state()

    def restore(self, state: bytes) -> None:
        """Go back to what `state` returned."""
        self.visits.restore(state)


def luck_of_visits(gate: FrontierGate) -> FloatArray:
    """Return what `gate.luck` said before each visit of its log, shape (n_visits,).

    For a gate that started from nothing.
    """
    replayed = FrontierGate(
        len(gate.visits.last), group_size=gate.group_size, config=gate.config, guess_rate=gate.p0
    )
    said: list[FloatArray] = []
    for _, visits in groupby(gate.visits.log, key=lambda visit: visit.step):
        part = list(visits)
        said.append(replayed.luck(np.array([visit.row for visit in part])))
        replayed.visits.add_visits(part)
    return np.concatenate([*said, np.zeros(0)])


def _filled(taken: Sequence[Rows], *, rest: Sequence[Rows], n: int) -> Rows:
    """Return the rows taken, filled up to n with those of the rest that were not."""
    rows = np.concatenate(taken)
    pool = np.concatenate(rest)
    more = pool[~np.isin(pool, rows)][: n - len(rows)]
    return np.resize(np.concatenate([rows, more]), n)


def _name(config: NaiveBandConfig | FrontierGateConfig) -> str:
    return msgspec.json.encode(config).decode()
