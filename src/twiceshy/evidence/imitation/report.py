"""The imitation audit in words, tables and alarms."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from twiceshy.attempts.lexicons import Lexicon
from twiceshy.attempts.types import Attempt
from twiceshy.evidence.imitation.audit import CONFIDENT, Audited, measure
from twiceshy.evidence.imitation.closure import Closed, Spread, rate_of
from twiceshy.evidence.imitation.finding import CAPABILITY_OPEN, STYLE_CLOSED
from twiceshy.evidence.imitation.judging import Preference
from twiceshy.evidence.imitation.preferred import Preferred
from twiceshy.evidence.imitation.sides import Counts, Side
from twiceshy.evidence.report import Alarm, Report, Table

HUMAN_AUC = 0.656
"""AUC of style alone for human votes on 140,000 arena battles (LMSYS, from a blog post)."""
_MOSTLY_SAME = 0.9
_BOUND = 5.0
_ONE_SIDED = (
    " One side wins all but always: strengths beyond 5 logits are bounds of the fit, no estimates."
)
_NAMES: dict[Side, str] = {
    "base": "base", "student": "student", "teacher": "teacher", "resample": "teacher again",
}  # fmt: skip

Row = tuple[str | int | float | bool | None, ...]


def audit_imitation(
    *,
    base: Iterable[Attempt],
    student: Iterable[Attempt],
    teacher: Iterable[Attempt],
    resample: Iterable[Attempt] | None = None,
    preferences: Sequence[Preference] | None = None,
    covered: Collection[str] | None = None,
    by: str = "benchmark",
    language: str | Lexicon | None = None,
    n_draws: int = 500,
    seed: int = 0,
) -> Report:
    """Report how much of the gap to its teacher a student closed, in style and in capability.

    style closure  SC_m = (m(S,T) − m(B,T)) / (m(T′,T) − m(B,T))
    capability closure  CC_k = (acc_k(S) − acc_k(B)) / (acc_k(T) − acc_k(B))
    mimicry index  MI = mean_m SC_m − mean_k CC_k

    with base B, student S, teacher T and a second draw of the teacher T′. The audit fails (`ok` is
    false) on imitation without capability: the interval of the mean style closure above 0.5 and
    that of the mean capability closure below 0.25. A closure is undefined, and says so, where
    teacher and base differ within noise; intervals are bootstrapped over tasks.

    Source: the figures that Gudibande et al. (2305.15717) report; closures, index and thresholds
    are ours. Broken and unscored answers have style but no accuracy; empty ones the reverse.

    Args:
        base: Attempts of the student before it imitated.
        student: After.
        teacher: Of the teacher, at the same tasks.
        resample: The teacher once more, at non-zero temperature; without it there is no style
            closure.
        preferences: A judge's word on pairs of the four.
        covered: Ids of the tasks that the imitation data hold; None: not known.
        by: Field of the attempts' `extra` that names the benchmark of a task.
        language: Of the answers, for hedges and summaries; None: told from the text.
        n_draws: Bootstrap draws.
        seed: Of the bootstrap.

    Raises:
        BadInput: A side without attempts, or no task in common.
    """
    attempts: dict[Side, Sequence[Attempt]] = {
        "base": tuple(base),
        "student": tuple(student),
        "teacher": tuple(teacher),
    }
    if resample is not None:
        attempts["resample"] = tuple(resample)
    found = measure(
        attempts,
        preferences=preferences,
        covered=covered,
        by=by,
        language=language,
        n_draws=n_draws,
        seed=seed,
    )
    return Report(
        kind="audit imitation",
        title="Style and capability of a student",
        summary=tuple(_summary(found)),
        numbers=_numbers(found),
        tables=tuple(_tables(found)),
        alarms=tuple(_alarms(found)),
        ok=not found.verdict.fails,
        manifest={"seed": seed, "n_draws": n_draws, "by": by},
    )


def _summary(found: Audited) -> Iterable[str]:
    yield found.verdict.sentence
    index = found.mimicry_index
    if index.value is not None:
        yield (
            f"Mimicry index {_span(index)} on {found.n_tasks} tasks "
            "(mean style closure minus mean capability closure; about 0 is healthy)."
        )
    missing: dict[str, list[str]] = {}
    named = [(each, each.name) for each in found.style]
    named += [(each, f"accuracy on {each.name}") for each in found.capability]
    if found.coverage is not None:
        own = found.coverage
        named += [(own.inside, "accuracy inside"), (own.outside, "accuracy outside the coverage")]
    for each, name in named:
        if each.why_not:
            missing.setdefault(each.why_not, []).append(name)
    if missing:
        told = "; ".join(f"{', '.join(names)} ({why})" for why, names in missing.items())
        yield f"No closure of {told}."
    if found.language is None:
        yield "No lexicon fits the language of the answers, so hedges and summaries are undefined."
    yield from _left_out(found)
    if found.preferred is not None:
        yield from _preference_words(found.preferred)


def _left_out(found: Audited) -> Iterable[str]:
    if found.n_left_out:
        yield (
            f"Left out: {found.n_left_out} of {found.n_tasks + found.n_left_out} tasks, which some "
            "side did not answer."
        )
    lost = [
        f"{_NAMES[side]} {words}" for side, own in found.counts.items() if (words := _lost(own))
    ]
    if lost:
        yield (
            "Broken and unscored answers enter no accuracy and empty ones no style: "
            f"{'; '.join(lost)}."
        )


def _lost(own: Counts) -> str:
    parts = ((own.broken, "broken"), (own.unscored, "unscored"), (own.empty, "empty"))
    return ", ".join(f"{n} {what}" for n, what in parts if n)


def _preference_words(found: Preferred) -> Iterable[str]:
    gap = found.gap
    if not found.hygiene.n_judgements:
        yield "There is no judgement among the preferences."
    elif gap.gap.value is None:
        yield "No judged pair of student and teacher has verdicts on both."
    else:
        yield (
            f"The judge puts the student level with the teacher or above in "
            f"{gap.preferred.value:.0%} of {gap.n} pairs; by the verdicts that is so in "
            f"{gap.verified.value:.0%}."
        )


def _alarms(found: Audited) -> Iterable[Alarm]:
    if found.verdict.fails:
        yield Alarm(
            name="imitation without capability"
            if found.verdict.finding == "imitation"
            else "capability only inside the imitation data",
            severity="alarm",
            message=found.verdict.sentence,
            value=found.mimicry_index.value,
            threshold=CAPABILITY_OPEN,
            source=f"ours: style closure above {STYLE_CLOSED}, capability below {CAPABILITY_OPEN}",
        )
    yield from _capability_alarms(found)
    change = found.tone_change
    if change.low is not None and change.low > 0:
        message = (
            f"The student is wrong and sure of it more often than the base, by {_span(change)}."
        )
        yield _warning("sure and wrong", message, value=change.value, limit=0.0)
    if found.same_resample is not None and found.same_resample >= _MOSTLY_SAME:
        message = (
            f"The resample repeats the teacher word for word at {found.same_resample:.0%} of "
            "tasks: is it a second draw?"
        )
        yield _warning("same resample", message, value=found.same_resample, limit=_MOSTLY_SAME)
    if found.preferred is not None:
        yield from _judge_alarms(found.preferred)


def _capability_alarms(found: Audited) -> Iterable[Alarm]:
    for each in found.capability:
        high = each.closure.high
        if high is not None and high < 0:
            message = (
                f"The student is below its base on {each.name}: {each.student.value:.3f} "
                f"after {each.base.value:.3f}."
            )
            yield _warning("capability fell", message, value=each.closure.value, limit=0.0)


def _judge_alarms(found: Preferred) -> Iterable[Alarm]:
    hygiene, model = found.hygiene, found.style_model
    if hygiene.n_both_orders < hygiene.n_battles:
        one = hygiene.n_battles - hygiene.n_both_orders
        message = f"{one} of {hygiene.n_battles} pairs were judged in one order only."
        yield _warning("one order", message)
    if model.low is not None and model.low > HUMAN_AUC:
        message = (
            f"Style alone foretells the judge with AUC {model.auc:.2f}; for people it is "
            f"{HUMAN_AUC}."
        )
        yield _warning(
            "the judge reads style", message, value=model.auc, limit=HUMAN_AUC, source="LMSYS blog"
        )
    gap = found.gap.gap
    if gap.low is not None and gap.low > 0:
        message = (
            "The judge puts the student level with the teacher or above more often than the "
            f"verdicts bear out, by {_span(gap)}."
        )
        yield _warning("preferred beyond its merit", message, value=gap.value, limit=0.0)
    changed = [
        f"{found.sides[a]} over {found.sides[b]}"
        for a in range(len(found.sides))
        for b in range(len(found.sides))
        if _beats(found, a, b, raw=True) and _beats(found, b, a, raw=False)
    ]
    if changed:
        message = (
            f"The judge puts {' and '.join(changed)}; with style held fixed it is the reverse."
        )
        yield _warning("preferred for style", message)


def _beats(found: Preferred, a: int, b: int, *, raw: bool) -> bool:
    strength = (found.raw if raw else found.controlled).strength
    return strength[a].value > strength[b].value


def _warning(
    name: str,
    message: str,
    *,
    value: float | None = None,
    limit: float | None = None,
    source: str = "ours",
) -> Alarm:
    return Alarm(
        name=name, severity="warning", message=message, value=value, threshold=limit, source=source
    )


def _tables(found: Audited) -> Iterable[Table]:
    columns = ("", "base", "student", "ceiling", "closure", "low", "high")
    yield Table(
        title="Style: likeness to the teacher's answer",
        columns=columns,
        rows=(*map(_closed_row, found.style), _mean_row(found.mean_style)),
        note="Ceiling: a second draw of the teacher. 0 is the base, 1 the ceiling; 95% intervals "
        "over tasks.",
    )
    yield _capability_table(found, columns)
    yield _tone_table(found)
    unit = "tokens" if found.in_tokens else "words"
    yield Table(
        title="Structure: distance from the teacher's distribution",
        columns=("", "base", "student", "teacher again"),
        rows=tuple(tuple(each) for each in found.structure),
        note=f"Jensen-Shannon distance, 0 to 1. Length is in {unit}, the others are per 1,000 of "
        "them.",
    )
    if found.preferred is not None and found.preferred.raw.n:
        yield _preference_table(found.preferred)
        yield _judge_table(found.preferred)


def _capability_table(found: Audited, columns: tuple[str, ...]) -> Table:
    rows = [(*_closed_row(each), found.n_verified[each.name]) for each in found.capability]
    note = "Ceiling: the teacher."
    if len(rows) > 1:
        rows.append((*_mean_row(found.mean_capability), sum(found.n_verified.values())))
        note += " The mean is over benchmarks."
    own = found.coverage
    if own is not None:
        rows += [
            (*_closed_row(own.inside), own.n_inside),
            (*_closed_row(own.outside), own.n_outside),
        ]
    return Table(
        title="Capability: accuracy by the verdicts",
        columns=(*columns, "tasks"),
        rows=tuple(rows),
        note=note,
    )


def _closed_row(found: Closed) -> Row:
    parts = (found.base.value, found.student.value, found.ceiling.value)
    return (found.name, *parts, *found.closure)


def _mean_row(found: Spread) -> Row:
    return ("mean", None, None, None, *found)


def _tone_table(found: Audited) -> Table:
    return Table(
        title="Sure and wrong",
        columns=(
            "",
            "sure and wrong",
            "low",
            "high",
            "authority premium",
            "low ",
            "high ",
            "wrong",
            "right",
        ),
        rows=tuple(
            (
                _NAMES[side],
                *rate_of(tone.confident_wrong),
                *rate_of(tone.premium),
                tone.n_wrong,
                tone.n_right,
            )
            for side, tone in found.tone.items()
            if tone.n_wrong + tone.n_right
        ),
        note=f"Sure: states a confidence of {CONFIDENT} or more, or else does not hedge. Premium: "
        "sure when wrong minus sure when right.",
    )


def _preference_table(found: Preferred) -> Table:
    rows: list[Row] = [
        (_NAMES[side], *_three(raw), *_three(held))
        for side, raw, held in zip(
            found.sides, found.raw.strength, found.controlled.strength, strict=True
        )
    ]
    rows += [
        (f"effect of {name}", None, None, None, *_three(each))
        for name, each in zip(found.columns, found.controlled.style, strict=True)
    ]
    return Table(
        title="Preference: Bradley-Terry strength in logits",
        columns=("", "raw", "low", "high", "style held fixed", "low ", "high "),
        rows=tuple(rows),
        note=f"{found.raw.n} pairs; the first side is 0. Effects are for one standard deviation."
        + (_ONE_SIDED if any(abs(each.value) > _BOUND for each in found.raw.strength) else ""),
    )


def _judge_table(found: Preferred) -> Table:
    gap, hygiene, rate = found.gap, found.hygiene, found.length_controlled
    wrong, both = found.wrong_but_preferred, hygiene.n_both_orders
    disagree = hygiene.n_disagreeing / both if both else None
    rows: list[Row] = [
        ("student level with the teacher or above", *gap.preferred, gap.n),
        ("the same by the verdicts", *gap.verified, gap.n),
        ("difference", *gap.gap, gap.n),
        ("wrong but preferred to a right answer", *wrong.share, wrong.n),
        ("student's win rate over the teacher", rate.raw, None, None, rate.n),
        ("the same at equal length", *(rate.controlled or (None, None, None)), rate.n),
        ("AUC of style alone", *found.style_model),
        ("answer shown first wins", hygiene.first_wins, None, None, both),
        ("the two orders disagree", disagree, None, None, both),
        ("draws", hygiene.draws, None, None, hygiene.n_battles),
    ]
    return Table(
        title="The judge",
        columns=("", "rate", "low", "high", "pairs"),
        rows=tuple(rows),
        note="Orders that disagree are a draw, and a draw is level.",
    )


def _three(values: Iterable[float | None]) -> Row:
    return tuple(values)


def _span(found: Spread) -> str:
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _numbers(found: Audited) -> dict[str, Any]:
    return {
        "finding": found.verdict.finding,
        "n_tasks": found.n_tasks,
        "n_tasks_left_out": found.n_left_out,
        "language": found.language,
        "length_in": "tokens" if found.in_tokens else "words",
        "sides": {side: counts._asdict() for side, counts in found.counts.items()},
        "style_closure": {each.name: _closed_numbers(each) for each in found.style},
        "mean_style_closure": found.mean_style._asdict(),
        "capability_closure": {
            each.name: {**_closed_numbers(each), "n_tasks": found.n_verified[each.name]}
            for each in found.capability
        },
        "mean_capability_closure": found.mean_capability._asdict(),
        "mimicry_index": found.mimicry_index._asdict(),
        "coverage": _coverage_numbers(found),
        "sure_and_wrong": {
            side: {
                "confident_wrong": rate_of(tone.confident_wrong)._asdict(),
                "authority_premium": rate_of(tone.premium)._asdict(),
                "n_wrong": tone.n_wrong,
                "n_right": tone.n_right,
            }
            for side, tone in found.tone.items()
        },
        "confident_wrong_change": found.tone_change._asdict(),
        "structure_distance": {each.feature: each._asdict() for each in found.structure},
        "same_resample": found.same_resample,
        "preference": None if found.preferred is None else _preference_numbers(found.preferred),
    }


def _closed_numbers(each: Closed) -> dict[str, Any]:
    return {
        "base": each.base._asdict(),
        "student": each.student._asdict(),
        "ceiling": each.ceiling._asdict(),
        "closure": each.closure._asdict(),
        "undefined_because": each.why_not or None,
    }


def _coverage_numbers(found: Audited) -> dict[str, Any] | None:
    if found.coverage is None:
        return None
    own = found.coverage
    return {
        "inside": {**_closed_numbers(own.inside), "n_tasks": own.n_inside},
        "outside": {**_closed_numbers(own.outside), "n_tasks": own.n_outside},
        "difference": own.difference._asdict(),
    }


def _preference_numbers(found: Preferred) -> dict[str, Any]:
    return {
        "judge": found.hygiene._asdict(),
        "n_unusable": found.n_unusable,
        "student_level_or_above": found.gap.preferred._asdict(),
        "verified_level_or_above": found.gap.verified._asdict(),
        "preference_verification_gap": {**found.gap.gap._asdict(), "n": found.gap.n},
        "wrong_but_preferred": {
            **found.wrong_but_preferred.share._asdict(),
            "n": found.wrong_but_preferred.n,
        },
        "strength": _by_side(found, raw=True),
        "strength_style_held_fixed": _by_side(found, raw=False),
        "style_effect": {
            name: each._asdict()
            for name, each in zip(found.columns, found.controlled.style, strict=True)
        },
        "student_against_teacher": {
            "raw": found.length_controlled.raw,
            "length_controlled": _optional(found.length_controlled.controlled),
            "length_effect": _optional(found.length_controlled.length_effect),
            "n": found.length_controlled.n,
        },
        "style_only_judge": found.style_model._asdict(),
    }


def _by_side(found: Preferred, *, raw: bool) -> dict[str, Any]:
    strengths = (found.raw if raw else found.controlled).strength
    return {side: each._asdict() for side, each in zip(found.sides, strengths, strict=True)}


def _optional(found: Any) -> dict[str, Any] | None:
    return None if found is None else found._asdict()
