"""One base, teachers that are told more and more, and students asked without help.

A teacher is the base itself with something told. A student is the base, trained on a teacher's
right traces (or, "on-policy", on the teacher's distributions over the student's own traces).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import torch
import tree
from base import mask_of, nll, read_base
from torch import Tensor

from twiceshy.attempts import Attempt, Outcome, Step, Verdict
from twiceshy.distillation.check import Policies, check_gap, check_traces, collapse_alarm
from twiceshy.distillation.losses import fixed_copy, match, move
from twiceshy.files import whole_file
from twiceshy.objectives import denominator_of
from twiceshy.training.policy import TinyPolicy
from twiceshy.training.streams import generator, sequence_keys, uniforms

HERE = Path(__file__).resolve().parent
SCRATCH = HERE.parents[1] / "scratch"

Kind = Literal["traces", "on-policy"]


class Arm(NamedTuple):
    """How a student is taught."""

    name: str
    rung: tree.Rung
    kind: Kind = "traces"
    edit: Literal["", "unmarked", "short", "marked", "matched"] = ""
    rate: float = 0.0
    """How fast an on-policy teacher follows the student."""


ARMS = (
    Arm("none", "none"),
    Arm("critique", "critique"),
    Arm("hint", "hint"),
    Arm("solution", "solution"),
    Arm("none, short", "none", edit="short"),
    Arm("none, unmarked", "none", edit="unmarked"),
    Arm("solution, marked", "solution", edit="marked"),
    Arm("none, matched", "none", edit="matched"),
    Arm("solution, matched", "solution", edit="matched"),
    Arm("on-policy critique", "critique", kind="on-policy"),
    Arm("on-policy solution", "solution", kind="on-policy"),
    Arm("on-policy solution, moving", "solution", kind="on-policy", rate=0.05),
)
BY_NAME = {arm.name: arm for arm in ARMS}

CONTRASTS: tuple[tuple[str, str, str, str], ...] = (
    ("solution", "none", tree.HARD, "rich context costs robustness (below 0)"),
    ("critique", "solution", tree.HARD, "a critique keeps it (above 0)"),
    ("solution", "none", tree.TRAINED, "and in domain it costs nothing (not below 0)"),
    ("none, short", "none", tree.HARD, "length alone"),
    ("none, unmarked", "none", tree.HARD, "markers alone, search kept"),
    ("solution, marked", "solution", tree.HARD, "markers added, no search"),
    ("solution, matched", "none, matched", tree.HARD, "context, at equal length and problems"),
)
"""Fixed before the runs: (arm, other arm, problems, what it asks). Everything else printed is an
afterthought. The last was added after one run each of "none" and "solution" at another rate."""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much of everything."""

    n_seeds: int = 10
    n_traces: int = 800
    """Right traces a student learns from, as in the source."""
    epochs: tuple[int, ...] = (0, 1, 2, 4, 8)
    """When the student is evaluated."""
    batch: int = 64
    rate: float = 3e-4
    """Of learning, for both kinds of arms. At 1e-3 the control lost as much in domain as it would
    at any harm; at 1e-4 nothing moved (seed 100, arm "none" only)."""
    n_eval: int = 300
    n_samples: int = 2


QUICK = Size(n_seeds=2, n_traces=300, epochs=(0, 2, 4), n_eval=100, n_samples=1)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One student."""

    arm: str
    seed: int
    size: Size

    @property
    def name(self) -> str:
        """File name of the result."""
        return f"{self.arm.replace(',', '').replace(' ', '-')}-{self.seed}"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A student at one moment, on one kind of problems."""

    epoch: int
    domain: str
    accuracy: float
    length: float
    markers: float
    """A hundred words."""
    forks: float
    """Share of positions above the base's entropy threshold."""
    right: tuple[float, ...]
    """Success rate by problem."""


class Taught(msgspec.Struct, frozen=True, kw_only=True):
    """What a teacher wrote."""

    n: int
    accuracy: float
    length: float
    markers: float
    gap: float | None
    check: dict[str, Any]
    """The library's verdict on the traces."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run."""

    points: tuple[Point, ...]
    taught: Taught | None
    alarm: dict[str, Any]
    """The collapse alarm after training, against the base."""


class Drawn(NamedTuple):
    """Responses to problems, n_samples each beside each other."""

    problems: list[tree.Problem]
    words: list[list[str]]
    right: list[bool]
    entropies: list[list[float]]
    tokens: Tensor


