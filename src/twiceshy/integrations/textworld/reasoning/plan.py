"""What is run: streams of tasks by arm and seed, and the comparisons named before the first run."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Source = Literal["none", "success", "failure", "both"]
Gate = Literal["append", "lesson", "set"]
"""What becomes of a proposed lesson: it is used at once; each waits for its own trial; all wait for
the trial of the set they are told in."""
Schedule = Literal["parallel", "single", "sequential"]
"""How a round's attempts are spent: several at a task, one each at more tasks, or each after the
first looking over the one before it."""

N_SEEDS = 8
K = 8
"""Lessons recalled for a task."""
K_SWEEP = (1, 2, 4, 16)
"""Others tried with the last bank of the plain arm."""
FIELD_JUDGE = 0.727
"""Accuracy of the judge that ReasoningBank ran on; of the judge that chooses in best-of-n here."""


class Size(NamedTuple):
    """How much of everything."""

    n_rounds: int
    n_tasks: int
    """Tasks a round."""
    tries: int
    """Attempts at each; `single` makes one at `n_tasks · tries` tasks."""
    n_test: int
    """Held-out games."""
    n_pool: int
    """Train games that streams draw from."""
    test_after: tuple[int, ...]
    """Rounds after which the bank is tested on held-out games."""
    n_scaled: int
    """Held-out games that are attempted `tries` times."""


FULL = Size(
    n_rounds=6, n_tasks=12, tries=4, n_test=30, n_pool=72, test_after=(1, 2, 4, 6), n_scaled=16
)
QUICK = Size(n_rounds=2, n_tasks=8, tries=4, n_test=10, n_pool=16, test_after=(1, 2), n_scaled=4)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One stream: a bank that grows over rounds of tasks."""

    source: Source = "both"
    gate: Gate = "append"
    flipped: float = 0.0
    """Share of labels that the judge gets wrong, everywhere but in the tests."""
    schedule: Schedule = "parallel"
    permuted: bool = False
    """Whether outcomes are permuted among the attempts at a task: the placebo."""
    seed: int
    quick: bool = False
    model: str = ""
    """A language model that plays in place of the stochastic agent, with its endpoint."""
    url: str = ""

    @property
    def arm(self) -> str:
        """What is run, whatever the seed."""
        if self.source == "none":
            return "none"
        parts = [self.source, self.gate]
        parts += [f"flipped{round(100 * self.flipped)}"] if self.flipped else []
        parts += [self.schedule] if self.schedule != "parallel" else []
        parts += ["permuted"] if self.permuted else []
        return "-".join(parts)

    @property
    def name(self) -> str:
        """Name of its result."""
        return f"{self.arm}-{self.seed}"

    @property
    def size(self) -> Size:
        """How much of everything."""
        return QUICK if self.quick else FULL


NONE: dict[str, object] = {"source": "none"}
MAIN: tuple[dict[str, object], ...] = tuple(
    {"source": source, "gate": gate}
    for gate in ("append", "lesson")
    for source in ("both", "success", "failure")
)
MORE: tuple[dict[str, object], ...] = (
    {"permuted": True},
    {"gate": "set"},
    {"flipped": 0.3},
    {"flipped": 0.3, "gate": "set"},
    {"schedule": "single"},
    {"schedule": "sequential"},
    {"flipped": 0.1},
    {"flipped": 0.3, "gate": "lesson"},
)


def jobs_of(*, quick: bool, model: str = "", url: str = "") -> list[Job]:
    """Return the streams, seed by seed, so that an unfinished run is balanced."""
    arms = [NONE, *MAIN, *MORE]
    chosen = [NONE, *MAIN[:4], MORE[0]] if quick else arms
    return [
        msgspec.convert({**arm, "seed": seed, "quick": quick, "model": model, "url": url}, Job)
        for seed in range(2 if quick else N_SEEDS)
        for arm in chosen
    ]


class Contrast(NamedTuple):
    """A comparison of success on held-out games, with the banks of the last round."""

    first: str
    second: str
    """Arms; their difference is first minus second."""
    about: str


CONTRASTS: tuple[Contrast, ...] = (
    Contrast("both-append", "success-append", "failures added to successes"),
    Contrast("both-append", "failure-append", "successes added to failures"),
    Contrast("success-append", "none", "successes alone"),
    Contrast("failure-append", "none", "failures alone, by contrast"),
    Contrast("both-append-permuted", "none", "placebo: outcomes permuted within tasks"),
    Contrast("both-append", "both-append-permuted", "both over the placebo"),
    Contrast("both-lesson", "both-append", "gate: each lesson by its own trial"),
    Contrast("both-set", "both-append", "gate: lessons by the trial of their set"),
    Contrast("both-append-flipped30", "both-append", "30 % of labels flipped"),
    Contrast("both-set-flipped30", "both-append-flipped30", "gate by set, 30 % flipped"),
    Contrast("both-append k=16", "both-append k=1", "sixteen lessons recalled instead of one"),
    Contrast("both-append", "both-append-single", "four attempts a task instead of four tasks"),
    Contrast("both-append-sequential", "both-append", "refining instead of repeating, to learn"),
    Contrast("memory parallel", "none parallel", "best of four by a 73 % judge, with memory"),
    Contrast("memory sequential", "memory parallel", "refining instead of repeating, to solve"),
)
"""Named, with Holm's correction over all of them, before the committed run."""
