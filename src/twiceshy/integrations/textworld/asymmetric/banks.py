"""From a training collection to a bank: the whole pipeline, on true or on permuted outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec

from twiceshy.attempts.types import Attempt
from twiceshy.errors import BadInput
from twiceshy.integrations.textworld.asymmetric.plan import Cell, Plan, Truth
from twiceshy.integrations.textworld.collect import collect
from twiceshy.lessons import Lesson, Status
from twiceshy.memory.bank import Add, Bank
from twiceshy.memory.contrast import losses
from twiceshy.memory.contrast.conditions_evidence import SearchSettings
from twiceshy.memory.contrast.conditions_lessons import ConditionLessons, mine_conditions
from twiceshy.memory.writing.strength import strength


class CollectJob(msgspec.Struct, frozen=True, kw_only=True):
    """Play the training games of one collection."""

    collection: int
    plan: Plan
    folder: str
    cache: str | None

    @property
    def name(self) -> str:
        """Name of the job's files."""
        return f"collect-{self.collection}"


class CollectResult(msgspec.Struct, frozen=True, kw_only=True):
    """How the attempts of a collection ended."""

    collection: int
    plan: Plan
    won: int
    lost: int
    timed_out: int


class BankJob(msgspec.Struct, frozen=True, kw_only=True):
    """Mine a bank from the first games of a collection."""

    collection: int
    n_games: int
    literals: int
    """At most so many in a rule: 1 or 2."""
    truth: Truth
    plan: Plan
    folder: str

    @property
    def name(self) -> str:
        """Name of the job's files."""
        return bank_name(
            self.collection, n_games=self.n_games, literals=self.literals, truth=self.truth
        )


class BankResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a bank was mined from, and what is in it."""

    collection: int
    n_games: int
    literals: int
    truth: Truth
    plan: Plan
    n_attempts: int
    n_mixed: int
    """Tasks with a success and a failure."""
    n_significant: int
    """Patterns to avoid below the false discovery rate."""
    n_lessons: dict[Cell, int]
    rules: tuple[str, ...]
    """Patterns to avoid, the strongest first."""
    strategies: tuple[str, ...]


def bank_name(collection: int, *, n_games: int, literals: int, truth: Truth) -> str:
    """Return the name of a bank and of its job."""
    return f"bank-{collection}-{n_games}-{literals}-{truth}"


def do_collect(job: CollectJob) -> CollectResult:
    """Play a collection's games without lessons; attempts already in its file are kept."""
    endings = Counter(each.ending for each in _attempts(job))
    return CollectResult(
        collection=job.collection,
        plan=job.plan,
        won=endings["won"],
        lost=endings["lost"],
        timed_out=endings["max_steps"],
    )


def _attempts(job: CollectJob) -> list[Attempt]:
    return list(
        collect(
            games=job.plan.train_games(job.collection),
            attempts_per_game=job.plan.tries,
            out=Path(job.folder) / "attempts" / f"{job.collection}.jsonl",
            cache=Path(job.cache) if job.cache else None,
        )
    )


