"""What a run came to, as a report: cost, difficulty, principles, gates, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.principles.gates import Gated
from twiceshy.principles.learning import LearnedPrinciples
from twiceshy.principles.procedure import Difficulty, Induced
from twiceshy.principles.splits import Splits

MOST_UNREAD = 0.2
"""Share of chains without a readable answer from which it is an alarm. Ours."""
_WHY: dict[Difficulty, str] = {
    "mistakes": "",
    "too_easy": "No chain was wrong: there is nothing to learn from. Take harder examples, more of "
    "them (--shots), or a higher temperature.",
    "too_hard": "No chain was right: these questions may be beyond the model, and a principle "
    "cannot put that right. The gates decide.",
    "unread": "In no chain could an answer be read, so none is known to be wrong. Look at the step "
    "file; another --reader, or a model that follows the answer's form, is needed.",
    "no_answers": "The endpoint gave no answer at all.",
}


def report_of(found: LearnedPrinciples, splits: Splits, *, model: str) -> Report:
    """Return the report of a run."""
    induced = found.leap.induced
    return Report(
        kind="learn principles",
        title="Principles from mistakes",
        summary=tuple(_summary(found, induced)),
        numbers=_numbers(found, splits),
        tables=tuple(_tables(found)),
        alarms=tuple(_alarms(found, induced)),
        ok=induced.difficulty not in ("no_answers", "unread"),
        manifest={"model": model},
    )


def _summary(found: LearnedPrinciples, induced: Induced) -> Iterator[str]:
    leap, gated = found.leap, found.gated
    written = f"{len(leap.low)} principles from {len(induced.mistakes)} mistakes"
    if gated is None:
        yield f"{written}, condensed to {len(leap.high)}. No gate has judged them."
    else:
        yield (
            f"{written}; {len(gated.accepted)} of {len(gated.rulings)} different ones passed every "
            f"gate on {gated.executor}."
        )
        yield _whole(gated)
    yield (
        f"Chains: {len(induced.answers)}, {induced.n_right} right, {len(induced.mistakes)} wrong, "
        f"{induced.n_unread} without a readable answer, {induced.n_broken} not given."
    )
    spent = found.spent
    uncounted = f" ({spent.n_uncounted} calls untold)" if spent.n_uncounted else ""
    yield (
        f"Spent now: {spent.n_calls} calls, {spent.prompt_tokens:,} prompt and "
        f"{spent.completion_tokens:,} answer tokens{uncounted}. The procedure by its formula: "
        f"{leap.n_calls_by_formula} calls, the rest is the gates'."
    )


def _whole(gated: Gated) -> str:
    if gated.prompt is None:
        return "No principle may be told: the prompt stays as it is."
    if gated.prompt.accepted:
        return "The list as a whole passed too and may be told to this model."
    last = gated.prompt.verdicts[-1]
    said = "could not tell" if last.passed is None else "said no"
    return f"The list as a whole may not be told: {last.gate} {said} ({last.why})."


def _numbers(found: LearnedPrinciples, splits: Splits) -> dict[str, Any]:
    leap, induced = found.leap, found.leap.induced
    return {
        "n_train": len(splits.train),
        "n_validation": len(splits.validation),
        "n_test_locked": len(splits.test),
        "difficulty": induced.difficulty,
        "n_chains": len(induced.answers),
        "n_right": induced.n_right,
        "n_mistakes": len(induced.mistakes),
        "n_unread": induced.n_unread,
        "n_broken": induced.n_broken,
        "n_low": len(leap.low),
        "n_high": len(leap.high),
        "n_unusable": leap.n_unusable,
        "n_pooled": found.n_pooled,
        "n_agreeing": found.n_agreeing,
        "gates": None if found.gated is None else found.gated.numbers,
        "planned": leap.planned._asdict(),
        "n_calls_by_formula": leap.n_calls_by_formula,
        "spent": found.spent._asdict(),
    }


def _tables(found: LearnedPrinciples) -> Iterator[Table]:
    if found.gated is None:
        return
    rows = tuple(
        (
            lesson.text,
            len(lesson.contrast),
            "yes" if ruling.accepted else "cannot tell" if ruling.undecided else "no",
            ruling.stopped_by or "",
            ruling.verdicts[-1].why,
        )
        for lesson, ruling in zip(found.gated.lessons, found.gated.rulings, strict=True)
    )
    yield Table(
        title="Principles and their gates",
        columns=("principle", "mistakes", "accepted", "stopped by", "why"),
        rows=tuple(sorted(rows, key=lambda row: (row[2] != "yes", -row[1]))),
    )


def _alarms(found: LearnedPrinciples, induced: Induced) -> Iterator[Alarm]:
    why = _WHY[induced.difficulty]
    if why:
        bad = induced.difficulty in ("unread", "no_answers")
        yield Alarm(name=induced.difficulty, severity="alarm" if bad else "warning", message=why)
    n = len(induced.answers)
    if induced.difficulty != "unread" and n and induced.n_unread / n > MOST_UNREAD:
        told = f"{induced.n_unread} of {n} chains have no answer that could be read"
        yield Alarm(
            name="many_unread",
            severity="warning",
            message=f"{told}. A change of score may be the reader's doing, not the prompt's.",
            value=induced.n_unread / n,
            threshold=MOST_UNREAD,
            source="ours",
        )
    if found.spent.failed:
        told = ", ".join(f"{n} {finish}" for finish, n in sorted(found.spent.failed.items()))
        message = f"Calls without usable text: {told}. The same command asks unanswered ones again."
        yield Alarm(name="failed_calls", severity="warning", message=message)
    if found.spent.n_not_asked:
        message = f"{found.spent.n_not_asked} calls were not made after too many failures in a row."
        yield Alarm(name="gave_up", severity="alarm", message=message)
    if found.leap.n_unusable:
        message = f"In {found.leap.n_unusable} answers no principle could be read."
        yield Alarm(name="unusable", severity="warning", message=message)