def draw_problems(domain: str, n: int, *, seed: int, purpose: str) -> list[tree.Problem]:
    """Return n problems that depend on nothing but their arguments."""
    rng = generator(seed, f"{purpose} {domain}")
    return [tree.draw(tree.DOMAINS[domain], rng) for _ in range(n)]


def respond(
    policy: TinyPolicy,
    problems: Sequence[tree.Problem],
    told: Sequence[Sequence[str]],
    *,
    n_samples: int,
    seed: int,
    purpose: str,
) -> Drawn:
    """Draw responses at temperature 1."""
    prompts = torch.tensor([tree.prompt_of(p, t) for p, t in zip(problems, told, strict=True)])
    keys = sequence_keys(seed, purpose=purpose, step=0, n=len(problems) * n_samples)
    draws = torch.as_tensor(uniforms(keys, tree.N_RESPONSE))
    with torch.no_grad():
        parts = [
            policy.sample(
                prompts[i : i + 128],
                draws[i * n_samples : (i + 128) * n_samples],
                end_token=tree.END,
            )
            for i in range(0, len(prompts), 128)
        ]
    return drawn_of(
        problems,
        torch.cat([part.responses for part in parts]),
        torch.cat([part.entropy for part in parts]),
    )


def drawn_of(problems: Sequence[tree.Problem], tokens: Tensor, entropy: Tensor) -> Drawn:
    """Return responses, the same number to each problem, judged."""
    n_samples = len(tokens) // len(problems)
    words = [tree.words_of(row) for row in tokens.tolist()]
    each = [problem for problem in problems for _ in range(n_samples)]
    right = [tree.is_right(problem, said) for problem, said in zip(each, words, strict=True)]
    kept = [row[: len(said)] for row, said in zip(entropy.tolist(), words, strict=True)]
    return Drawn(each, words, right, kept, tokens)


def as_attempts(drawn: Drawn, *, policy: str) -> list[Attempt]:
    """Return responses as attempts, with the entropies that forks are counted on."""
    return [
        Attempt(
            task=problem.name,
            policy=policy,
            id=f"{policy}-{i}",
            verdict=Verdict(outcome=Outcome.SUCCESS if right else Outcome.FAILURE),
            steps=(Step(role="assistant", text=" ".join(words)),),
            extra={"token_entropies": [max(value, 0.0) for value in entropies]},
        )
        for i, (problem, words, right, entropies) in enumerate(
            zip(drawn.problems, drawn.words, drawn.right, drawn.entropies, strict=True)
        )
    ]


def markers_per_hundred(words: Sequence[Sequence[str]]) -> float:
    """Return marker words a hundred words."""
    n = sum(len(said) for said in words)
    return 100 * sum(word in tree.MARKERS for said in words for word in said) / n


class Lesson(NamedTuple):
    """What a student is trained on: the problem, what the teacher was told, a right trace."""

    problem: tree.Problem
    told: list[str]
    words: list[str]
    attempt: Attempt


class Pool(NamedTuple):
    """Problems to teach, with the base's own attempts: the same for every arm that uses it."""

    problems: list[tree.Problem]
    mistakes: list[str | None]
    """The first wrong node of one of the base's failed answers."""
    own: list[Attempt]
    """All four of its attempts at every problem of training, in the pool or not."""


def own_answers(base: TinyPolicy, size: Size, *, seed: int) -> tuple[list[tree.Problem], Drawn]:
    """Return the problems of training and four of the base's own answers to each, kept."""
    problems = draw_problems(tree.TRAINED, 10 * size.n_traces, seed=seed, purpose="train")
    kept = SCRATCH / "teacher-context" / "own" / f"{seed}-{size.n_traces}.npz"
    if kept.exists():
        with np.load(kept) as arrays:
            tokens, entropy = torch.tensor(arrays["tokens"]), torch.tensor(arrays["entropy"])
        return problems, drawn_of(problems, tokens, entropy)
    own = respond(base, problems, [[]] * len(problems), n_samples=4, seed=seed, purpose="own")
    kept.parent.mkdir(parents=True, exist_ok=True)
    padded = [row + [0.0] * (tree.N_RESPONSE - len(row)) for row in own.entropies]
    with whole_file(kept) as path, path.open("wb") as file:
        np.savez(file, tokens=own.tokens.numpy(), entropy=np.array(padded, dtype=np.float32))
    return problems, own


