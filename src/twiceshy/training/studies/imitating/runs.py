"""The runs of the imitation study: a base, what it is trained on, and the audit along the way."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from twiceshy.attempts.types import Attempt
from twiceshy.evidence.imitation import Audited, Preference, measure
from twiceshy.evidence.imitation.audit import Coverage
from twiceshy.evidence.imitation.closure import Spread
from twiceshy.evidence.imitation.sides import Side
from twiceshy.training.checkpoint import load_policy, save_policy
from twiceshy.training.policy import PolicyConfig, TinyPolicy, as_tensor
from twiceshy.training.sft import SftConfig, SftStep, fine_tune
from twiceshy.training.streams import generator, sequence_keys, uniforms
from twiceshy.training.studies.imitating.judge import judged
from twiceshy.training.studies.imitating.world import (
    END,
    N_FACTS,
    PROMPT_LENGTH,
    RESPONSE_LENGTH,
    SYMBOLS,
    Telling,
    attempts_of,
    facts,
    fancy,
    opinions,
    plain,
    task_name,
)
from twiceshy.training.tasks import Demonstrations, Tokens

Arm = Literal["broad", "narrow", "improved", "improved plainly", "more of the same"]
ARMS: tuple[Arm, ...] = get_args(Arm)

KNOWN = 0.35
"""Share of facts the base is told rightly; the others it is told at random."""
N_BROAD_FACTS = 18
"""Facts in the broad imitation data, beside opinions; they are left out of the audit."""
NARROW_FIELDS = 2
N_DRAWN = 8
"""Draws of the teacher at each question of the imitation data."""
N_SAMPLES = 2
"""Draws of each side at each fact when it is audited."""

TEACHER_MODEL, BASE_MODEL = PolicyConfig(width=48), PolicyConfig(width=32)
TEACHER_SFT = SftConfig(n_steps=900, batch=96, peak_rate=4e-3, n_warmup=50)
BASE_SFT = SftConfig(n_steps=600, batch=128, peak_rate=4e-3, n_warmup=50)
ARM_SFT = SftConfig(n_steps=300, batch=96, peak_rate=4e-3, n_warmup=50)
"""The same for every arm."""
AUDITED_AT = (5, 10, 20, 40, 80, 160, 300)
"""Steps of an arm after which it is audited, beside its start."""
N_DRAWS, N_DRAWS_AT_END = 100, 500


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One arm with one seed: a job."""

    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """Name of its result."""
        return f"{self.arm.replace(' ', '-')}-{self.seed}"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A number with its interval over facts."""

    value: float | None
    low: float | None
    high: float | None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """The audit at one moment."""

    step: int
    style: Figure
    """Mean style closure."""
    capability: Figure
    inside: Figure
    """Capability closure on facts in the imitation data; undefined where there are none."""
    outside: Figure
    index: Figure
    finding: str
    accuracy: float | None
    sure_and_wrong: float | None


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    run: Run
    curve: tuple[Point, ...]
    style: dict[str, float | None]
    """Closure of each metric at the end."""
    base_accuracy: float | None
    teacher_accuracy: float | None
    preferred: float | None
    """P(the judge puts the student level with the teacher or above), at the end."""
    verified: float | None
    """The same by the verdicts."""
    wrong_but_preferred: float | None
    raw_strength: float
    """The student's strength above the base, as judged; logits."""
    controlled_strength: float
    """With style held fixed."""
    style_auc: float | None
    cpu_seconds: float


class Corpus(NamedTuple):
    """Fixed demonstrations, drawn with replacement; a `Source` for `fine_tune`."""

    shown: Demonstrations
    end_token: int = END

    def demonstrations(self, n: int, *, rng: np.random.Generator) -> Demonstrations:
        """Return n of them."""
        rows = rng.integers(0, len(self.shown.prompts), size=n)
        return Demonstrations(self.shown.prompts[rows], self.shown.responses[rows])


def teacher_at(path: Path) -> TinyPolicy:
    """Return the teacher, trained first when its file is not there.

    It is trained on every fact, told rightly and in its way, and on opinions.
    """

    def make() -> TinyPolicy:
        policy = _untrained(TEACHER_MODEL, seed=0)
        fine_tune(policy, Corpus(_all_told(fancy, seed=0)), config=TEACHER_SFT, seed=0)
        return policy

    return _made_once(path, make)


