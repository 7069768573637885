"""`propose_edits`: from attempts and what is known to edits of a bank.

Asymmetric, as SkillRL (2602.08234) and ReasoningBank (2509.25140) process attempts: a success
becomes a demonstration, a failure an abstract lesson, a strategy comes from both. Both are taken
from contrast at one task where there is any. What differs: a failure at a task that nobody solved
teaches nothing, nor do broken and unscored attempts, and what is proposed are edits, not a bank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from twiceshy.attempts.types import Attempt
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast.conditions import Conditions
from twiceshy.memory.contrast.learning import (
    MAX_DEMONSTRATIONS,
    Learned,
    condition_lessons,
    learn,
)
from twiceshy.memory.contrast.vocabulary import choose_vocabulary
from twiceshy.memory.writing.deltas import CAP, find_deltas
from twiceshy.memory.writing.extraction import Extraction, Told, extract
from twiceshy.memory.writing.screening import (
    Screened,
    family_of,
    n_without_success,
    screen,
    with_family,
    with_tasks,
)
from twiceshy.memory.writing.types import Asked, FamilyOf, Proposal, Reason, Rejected, Similarity
from twiceshy.models import Completer


def propose_edits(
    attempts: Sequence[Attempt],
    known: Sequence[Lesson],
    *,
    learned: Learned | None = None,
    completer: Completer | None = None,
    extraction: Extraction = "contrast",
    max_questions: int | None = None,
    similarity: Similarity | None = None,
    family_of: FamilyOf = family_of,
    cap: int = CAP,
    max_new: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Proposal:
    """Return the edits by which a bank takes in what attempts teach. Nothing is written.

    Without a language model: the lessons, demonstrations and recoveries that contrast finds, in the
    words of their templates. That loses what has no vocabulary of events. With one, it is asked
    about the attempts as well; its lessons are *described*, since nothing was counted.

    Pass the edits through `memory.safety.vet` before they are applied.

    Args:
        attempts: Any attempts. Broken and unscored ones, those kept for testing and those at tasks
            kept for testing are set aside and counted.
        known: Lessons of the bank, of every status.
        learned: What `learn` returned for the same attempts. None learns here, and so does a result
            that saw attempts which are set aside here.
        completer: A language model to ask; None asks nobody.
        extraction: One question for a task with both outcomes, or one for every attempt.
        max_questions: Questions to the model at most; None asks all.
        similarity: Cosines between texts, to find near-duplicates that share few words.
        family_of: Family of an attempt's task.
        cap: Lessons a family may have in each half (demonstrations, the others).
        max_new: Lessons to add at most; None for all.
        seed: Seed of everything random.
        progress: Called with (questions done, questions in all).

    Example:
        >>> from twiceshy.attempts.types import Outcome, Verdict
        >>> lost = Attempt(task="t", id="a", verdict=Verdict(outcome=Outcome.FAILURE))
        >>> proposal = propose_edits([lost], [])
        >>> proposal.edits, proposal.n_without_success
        ((), 1)
    """
    screened = screen(attempts)
    fits = learned is not None and _saw_only(screened, learned)
    mined = learned.lessons if learned is not None and fits else _mined(screened, seed=seed)
    told = _ask(
        screened,
        completer=completer,
        extraction=extraction,
        max_questions=max_questions,
        progress=progress,
    )
    found = _usable((*mined, *told.lessons), screened, family_of=family_of)
    deltas = find_deltas(found.lessons, known, similarity=similarity, cap=cap, max_new=max_new)
    return Proposal(
        edits=tuple(deltas.edits),
        rejected=(*told.rejected, *found.rejected, *deltas.rejected),
        contradictions=deltas.contradictions,
        n_attempts=len(attempts),
        n_learned_from=len(screened.attempts),
        set_aside=screened.set_aside,
        n_without_success=n_without_success(screened.sides.values()),
        n_candidates=len(mined) + len(told.lessons),
        asked=told.asked,
    )


def _mined(screened: Screened, *, seed: int) -> tuple[Lesson, ...]:
    """Return what contrast finds. Where steps tell facts no more than the lessons is worked out."""
    if isinstance(choose_vocabulary(screened.attempts), Conditions):
        return condition_lessons(screened.attempts, max_demonstrations=MAX_DEMONSTRATIONS)
    return learn(screened.attempts, max_demonstrations=MAX_DEMONSTRATIONS, seed=seed).lessons


def _saw_only(screened: Screened, learned: Learned) -> bool:
    return set(learned.table.attempt_ids) <= {each.id for each in screened.attempts}


def _ask(
    screened: Screened,
    *,
    completer: Completer | None,
    extraction: Extraction,
    max_questions: int | None,
    progress: Callable[[int, int], None] | None,
) -> Told:
    if completer is None:
        return Told((), (), Asked())
    return extract(
        screened.sides,
        completer=completer,
        extraction=extraction,
        max_questions=max_questions,
        progress=progress,
    )


class _Usable(NamedTuple):
    lessons: list[Lesson]
    rejected: list[Rejected]


def _usable(lessons: Sequence[Lesson], screened: Screened, *, family_of: FamilyOf) -> _Usable:
    """Turn down lessons that rest on no contrast; give the others their family and tasks."""
    by_id = {each.id: each for each in screened.attempts}
    found = _Usable([], [])
    for lesson in lessons:
        if _lacks_contrast(lesson):
            found.rejected.append(
                Rejected(reason=Reason.NO_CONTRAST, author=lesson.author, text=lesson.text)
            )
        else:
            placed = with_family(lesson, by_id, family_of=family_of)
            found.lessons.append(with_tasks(placed, by_id))
    return found


def _lacks_contrast(lesson: Lesson) -> bool:
    """Whether a warning rests on failures alone: no task in which it varies, and no pair."""
    return (
        lesson.kind == "avoid" and lesson.evidence.n_informative_tasks == 0 and not lesson.contrast
    )