def do_bank(job: BankJob) -> BankResult:
    """Mine lessons of every cell and put them into a new bank file.

    Raises:
        BadInput: The collection's attempts are not there.
    """
    attempts = _kept(job)
    if job.truth == "true":
        mined = mine_conditions(attempts, settings=_search(job))
    else:
        mined = _placebo(attempts, job)
    lessons = [*mined.all, *losses.find_losses(mined.found.attempts)]
    path = bank_path(Path(job.folder), job.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    with Bank.open(path) as bank:
        active = (msgspec.structs.replace(each, status=Status.ACTIVE) for each in lessons)
        bank.apply([Add(lesson=each) for each in active], actor="mine")
        by_cell = lessons_by_cell(bank.lessons())
    return BankResult(
        collection=job.collection,
        n_games=job.n_games,
        literals=job.literals,
        truth=job.truth,
        plan=job.plan,
        n_attempts=len(attempts),
        n_mixed=mined.found.n_mixed_tasks,
        n_significant=mined.found.n_significant,
        n_lessons={cell: len(held) for cell, held in by_cell.items()},
        rules=tuple(each.pattern for each in by_cell["failure_abstract"]),
        strategies=tuple(each.pattern for each in by_cell["success_abstract"]),
    )


def _kept(job: BankJob) -> list[Attempt]:
    path = Path(job.folder) / "attempts" / f"{job.collection}.jsonl"
    wanted = {str(game) for game in job.plan.train_games(job.collection)[: job.n_games]}
    if not path.exists():
        raise BadInput("the attempts of a collection", got="none yet", where=str(path))
    from twiceshy.attempts.codec import decode_attempt

    attempts = [decode_attempt(line) for line in path.read_bytes().splitlines()]
    return [each for each in attempts if each.task in wanted]


def _search(job: BankJob) -> SearchSettings:
    return msgspec.convert({"max_literals": job.literals}, type=SearchSettings)


def _placebo(attempts: Sequence[Attempt], job: BankJob) -> ConditionLessons:
    """Run the pipeline on permuted outcomes; `matched` without the test, cut to the true number."""
    permuted = permute_outcomes(attempts, seed=job.collection)
    if job.truth == "permuted":
        return mine_conditions(permuted, settings=_search(job))
    n_true = len(mine_conditions(attempts, settings=_search(job)).avoid)
    free = msgspec.convert({"max_literals": job.literals, "fdr": 1.0}, type=SearchSettings)
    mined = mine_conditions(permuted, settings=free)
    return mined._replace(avoid=mined.avoid[:n_true])


def permute_outcomes(attempts: Sequence[Attempt], *, seed: int) -> list[Attempt]:
    """Return the attempts with verdicts and endings dealt out again within each task.

    Steps stay where they are, so what a task's attempts did and how often it was won are kept, and
    which of them won is chance.
    """
    by_task: dict[str, list[int]] = {}
    for place, attempt in enumerate(attempts):
        by_task.setdefault(attempt.task, []).append(place)
    result = list(attempts)
    for task, places in sorted(by_task.items()):
        dealt = list(places)
        Random(f"{seed}|{task}").shuffle(dealt)
        for place, source in zip(places, dealt, strict=True):
            result[place] = msgspec.structs.replace(
                attempts[place],
                verdict=attempts[source].verdict,
                ending=attempts[source].ending,
                truncated=attempts[source].truncated,
            )
    return result


def bank_path(folder: Path, name: str) -> Path:
    """Return where a bank lies."""
    return folder / "banks" / f"{name}.db"


def read_bank(path: Path) -> dict[Cell, list[Lesson]]:
    """Return the active lessons of a bank by cell, the strongest first."""
    with Bank.open(path, read_only=True, must_exist=True) as bank:
        return lessons_by_cell(bank.lessons(statuses=(Status.ACTIVE,)))


def lessons_by_cell(lessons: Sequence[Lesson]) -> dict[Cell, list[Lesson]]:
    """Return lessons by cell, those with most evidence first."""
    held: dict[Cell, list[Lesson]] = {
        "success_concrete": [],
        "success_abstract": [],
        "failure_concrete": [],
        "failure_abstract": [],
    }
    for lesson in sorted(lessons, key=strength, reverse=True):
        cell = cell_of(lesson)
        if cell is not None:
            held[cell].append(lesson)
    return held


def cell_of(lesson: Lesson) -> Cell | None:
    """Return the cell a lesson belongs to; None for a kind the study does not use."""
    if lesson.kind == "demonstration":
        return "success_concrete"
    if lesson.kind == "strategy":
        return "success_abstract"
    if lesson.kind == "avoid":
        return "failure_concrete" if lesson.vocabulary == losses.NAME else "failure_abstract"
    return None
