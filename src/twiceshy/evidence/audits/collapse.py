"""`audit collapse`: has the policy stopped trying different things?

A *cohort* is what is compared: one policy, or one policy at one training step where the attempts
carry `step` (or `global_step`, `training_step`) in `extra`. The first cohort is the baseline.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from twiceshy.attempts.groups import group_attempts
from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.evidence.audits.variety import MAX_WORDS, Variety, variety_of
from twiceshy.evidence.audits.views import length_of, median
from twiceshy.evidence.report import Alarm, Report, Severity, Table
from twiceshy.evidence.stats import clustered_mean, paired_difference, sign_test

_STEP_KEYS = ("step", "global_step", "training_step")

SAME_WRONG = 0.8
"""Two failures at one task give the same answer this often."""
DUPLICATES = 0.2
"""Share of attempts that are copies of another at the same task."""
SAME_ANSWER_RISE = 0.1
"""Rise of the chance that two attempts agree, over the baseline; a sign test must agree."""
LENGTH_FALL, SURPRISAL_FALL, BIGRAM_FALL = 0.6, 0.5, 0.8
"""Ratios to the baseline below which length, surprisal and distinct bigrams count as fallen."""
SIGNS_FOR_ALARM = 3
"""One sign alone is a note: models also get terse for good reasons."""
_MIN_GROUPS = 10
"""Groups needed before a rate over groups may raise a sign."""


class _Sign(NamedTuple):
    """One sign of collapse."""

    name: str
    message: str
    value: float
    threshold: float


def audit_collapse(attempts: Iterable[Attempt], *, seed: int = 0) -> Report:
    """Report how varied answers, actions and words are within groups, and how that changes.

    The main measure is the chance that two attempts of a group give the same answer, which unlike
    the share of distinct answers does not depend on the group's size.
    Surprisal is the mean of −log-prob over sampled tokens in nats; for tokens drawn at temperature
    1 its expectation is the token entropy. Broken and unscored attempts are included: variety needs
    no verdict; only "same wrong answer" does.

    Args:
        attempts: Attempts, several a task and policy for most measures.
        seed: Recorded in the manifest; nothing here is random.
    """
    everything = tuple(attempts)
    in_tokens = bool(everything) and all(a.token_ids for a in everything)
    cohorts = _cohorts(everything)
    shapes = {
        name: {(g.task, g.policy): variety_of(g) for g in group_attempts(own)}
        for name, own in cohorts.items()
    }
    numbers: dict[str, Any] = {
        "n_attempts": len(everything),
        "n_tasks": len({a.task for a in everything}),
        "cohorts": {
            name: _cohort_numbers(own, shapes=list(shapes[name].values()), in_tokens=in_tokens)
            for name, own in cohorts.items()
        },
    }
    numbers["comparisons"] = _comparisons(numbers["cohorts"], shapes=shapes)
    signs = {name: _absolute_signs(own) for name, own in numbers["cohorts"].items()}
    for comparison in numbers["comparisons"]:
        signs[comparison["cohort"]] += _relative_signs(comparison)
    alarms = tuple(alarm for name, own in signs.items() for alarm in _alarms(name, own))
    return Report(
        kind="audit collapse",
        title="Variety and collapse",
        summary=_summary(numbers, signs=signs),
        numbers=numbers,
        tables=tuple(_tables(numbers)),
        alarms=alarms,
        ok=not any(alarm.severity == "alarm" for alarm in alarms),
        manifest={"seed": seed, "n_attempts": len(everything)},
    )


def _cohorts(attempts: Sequence[Attempt]) -> dict[str, list[Attempt]]:
    """Return attempts by policy and training step, steps in order, policies as first seen."""
    found: dict[tuple[str, float | None], list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        found[attempt.policy, _training_step(attempt)].append(attempt)
    seen = {policy: i for i, policy in enumerate(dict.fromkeys(a.policy for a in attempts))}
    order = sorted(found, key=lambda key: (seen[key[0]], -1.0 if key[1] is None else key[1]))
    return {
        policy if step is None else f"{policy} @ step {step:g}": found[policy, step]
        for policy, step in order
    }


def _training_step(attempt: Attempt) -> float | None:
    for key in _STEP_KEYS:
        value = attempt.extra.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    return None


def _cohort_numbers(
    attempts: Sequence[Attempt], *, shapes: Sequence[Variety], in_tokens: bool
) -> dict[str, Any]:
    several = [shape for shape in shapes if shape.n_answers >= 2]
    lengths = [length_of(attempt, in_tokens=in_tokens) for attempt in attempts]
    copies = sum(shape.n_copies for shape in shapes)
    return {
        "n_attempts": len(attempts),
        "n_groups": len(shapes),
        "n_groups_with_two_answers": len(several),
        "distinct_answers": _mean([float(shape.n_distinct) for shape in several]),
        "answers_per_group": _mean([float(shape.n_answers) for shape in several]),
        "distinct_ratio": _mean([shape.n_distinct / shape.n_answers for shape in several]),
        "answer_entropy_nats": _mean([s.entropy for s in several if s.entropy is not None]),
        "same_answer": _estimate([s.same_answer for s in shapes]),
        "same_wrong_answer": _estimate([s.same_wrong for s in shapes]),
        "same_calls": _estimate([s.same_calls for s in shapes]),
        "distinct_bigrams": _estimate([s.distinct_bigrams for s in shapes]),
        "copies": {"n": copies, "share": copies / len(attempts) if attempts else None},
        "surprisal_nats": _surprisal(attempts),
        "length": {
            "unit": "tokens" if in_tokens else "characters",
            "median": median(lengths),
            "median_success": median(_of(attempts, lengths, outcome=Outcome.SUCCESS)),
            "median_failure": median(_of(attempts, lengths, outcome=Outcome.FAILURE)),
            "n": len(lengths),
        },
    }


def _of(attempts: Sequence[Attempt], values: Sequence[int], *, outcome: Outcome) -> list[int]:
    return [v for a, v in zip(attempts, values, strict=True) if a.outcome is outcome]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _estimate(values: Iterable[float | None]) -> dict[str, float | int | None]:
    return clustered_mean([v for v in values if v is not None])._asdict()


def _surprisal(attempts: Sequence[Attempt]) -> dict[str, float | int | None]:
    """Return the mean over attempts of their mean −log-prob a token, clustered by task."""
    tasks: list[str] = []
    means: list[float] = []
    for attempt in attempts:
        logprobs = np.asarray(attempt.logprobs or (), dtype=float)
        finite = logprobs[np.isfinite(logprobs)]
        if finite.size:
            tasks.append(attempt.task)
            means.append(-float(finite.mean()))
    return clustered_mean(means, tasks)._asdict()


def _comparisons(
    cohorts: Mapping[str, Mapping[str, Any]],
    *,
    shapes: Mapping[str, Mapping[tuple[str, str], Variety]],
) -> list[dict[str, Any]]:
    """Return each later cohort beside the first, paired by task where a measure is by group."""
    if not cohorts:
        return []
    base, *later = cohorts
    ratio = partial(_ratio, cohorts, base)
    return [
        {
            "baseline": base,
            "cohort": name,
            "same_answer_change": _paired(shapes[base], shapes[name], of=lambda s: s.same_answer),
            "same_calls_change": _paired(shapes[base], shapes[name], of=lambda s: s.same_calls),
            "length_ratio": ratio(name, key=("length", "median")),
            "surprisal_ratio": ratio(name, key=("surprisal_nats", "value")),
            "bigram_ratio": ratio(name, key=("distinct_bigrams", "value")),
        }
        for name in later
    ]


def _paired(
    before: Mapping[tuple[str, str], Variety],
    after: Mapping[tuple[str, str], Variety],
    *,
    of: Callable[[Variety], float | None],
) -> dict[str, float | int | None]:
    first = {task: value for (task, _), s in before.items() if (value := of(s)) is not None}
    second = {task: value for (task, _), s in after.items() if (value := of(s)) is not None}
    tasks = [task for task in first if task in second]
    found = paired_difference([first[t] for t in tasks], [second[t] for t in tasks])
    return {
        "value": found.difference,
        "low": found.low,
        "high": found.high,
        "p_sign_test": sign_test([second[t] - first[t] for t in tasks]).p,
        "n_tasks": found.n_tasks,
    }


def _ratio(
    cohorts: Mapping[str, Mapping[str, Any]], base: str, name: str, *, key: tuple[str, str]
) -> float | None:
    first, second = (cohorts[which][key[0]][key[1]] for which in (base, name))
    return second / first if first and second is not None else None


def _absolute_signs(own: Mapping[str, Any]) -> list[_Sign]:
    signs: list[_Sign] = []
    wrong, copies = own["same_wrong_answer"], own["copies"]
    if wrong["n"] >= _MIN_GROUPS and wrong["value"] >= SAME_WRONG:
        message = f"two failures at a task give the same answer {wrong['value']:.0%} of the time"
        signs.append(_Sign("same wrong answer", message, wrong["value"], SAME_WRONG))
    if own["n_groups"] >= _MIN_GROUPS and copies["share"] >= DUPLICATES:
        message = f"{copies['n']} of {own['n_attempts']} attempts are copies of another at the task"
        signs.append(_Sign("copies", message, copies["share"], DUPLICATES))
    return signs


def _relative_signs(comparison: Mapping[str, Any]) -> list[_Sign]:
    base = comparison["baseline"]
    signs: list[_Sign] = []
    change = comparison["same_answer_change"]
    if (
        _is_unlikely(change["p_sign_test"])
        and change["n_tasks"] >= _MIN_GROUPS
        and change["value"] >= SAME_ANSWER_RISE
    ):
        message = f"attempts agree more than under {base}, by {change['value']:+.3f}"
        signs.append(_Sign("agreement rose", message, change["value"], SAME_ANSWER_RISE))
    for name, key, limit in (
        ("length fell", "length_ratio", LENGTH_FALL),
        ("surprisal fell", "surprisal_ratio", SURPRISAL_FALL),
        ("distinct bigrams fell", "bigram_ratio", BIGRAM_FALL),
    ):
        ratio = comparison[key]
        if ratio is not None and ratio < limit:
            message = f"{name} to {ratio:.2f} times that of {base}"
            signs.append(_Sign(name, message, ratio, limit))
    return signs


def _is_unlikely(p: float | None) -> bool:
    return p is not None and p <= 0.05


def _alarms(cohort: str, signs: Sequence[_Sign]) -> list[Alarm]:
    severity: Severity = "alarm" if len(signs) >= SIGNS_FOR_ALARM else "warning"
    return [
        Alarm(
            name=sign.name,
            severity=severity,
            message=f"{cohort}: {sign.message} (threshold {sign.threshold:g}).",
            value=sign.value,
            threshold=sign.threshold,
            source=f"ours; {SIGNS_FOR_ALARM} signs together make an alarm",
        )
        for sign in signs
    ]


def _summary(
    numbers: Mapping[str, Any], *, signs: Mapping[str, Sequence[_Sign]]
) -> tuple[str, ...]:
    if numbers["n_attempts"] == 0:
        return ("No attempts, so nothing can be said about variety (n = 0).",)
    if not any(_is_measured(own) for own in numbers["cohorts"].values()):
        lines = ["Collapse cannot be judged: no group has two attempts to compare (n = 0)."]
    else:
        lines = [_verdict(signs)]
    told: dict[str, list[str]] = {}
    for name, own in numbers["cohorts"].items():
        told.setdefault(_cohort_line(own), []).append(name)
    lines += [f"{', '.join(names)}: {line}" for line, names in told.items()]
    return tuple(lines[:5])


def _is_measured(own: Mapping[str, Any]) -> bool:
    return any(own[key]["n"] for key in ("same_answer", "same_calls", "distinct_bigrams"))


def _verdict(signs: Mapping[str, Sequence[_Sign]]) -> str:
    worst = max(signs, key=lambda name: len(signs[name]))
    n = len(signs[worst])
    if n == 0:
        return "No sign of collapse."
    if n < SIGNS_FOR_ALARM:
        return f"{n} of {SIGNS_FOR_ALARM} signs that would make an alarm, in {worst}."
    return f"{worst} has collapsed: {n} signs together."


def _cohort_line(own: Mapping[str, Any]) -> str:
    same, calls = own["same_answer"], own["same_calls"]
    if same["value"] is not None:
        return (
            f"two attempts at a task agree on the answer with chance {same['value']:.3f} "
            f"(n = {same['n']} groups with two answers or more)."
        )
    line = "no group has two marked answers, so their agreement is undefined (n = 0)."
    if calls["value"] is None:
        return line
    return (
        f"{line} Two attempts make the same calls with chance {calls['value']:.3f} "
        f"(n = {calls['n']} groups)."
    )


def _tables(numbers: Mapping[str, Any]) -> list[Table]:
    cohorts = numbers["cohorts"]
    tables = [_variety_table(cohorts), _output_table(cohorts)]
    if numbers["comparisons"]:
        tables.append(_comparison_table(numbers["comparisons"]))
    return tables


def _variety_table(cohorts: Mapping[str, Mapping[str, Any]]) -> Table:
    return Table(
        title="Answers within a group",
        columns=("cohort", "groups", "distinct", "of", "entropy", "same", "same wrong", "n wrong"),
        rows=tuple(
            (
                name,
                own["n_groups_with_two_answers"],
                own["distinct_answers"],
                own["answers_per_group"],
                own["answer_entropy_nats"],
                own["same_answer"]["value"],
                own["same_wrong_answer"]["value"],
                own["same_wrong_answer"]["n"],
            )
            for name, own in cohorts.items()
        ),
        note="Groups with at least two marked answers. same: chance that two attempts agree; "
        "same wrong: that two failures do, over n wrong groups. Entropy in nats.",
    )


def _output_table(cohorts: Mapping[str, Mapping[str, Any]]) -> Table:
    unit = next((own["length"]["unit"] for own in cohorts.values()), "characters")
    return Table(
        title="Actions and words",
        columns=(
            "cohort",
            "attempts",
            "copies",
            "same calls",
            "distinct bigrams",
            "surprisal",
            f"median {unit}",
            "in successes",
            "in failures",
        ),
        rows=tuple(
            (
                name,
                own["n_attempts"],
                own["copies"]["n"],
                own["same_calls"]["value"],
                own["distinct_bigrams"]["value"],
                own["surprisal_nats"]["value"],
                own["length"]["median"],
                own["length"]["median_success"],
                own["length"]["median_failure"],
            )
            for name, own in cohorts.items()
        ),
        note="Surprisal: mean −log-prob a token in nats, where the log has log-probs. Distinct "
        f"bigrams: over the first {MAX_WORDS} words of each attempt of a group.",
    )


def _comparison_table(comparisons: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        title="Change from the first cohort",
        columns=("cohort", "same answer", "low", "high", "tasks", "length ×", "surprisal ×"),
        rows=tuple(
            (
                one["cohort"],
                one["same_answer_change"]["value"],
                one["same_answer_change"]["low"],
                one["same_answer_change"]["high"],
                one["same_answer_change"]["n_tasks"],
                one["length_ratio"],
                one["surprisal_ratio"],
            )
            for one in comparisons
        ),
        note="Same answer: change in the chance that two attempts agree, paired by task.",
    )