def pool_of(base: TinyPolicy, arm: Arm, size: Size, *, seed: int) -> Pool:
    """Return the problems of an arm: those that the base fails at times.

    Where traces are matched in length, those that one of its own right attempts goes through
    without a word more than the solution has, but for "check".
    """
    problems, own = own_answers(base, size, seed=seed)
    pool = Pool([], [], as_attempts(own, policy="base"))
    for i, problem in enumerate(problems):
        rows = range(4 * i, 4 * i + 4)
        named = [tree.first_mistake(problem, own.words[j]) for j in rows if not own.right[j]]
        mistake = next((each for each in named if each is not None), None)
        if arm.edit == "matched":
            fits = any(own.right[j] and is_straight(problem, own.words[j]) for j in rows)
        else:
            fits = mistake is not None
        if fits and len(pool.problems) < 5 * size.n_traces // 2:
            pool.problems.append(problem)
            pool.mistakes.append(mistake)
    return pool


def is_straight(problem: tree.Problem, words: Sequence[str]) -> bool:
    """Return whether a trace has at most one word more than the solution written down."""
    return len(words) <= 2 * len(problem.path) + 3


def lessons_of(base: TinyPolicy, arm: Arm, size: Size, *, seed: int) -> tuple[list[Lesson], Taught]:
    """Return right traces of a teacher, edited as the arm says, and what they look like."""
    pool = pool_of(base, arm, size, seed=seed)
    told = [
        tree.known(problem, arm.rung, mistake=mistake)
        for problem, mistake in zip(pool.problems, pool.mistakes, strict=True)
    ]
    tries = 1 if arm.edit in ("", "unmarked", "marked") else 4
    drawn = respond(base, pool.problems, told, n_samples=tries, seed=seed, purpose="teach")
    attempts = as_attempts(drawn, policy=f"teacher {arm.rung}")
    found: list[Lesson] = []
    for i, (problem, words) in enumerate(zip(pool.problems, told, strict=True)):
        right = [j for j in range(tries * i, tries * (i + 1)) if drawn.right[j]]
        best = min(right, key=lambda j: len(drawn.words[j]), default=None)
        if best is None or (arm.edit == "matched" and not is_straight(problem, drawn.words[best])):
            continue
        found.append(Lesson(problem, words, drawn.words[best], attempts[best]))
    found = _edited(found[: size.n_traces], arm, seed=seed)
    return found, _taught(base, found, drawn, attempts, pool=pool, seed=seed)


def _taught(
    base: TinyPolicy,
    found: Sequence[Lesson],
    drawn: Drawn,
    attempts: Sequence[Attempt],
    *,
    pool: Pool,
    seed: int,
) -> Taught:
    """The gap is to new answers: those that chose the problems failed on purpose."""
    report = check_traces([each.attempt for each in found], pool.own, language=tree.LEXICON)
    nothing: list[list[str]] = [[]] * len(pool.problems)
    fresh = respond(base, pool.problems, nothing, n_samples=1, seed=seed, purpose="gap")
    gap = check_gap(as_attempts(fresh, policy="base"), attempts)
    words = [each.words for each in found]
    return Taught(
        n=len(found),
        accuracy=float(np.mean(drawn.right)),
        length=float(np.mean([len(each) for each in words])),
        markers=markers_per_hundred(words),
        gap=gap.numbers["gap"]["difference"],
        check={
            "ok": report.ok,
            "alarms": {alarm.name: alarm.severity for alarm in report.alarms},
            "signals": report.numbers["signals"],
        },
    )


def _edited(found: list[Lesson], arm: Arm, *, seed: int) -> list[Lesson]:
    if arm.edit in ("", "short", "matched"):
        return found
    rng = generator(seed, "edit")
    changed: list[Lesson] = []
    for each in found:
        marked = arm.edit == "marked"
        words = (
            tree.with_markers(each.words, 0.25, rng) if marked else tree.without_markers(each.words)
        )
        step = Step(role="assistant", text=" ".join(words))
        attempt = msgspec.structs.replace(each.attempt, steps=(step,), extra={})
        changed.append(each._replace(words=words, attempt=attempt))
    return changed


def evaluate(
    policy: TinyPolicy, size: Size, *, seed: int, epoch: int, threshold: float
) -> tuple[list[Point], dict[str, Drawn]]:
    """Return how the policy does without help, and what it said."""
    points: list[Point] = []
    said: dict[str, Drawn] = {}
    for domain in tree.DOMAINS:
        problems = draw_problems(domain, size.n_eval, seed=seed, purpose="evaluate")
        drawn = respond(
            policy,
            problems,
            [[]] * len(problems),
            n_samples=size.n_samples,
            seed=seed,
            purpose=f"evaluate {domain}",
        )
        rates = np.array(drawn.right, dtype=float).reshape(len(problems), -1).mean(1)
        entropies = np.concatenate([np.array(row) for row in drawn.entropies])
        points.append(
            Point(
                epoch=epoch,
                domain=domain,
                accuracy=float(rates.mean()),
                length=float(np.mean([len(words) for words in drawn.words])),
                markers=markers_per_hundred(drawn.words),
                forks=float((entropies > threshold).mean()),
                right=tuple(rates.tolist()),
            )
        )
        said[domain] = drawn
    return points, said


