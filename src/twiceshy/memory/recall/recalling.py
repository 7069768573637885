"""Which lessons a task calls for: found by likeness, kept few, told within a budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

from twiceshy.errors import BadInput
from twiceshy.lessons import Lesson, LessonKind, Status
from twiceshy.memory.bank.protocol import BankReader
from twiceshy.memory.recall.embedders import default_embedder
from twiceshy.memory.recall.index import Filter, Index, index_of
from twiceshy.memory.recall.rendering import (
    AvoidForm,
    Rendered,
    TokenCounter,
    estimate_tokens,
    render,
)
from twiceshy.memory.recall.scoring import LEXICAL_WEIGHT, Scored, floor_of, ranked
from twiceshy.memory.recall.texts import Level, level_of, rests_only_on
from twiceshy.models.embedder import Embedder

N_CANDIDATES = 20
"""Lessons looked at closely, best first."""
K = 2
"""Lessons told by default: more of them distract a small model."""
BUDGET_TOKENS = 400

Fate = Literal[
    "chosen", "below_floor", "same_task", "no_words", "beyond_k", "over_budget", "duplicate"
]
"""What became of a candidate. `same_task`: it rests only on this task's own attempts. `no_words`:
an `avoid` without an alternative, which can be checked but is not told."""

WORDS_ONLY = "Searched by words alone: no embedding model is installed (extra `embed`)."


class Candidate(NamedTuple):
    """A lesson that was looked at, and what became of it."""

    lesson: Lesson
    score: float
    cosine: float | None
    """None without an embedding model."""
    bm25: float
    level: Level
    fate: Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """What recall found."""

    candidates: tuple[Candidate, ...]
    """Best first, at most `N_CANDIDATES`."""
    chosen: tuple[Lesson, ...]
    """Those told, in the order of the text: general first."""
    text: str
    """For a user-level message; "" when nothing was chosen."""
    n_tokens: int
    nothing: str
    """Why nothing was chosen; "" when something was."""
    floor: float
    notes: tuple[str, ...]
    """What recall did without."""

    @property
    def fates(self) -> Mapping[Fate, int]:
        """How many candidates met each fate."""
        return Counter(each.fate for each in self.candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to recall; the keyword arguments of `recall`, for those who pass them on."""

    budget_tokens: int = BUDGET_TOKENS
    k: int = K
    scope: Mapping[str, str] = field(default_factory=dict)
    family: str = ""
    task_id: str | None = None
    same_task: bool = False
    statuses: Sequence[Status] = (Status.ACTIVE,)
    kinds: Sequence[LessonKind] | None = None
    embedder: Embedder | Literal["default"] | None = "default"
    floor: float | None = None
    lexical_weight: float = LEXICAL_WEIGHT
    count: TokenCounter = estimate_tokens
    form: AvoidForm = "instead"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise BadInput("k of at least 1", got=str(self.k))
        if self.budget_tokens < 1:
            raise BadInput("a budget of at least one token", got=str(self.budget_tokens))

    @property
    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of `recall`."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def filter(self) -> Filter:
        """The rows that may be recalled: family and task are keys of the scope."""
        own = {"family": self.family, "task": self.task_id}
        scope = {**self.scope, **{key: value for key, value in own.items() if value}}
        return Filter(self.statuses, self.kinds, scope)

    @property
    def model(self) -> Embedder | None:
        """The embedding model; None for words alone."""
        return default_embedder() if self.embedder == "default" else self.embedder


def recall(
    reader: BankReader,
    task: str,
    *,
    budget_tokens: int = BUDGET_TOKENS,
    k: int = K,
    scope: Mapping[str, str] | None = None,
    family: str = "",
    task_id: str | None = None,
    same_task: bool = False,
    statuses: Sequence[Status] = (Status.ACTIVE,),
    kinds: Sequence[LessonKind] | None = None,
    embedder: Embedder | Literal["default"] | None = "default",
    floor: float | None = None,
    lexical_weight: float = LEXICAL_WEIGHT,
    count: TokenCounter = estimate_tokens,
    form: AvoidForm = "instead",
) -> Recalled:
    """Return the lessons a task calls for, possibly none.

    A task is compared with the situations lessons come from (`texts.situation_of`), by meaning and
    by words. Lessons below the floor are not told. Of the `k` places half, rounded down, go to
    general lessons first; then lessons of the family, then of the task; what is left is filled by
    score.

    Args:
        reader: A bank.
        task: The task in words.
        budget_tokens: Tokens of the text, delimiters included.
        k: Lessons told, at most.
        scope: What holds here (tenant, repository, tool version); a lesson that names another value
            for one of its keys is left out.
        family: The task's family; lessons of other families are left out.
        task_id: Identity of the task. With it, lessons that rest only on attempts at this very task
            are held back; without it nothing can be held back, and `notes` says so.
        same_task: Whether those may be told all the same (a retry of the task).
        statuses: Which lessons may be told.
        kinds: None for every kind.
        embedder: An embedding model; None searches by words alone, and so does "default" where the
            extra `embed` is not installed, with a note.
        floor: Least score; None for the calibrated one of the model.
        lexical_weight: `a` in `scoring`.
        count: Counts tokens; the default is an estimate.
        form: How an `avoid` is told.

    Raises:
        BadInput: `k` or the budget is below 1, or the bank holds vectors of another length.
    """
    wish = Wish(
        budget_tokens=budget_tokens,
        k=k,
        scope=scope or {},
        family=family,
        task_id=task_id,
        same_task=same_task,
        statuses=statuses,
        kinds=kinds,
        embedder=embedder,
        floor=floor,
        lexical_weight=lexical_weight,
        count=count,
        form=form,
    )
    index = index_of(reader, wish.model)
    found = ranked(
        index, reader, task, wanted=wish.filter, weight=lexical_weight, limit=N_CANDIDATES
    )
    least = floor_of(index) if floor is None else floor
    judged = [_first_look(each, index, reader, wish=wish, floor=least) for each in found]
    return told(judged, wish=wish, floor=least, n_searched=len(index.ids))


