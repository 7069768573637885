"""The report of a proof: who differs, by how much, and whether the reading moved the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.evidence.stats import PairedDifference, wilson
from twiceshy.evidence.trial import ArmResult
from twiceshy.principles.arms import MEANINGS, Built
from twiceshy.principles.asking import Spent
from twiceshy.principles.extractors import Extractor
from twiceshy.principles.proving import ArmSheet, Moved, Proof


def proof_report(proof: Proof, built: Built, spent: Spent, *, model: str) -> Report:
    """Return a proof as a report.

    Args:
        proof: The measurement.
        built: How its arms were made, with those that could not be.
        spent: Calls of all of it.
        model: The model's name: what is found holds for it alone.
    """
    trial = proof.trials.get("as given")
    arms = tuple(_arm_row(each) for each in proof.arms)
    return Report(
        kind="prove prompt",
        title="Prompts on locked questions",
        summary=(_first(proof, model), *_read_sentence(proof), _cost(proof, spent)),
        numbers={
            "model": model,
            "n_items": proof.n_items,
            "against": proof.against,
            "trial": trial.report.numbers if trial else None,
            "reading": [_moved_numbers(each) for each in proof.moved],
            "arms": {each.arm.name: _arm_numbers(each) for each in proof.arms},
            "left_out": built.left_out,
            "difficulty": built.leap.induced.difficulty if built.leap else None,
            "spent": spent._asdict(),
        },
        tables=(
            *(trial.report.tables[:1] if trial else ()),
            Table(
                title="How the arms were asked and read",
                columns=("arm", "what it is", "calls here", "to make it", "unread", "no answer"),
                rows=arms,
                note="Answers that were not read, and those that never came, leave their pair.",
            ),
            *((_reading_table(proof),) if proof.trials else ()),
        ),
        alarms=(
            *(trial.report.alarms if trial else ()),
            *_reading_alarms(proof),
            *_left_out(built),
            *_gaps(proof, spent),
        ),
    )


def _first(proof: Proof, model: str) -> str:
    trial = proof.trials.get("as given")
    if trial is None:
        what = "no answer could be read" if proof.trials else f"{model} answered no question"
        return f"Nothing to compare (n = 0): {what} of {proof.against}."
    told = ", ".join(
        f"{each.policy} {_points(each.difference)}{_over(each, proof)}"
        for each in trial.arms
        if each.difference
    )
    clear = [each.policy for each in trial.arms if each.is_clear]
    who = (
        f"{', '.join(clear)} {'differ' if len(clear) > 1 else 'differs'}"
        if clear
        else "no arm differs"
    )
    return (
        f"On {proof.n_items} locked questions, {who} from {proof.against} beyond chance "
        f"(points, 95 %): {told}."
    )


def _over(arm: ArmResult, proof: Proof) -> str:
    """Return on how many questions a difference rests, where these are not all."""
    found = arm.difference
    return "" if found is None or found.n_tasks == proof.n_items else f" (n = {found.n_tasks})"


def _points(found: Any) -> str:
    if found is None or found.difference is None:
        return "undefined"
    if found.low is None:
        return f"{100 * found.difference:+.0f}"
    return f"{100 * found.difference:+.0f} [{100 * found.low:+.0f}, {100 * found.high:+.0f}]"


def _read_sentence(proof: Proof) -> tuple[str, ...]:
    n = sum(each.n_unread for each in proof.arms)
    if not n:
        return ()
    worst = max(proof.arms, key=lambda each: each.n_unread)
    return (f"{n} answers could not be read, most of them ({worst.n_unread}) in {worst.arm.name}.",)


def _cost(proof: Proof, spent: Spent) -> str:
    return (
        f"{spent.n_calls} calls ({spent.n_known} more were known), {spent.prompt_tokens:,} prompt "
        f"and {spent.completion_tokens:,} answer tokens; arms of "
        f"{', '.join(sorted({str(each.n_calls) for each in proof.arms}, key=int))} calls."
    )


def _arm_row(told: ArmSheet) -> tuple[str | int, ...]:
    arm = told.arm
    meaning = MEANINGS[arm.name] + (f" ({arm.votes})" if arm.votes > 1 else "")
    row = (arm.name, meaning, told.n_calls, arm.n_learning_calls, told.n_unread, told.n_broken)
    return row


def _arm_numbers(told: ArmSheet) -> dict[str, Any]:
    scores = told.sheets["as given"].scores
    n = int((scores >= 0).sum())
    return {
        "right": wilson(int((scores == 1).sum()), n)._asdict(),
        "n_calls": told.n_calls,
        "n_learning_calls": told.arm.n_learning_calls,
        "votes": told.arm.votes,
        "n_unread": told.n_unread,
        "n_broken": told.n_broken,
        "n_block_words": len(told.arm.block.split()),
        "n_shots": len(told.arm.shots),
    }


def _moved_numbers(each: Moved) -> dict[str, Any]:
    return {
        "arm": each.arm,
        "moved_by_reading": each.by_reading,
        "hidden_by_reading": each.hidden,
        "through_unread": each.through_unread,
        "unread": each.unread._asdict(),
        "difference": {
            how: arm.difference._asdict() if arm.difference else None
            for how, arm in each.by_extractor.items()
        },
        "is_clear": {how: arm.is_clear for how, arm in each.by_extractor.items()},
    }


def _reading_table(proof: Proof) -> Table:
    return Table(
        title=f"The same answers read in other ways, points over {proof.against}",
        columns=("arm", *proof.trials, "through unread answers", "more unread", "fewer", "p"),
        rows=tuple(
            (
                each.arm,
                *(_points(_difference(each, how)) for how in proof.trials),
                None if each.through_unread is None else f"{100 * each.through_unread:+.0f}",
                each.unread.more,
                each.unread.fewer,
                each.unread.p,
            )
            for each in proof.moved
        ),
        note="As given leaves unread answers out; strict counts them as wrong, and through unread "
        "answers is the part of that difference on questions of which one was not read. Marked "
        "takes marked answers only, lenient whatever may be one. The last three columns count the "
        "questions of which more, or fewer, answers could not be read than with "
        f"{proof.against}, and test for more (one-sided, exact).",
    )


def _difference(each: Moved, how: Extractor) -> PairedDifference | None:
    found = each.by_extractor.get(how)
    return None if found is None else found.difference


def _reading_alarms(proof: Proof) -> tuple[Alarm, ...]:
    found: list[Alarm] = []
    for each in proof.moved:
        lenient = each.by_extractor.get("lenient")
        read = f", and {_points(lenient.difference)} with a lenient reader" if lenient else ""
        own = _points(_difference(each, "as given"))
        if each.by_reading:
            part = 100 * (each.through_unread or 0.0)
            message = (
                f"The answer extractor, not the prompt, moved the score of {each.arm}: {own} "
                f"points as given, {_points(_difference(each, 'strict'))} with unread answers as "
                f"wrong, {part:+.0f} of these on unread answers{read}."
            )
            found.append(Alarm(name="extractor_moved_it", severity="alarm", message=message))
        elif each.hidden:
            message = f"The answer extractor may hide what {each.arm} does: {own} points{read}."
            found.append(Alarm(name="extractor_hides_it", severity="warning", message=message))
        if each.unread.clearly_more:
            message = (
                f"With {each.arm} clearly more answers cannot be read ({each.unread.told}): what "
                "it breaks on those questions is not in its score."
            )
            found.append(Alarm(name="more_unread", severity="alarm", message=message))
    return tuple(msgspec.structs.replace(each, source="ours") for each in found)


def _left_out(built: Built) -> tuple[Alarm, ...]:
    by_reason: dict[str, list[str]] = {}
    for name, why in built.left_out.items():
        by_reason.setdefault(why, []).append(name)
    return tuple(
        Alarm(name="arms_left_out", severity="warning", message=f"Left out {_list(names)}: {why}.")
        for why, names in by_reason.items()
    )


def _gaps(proof: Proof, spent: Spent) -> tuple[Alarm, ...]:
    n = sum(each.n_broken for each in proof.arms)
    if not n:
        return ()
    ways = ", ".join(f"{count} {how}" for how, count in sorted(spent.failed.items()))
    message = f"{n} answers never came ({ways}; {spent.n_not_asked} not asked for any more)."
    return (Alarm(name="answers_missing", severity="warning", message=message, value=float(n)),)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