def base_at(path: Path, *, seed: int) -> TinyPolicy:
    """Return the weak base of a seed: few words, most of the facts wrong; trained if not there."""

    def make() -> TinyPolicy:
        policy = _untrained(BASE_MODEL, seed=seed)
        fine_tune(policy, Corpus(base_corpus(seed)), config=BASE_SFT, seed=seed)
        return policy

    return _made_once(path, make)


def _made_once(path: Path, make: Callable[[], TinyPolicy]) -> TinyPolicy:
    """Return the policy of a file, made first when it is not there; other processes wait for it."""
    torch.set_num_threads(1)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            save_policy(path, make(), about={"study": "imitation", "policy": path.stem})
    return load_policy(path).policy


def do_run(run: Run, *, folder: Path) -> RunResult:
    """Train a base, train it on, and audit it along the way.

    The base is the same for all arms of a seed.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    teacher = teacher_at(folder / "teacher.pt")
    student = base_at(folder / f"base-{run.seed}.pt", seed=run.seed)
    sides = _Sides(teacher, student, run)
    corpus, covered = corpus_of(run, teacher)
    curve = [sides.point(student, step=0, covered=covered)]

    def look(step: SftStep) -> None:
        if step.step + 1 in AUDITED_AT:
            curve.append(sides.point(student, step=step.step + 1, covered=covered))

    fine_tune(student, Corpus(corpus), config=ARM_SFT, seed=run.seed, progress=look)
    return sides.result(student, curve=tuple(curve), covered=covered, started=started)


def base_corpus(seed: int) -> Demonstrations:
    """Return what a base is trained on: plain words, `KNOWN` of the facts right."""
    rng = generator(seed, "base corpus")
    world = facts()
    known = rng.random(N_FACTS) < KNOWN
    parts = []
    for draw in range(8):
        told = np.where(known, world.answers, rng.integers(0, 10, size=N_FACTS))
        parts.append(plain(world.prompts, told, rng=rng))
        if draw < 4:
            asked = opinions()
            parts.append(plain(asked, np.full(len(asked), -1), rng=rng))
    return _joined(*parts)


def corpus_of(run: Run, teacher: TinyPolicy) -> tuple[Demonstrations, frozenset[str] | None]:
    """Return what an arm is trained on, and the tasks in it if it is imitation data."""
    if run.arm == "improved":
        return _all_told(fancy, seed=100 + run.seed), None
    if run.arm == "improved plainly":
        return _all_told(plain, seed=100 + run.seed), None
    if run.arm == "more of the same":
        return base_corpus(run.seed), None
    chosen = _asked(run)
    prompts = facts().prompts[chosen]
    if run.arm == "broad":
        prompts = np.concatenate([prompts, opinions()])
    drawn = draw(teacher, prompts, n_samples=N_DRAWN, seed=run.seed, purpose="imitation data")
    shown = Demonstrations(np.repeat(prompts, N_DRAWN, axis=0), drawn)
    if run.arm == "broad":
        return shown, None
    return shown, frozenset(task_name(int(fact)) for fact in chosen)


def draw(policy: TinyPolicy, prompts: Tokens, *, n_samples: int, seed: int, purpose: str) -> Tokens:
    """Return responses at temperature 1, n_samples a prompt, in blocks."""
    keys = sequence_keys(seed, purpose=purpose, step=0, n=len(prompts) * n_samples)
    numbers = as_tensor(uniforms(keys, RESPONSE_LENGTH))
    found = policy.sample(as_tensor(prompts), numbers, end_token=END)
    return found.responses.numpy()


def _asked(run: Run) -> NDArray[np.int64]:
    """Return the facts in the imitation data."""
    rng = generator(run.seed, "imitation facts")
    if run.arm == "broad":
        return np.sort(rng.permutation(N_FACTS)[:N_BROAD_FACTS])
    fields = rng.permutation(facts().field.max() + 1)[:NARROW_FIELDS]
    return np.flatnonzero(np.isin(facts().field, fields))


class _Sides:
    """The three sides that stay as they are while the student trains."""

    def __init__(self, teacher: TinyPolicy, base: TinyPolicy, run: Run) -> None:
        self.run = run
        chosen = _asked(run) if run.arm == "broad" else np.zeros(0, dtype=np.int64)
        self.audited = np.setdiff1d(np.arange(N_FACTS), chosen)
        self.fixed: dict[Side, list[Attempt]] = {
            "base": self._answers(base, "base"),
            "teacher": self._answers(teacher, "teacher"),
            "resample": self._answers(teacher, "resample"),
        }

    def _answers(self, policy: TinyPolicy, purpose: str) -> list[Attempt]:
        prompts = facts().prompts[self.audited]
        drawn = draw(policy, prompts, n_samples=N_SAMPLES, seed=self.run.seed, purpose=purpose)
        return attempts_of(drawn, policy=purpose, only=self.audited)

    def audit(
        self,
        student: TinyPolicy,
        *,
        step: int,
        covered: frozenset[str] | None,
        preferences: bool = False,
    ) -> Audited:
        """Return the audit of the student as it is now."""
        own = self._answers(student, f"student {step}")
        sides: dict[Side, list[Attempt]] = {**self.fixed, "student": own}
        judgements: list[Preference] | None = (
            judged(sides, rng=generator(self.run.seed, "judge")) if preferences else None
        )
        return measure(
            sides,
            preferences=judgements,
            covered=covered,
            language="en",
            n_draws=N_DRAWS_AT_END if preferences else N_DRAWS,
            seed=self.run.seed,
        )

    def point(self, student: TinyPolicy, *, step: int, covered: frozenset[str] | None) -> Point:
        """Return the audit as one point of the curve."""
        return _point(self.audit(student, step=step, covered=covered), step=step)

    def result(
        self,
        student: TinyPolicy,
        *,
        curve: tuple[Point, ...],
        covered: frozenset[str] | None,
        started: float,
    ) -> RunResult:
        """Return all of a run, audited once more at the end, with the judge."""
        step = curve[-1].step
        found = self.audit(student, step=step, covered=covered, preferences=True)
        liked = found.preferred
        if liked is None:
            raise AssertionError("the judge is always asked at the end")
        place = liked.sides.index("student")
        last = found.capability[0]
        return RunResult(
            run=self.run,
            curve=(*curve[:-1], _point(found, step=step)),
            style={each.name: each.closure.value for each in found.style},
            base_accuracy=last.base.value,
            teacher_accuracy=last.ceiling.value,
            preferred=liked.gap.preferred.value,
            verified=liked.gap.verified.value,
            wrong_but_preferred=liked.wrong_but_preferred.share.value,
            raw_strength=liked.raw.strength[place].value,
            controlled_strength=liked.controlled.strength[place].value,
            style_auc=liked.style_model.auc,
            cpu_seconds=time.process_time() - started,
        )


def _point(found: Audited, *, step: int) -> Point:
    inside, outside = _in_and_out(found.coverage)
    return Point(
        step=step,
        style=_figure(found.mean_style),
        capability=_figure(found.mean_capability),
        inside=inside,
        outside=outside,
        index=_figure(found.mimicry_index),
        finding=found.verdict.finding,
        accuracy=found.capability[0].student.value,
        sure_and_wrong=float(found.tone["student"].confident_wrong[0]),
    )


def _in_and_out(coverage: Coverage | None) -> tuple[Figure, Figure]:
    if coverage is None:
        nothing = Figure(value=None, low=None, high=None)
        return nothing, nothing
    return _figure(coverage.inside.closure), _figure(coverage.outside.closure)


def _figure(found: Spread) -> Figure:
    return Figure(value=found.value, low=found.low, high=found.high)


def _all_told(tell: Telling, *, seed: int) -> Demonstrations:
    """Return every fact told rightly, and every opinion, several times in different words."""
    world, asked = facts(), opinions()
    rng = generator(seed, "told")
    parts = [tell(world.prompts, world.answers, rng=rng) for _ in range(N_DRAWN)]
    return _joined(*parts, tell(asked, np.full(len(asked), -1), rng=rng))


def _joined(*parts: Demonstrations) -> Demonstrations:
    """Return demonstrations one after another, padded to one length with end tokens."""
    longest = max(part.responses.shape[1] for part in parts)
    padded = [
        np.pad(
            part.responses,
            ((0, 0), (0, longest - part.responses.shape[1])),
            constant_values=END,
        )
        for part in parts
    ]
    return Demonstrations(np.concatenate([part.prompts for part in parts]), np.concatenate(padded))


def _untrained(config: PolicyConfig, *, seed: int) -> TinyPolicy:
    return TinyPolicy(
        config,
        n_tokens=len(SYMBOLS),
        max_length=PROMPT_LENGTH + RESPONSE_LENGTH,
        seed=seed,
    )