def _first_look(
    found: Scored, index: Index, reader: BankReader, *, wish: Wish, floor: float
) -> Candidate:
    lesson = reader.get(index.ids[found.row])
    fate: Fate = "chosen"
    if found.score < floor:
        fate = "below_floor"
    elif is_held_back(lesson, index, wish=wish):
        fate = "same_task"
    return Candidate(lesson, found.score, found.cosine, found.bm25, level_of(lesson), fate)


def is_held_back(lesson: Lesson, index: Index, *, wish: Wish) -> bool:
    """Whether the leak guard holds a lesson back."""
    if wish.task_id is None or wish.same_task:
        return False
    return rests_only_on(lesson, wish.task_id, run_tasks=index.run_tasks)


def told(
    judged: Sequence[Candidate],
    *,
    wish: Wish,
    floor: float,
    n_searched: int,
    by_score: bool = False,
) -> Recalled:
    """Choose among the candidates that passed, render them, and say what became of the others.

    Args:
        judged: Candidates, best first; those with fate `chosen` are still in the running.
        wish: How many, how long, in which form.
        floor: Least score, for the record.
        n_searched: Lessons in the bank.
        by_score: Whether places go by score alone, without regard to the level.
    """
    passed = [each for each in judged if each.fate == "chosen"]
    order = passed if by_score else _by_priority(passed, wish.k)
    rendered = render(
        [each.lesson for each in order],
        budget_tokens=wish.budget_tokens,
        count=wish.count,
        form=wish.form,
        limit=wish.k,
    )
    fates = _fates(order, rendered)
    candidates = tuple(each._replace(fate=fates.get(each.lesson.id, each.fate)) for each in judged)
    return Recalled(
        candidates=candidates,
        chosen=rendered.lessons,
        text=rendered.text,
        n_tokens=rendered.n_tokens,
        nothing="" if rendered.lessons else _why(candidates, wish=wish, n_searched=n_searched),
        floor=floor,
        notes=tuple(_notes(wish)),
    )


def _notes(wish: Wish) -> Iterator[str]:
    if wish.model is None and wish.embedder == "default":
        yield WORDS_ONLY
    if wish.task_id is None:
        yield "No identity of the task was given: its own lessons are not held back."


def _by_priority(passed: Sequence[Candidate], k: int) -> list[Candidate]:
    """Order candidates by who gets a place first: general (half of the places), family, task."""
    general = [each for each in passed if each.level == "general"][: k // 2]
    specific = [each for each in passed if each.level == "family"]
    specific += [each for each in passed if each.level == "task"]
    first = [*general, *specific]
    taken = {each.lesson.id for each in first}
    return [*first, *(each for each in passed if each.lesson.id not in taken)]


def _fates(order: Sequence[Candidate], rendered: Rendered) -> dict[str, Fate]:
    by_fate: dict[Fate, Iterable[str]] = {
        "beyond_k": [each.lesson.id for each in order],
        "no_words": rendered.unspeakable,
        "duplicate": rendered.repeated,
        "over_budget": rendered.too_long,
        "chosen": [each.id for each in rendered.lessons],
    }
    return {each: fate for fate, ids in by_fate.items() for each in ids}


def _why(candidates: Sequence[Candidate], *, wish: Wish, n_searched: int) -> str:
    if not n_searched:
        return "The bank is empty."
    if not candidates:
        wanted = ", ".join(wish.statuses)
        return f"None of {n_searched} lessons is {wanted}, in scope, and like the task at all."
    n = Counter(each.fate for each in candidates)
    reasons = {
        f"{n['below_floor']} are not like enough the task": n["below_floor"],
        f"{n['same_task']} rest only on this task's own attempts": n["same_task"],
        f"{n['no_words']} name no alternative and are left to the checks": n["no_words"],
        f"{n['over_budget']} do not fit into {wish.budget_tokens} tokens": n["over_budget"],
    }
    told = "; ".join(text for text, count in reasons.items() if count)
    return f"Of the {len(candidates)} nearest lessons {told}."