def train_epoch(
    policy: TinyPolicy,
    teacher: TinyPolicy,
    optimiser: torch.optim.Optimizer,
    lessons: Sequence[Lesson],
    *,
    arm: Arm,
    size: Size,
    seed: int,
    epoch: int,
) -> None:
    """Go once over the lessons."""
    order = generator(seed, "order", epoch).permutation(len(lessons))
    for n, start in enumerate(range(0, len(order), size.batch)):
        chosen = [lessons[i] for i in order[start : start + size.batch]]
        prompts = torch.tensor([tree.prompt_of(each.problem) for each in chosen])
        if arm.kind == "traces":
            loss = nll(policy, prompts, torch.tensor([tree.tokens_of(x.words) for x in chosen]))
        else:
            guided = torch.tensor([tree.prompt_of(x.problem, x.told) for x in chosen])
            key = f"on-policy {epoch} {n}"
            loss = matched(policy, teacher, prompts, guided, seed=seed, purpose=key)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        if arm.rate:
            move(teacher, towards=policy, rate=arm.rate)


def matched(
    policy: TinyPolicy,
    teacher: TinyPolicy,
    prompts: Tensor,
    guided: Tensor,
    *,
    seed: int,
    purpose: str,
) -> Tensor:
    """Return the Jensen–Shannon divergence (alpha 0.5) on the student's own traces, as in SDFT."""
    keys = sequence_keys(seed, purpose=purpose, step=0, n=len(prompts))
    draws = torch.as_tensor(uniforms(keys, tree.N_RESPONSE))
    with torch.no_grad():
        said = policy.sample(prompts, draws, end_token=tree.END).responses
    mask = mask_of(said)
    longest = int(mask.sum(1).max())
    said, mask = said[:, :longest], mask[:, :longest]
    rows = torch.arange(len(prompts))
    student = policy.head(policy.hidden(prompts, said, prompt_of=rows)).log_softmax(-1)
    with torch.no_grad():
        taught = teacher.head(teacher.hidden(guided, said, prompt_of=rows)).log_softmax(-1)
    done = match(student, taught, mask=mask, denominator=denominator_of(mask), alpha=0.5)
    return done.value


def do(job: Job) -> Done:
    """Train and evaluate one student."""
    torch.set_num_threads(1)
    arm, size, seed = BY_NAME[job.arm], job.size, job.seed
    base = read_base()
    first = respond(
        base,
        draw_problems(tree.TRAINED, size.n_eval, seed=seed, purpose="evaluate"),
        [[]] * size.n_eval,
        n_samples=size.n_samples,
        seed=seed,
        purpose=f"evaluate {tree.TRAINED}",
    )
    threshold = float(np.quantile(np.concatenate([np.array(x) for x in first.entropies]), 0.8))
    lessons, taught = lessons_of(base, arm, size, seed=seed)
    policy, teacher = read_base(), fixed_copy(base)
    assert isinstance(teacher, TinyPolicy)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=size.rate, betas=(0.9, 0.98))
    points, before = evaluate(policy, size, seed=seed, epoch=0, threshold=threshold)
    after = before
    for epoch in range(1, max(size.epochs) + 1):
        train_epoch(policy, teacher, optimiser, lessons, arm=arm, size=size, seed=seed, epoch=epoch)
        if epoch in size.epochs:
            found, after = evaluate(policy, size, seed=seed, epoch=epoch, threshold=threshold)
            points += found
    alarm = collapse_alarm(
        Policies(
            base=tuple(as_attempts(before[tree.TRAINED], policy="base")),
            student=tuple(as_attempts(after[tree.TRAINED], policy="student")),
            base_elsewhere=tuple(as_attempts(before[tree.HARD], policy="base")),
            student_elsewhere=tuple(as_attempts(after[tree.HARD], policy="student")),
        ),
        language=tree.LEXICON,
    )
    return Done(points=tuple(points), taught=taught, alarm={"ok": alarm.ok, **alarm.numbers})


def jobs(size: Size) -> list[Job]:
    """Return all runs, seed by seed."""
    return [Job(arm=arm.name, seed=seed, size=size) for seed in range(size.n_seeds) for arm in ARMS]
