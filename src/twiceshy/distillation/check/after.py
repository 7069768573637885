"""After training: has the student lost its doubt together with its skill elsewhere?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np

from twiceshy.attempts import Attempt, Outcome
from twiceshy.attempts.lexicons import Lexicon
from twiceshy.attempts.markers import language_of
from twiceshy.attempts.markers import lexicon as lexicon_of
from twiceshy.attempts.texts import own_text
from twiceshy.distillation.check.comparing import Numbers, density_ratio
from twiceshy.distillation.check.features import (
    Trace,
    by_task,
    fork_threshold,
    have_tokens,
    traces_of,
)
from twiceshy.distillation.check.signals import (
    DENSITY_FALL,
    FORK_FALL,
    LENGTH_FALL,
    SIGNALS_FOR_ALARM,
    Signal,
)
from twiceshy.evidence.report import Report, Severity, Table
from twiceshy.evidence.stats import Estimate, paired_difference

CONFIDENT_WRONG_RISE = 0.05
"""Rise of the share of attempts that are wrong without a hedge, in probability."""

_Of = Callable[[Trace], float | None]


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts of the base and of the trained student, on the same tasks."""

    base: tuple[Attempt, ...]
    """On tasks like those trained on."""
    student: tuple[Attempt, ...]
    base_elsewhere: tuple[Attempt, ...]
    """On other tasks: harder, or out of the training's distribution."""
    student_elsewhere: tuple[Attempt, ...]


def collapse_alarm(
    policies: Policies, *, language: str | Lexicon | None = None, seed: int = 0
) -> Report:
    """Report five signals of lost doubt; three together make an alarm, one alone a note.

    1. length, ratio to the base below 0.6
    2. marker density on wrong attempts elsewhere, ratio below 0.7
    3. fork rate, ratio below 0.8, the threshold of a fork frozen from the base
    4. confident-wrong rate elsewhere (wrong and without a hedge), up by more than 0.05
    5. accuracy elsewhere, difference below 0

    Each counts when its whole interval over tasks lies beyond the threshold. Measured signals are
    counted beside, since an alarm that could not have sounded says nothing.

    Source: proposed from Kim et al. (2603.24472) and its counter-evidence (NoWait, OPSDC), which
    shorten traces without loss; thresholds are ours.

    Args:
        policies: Attempts of both, on both kinds of tasks.
        language: As in `check_traces`.
        seed: Of the bootstraps.
    """
    signals = _signals(policies, language=language, seed=seed)
    fell = [signal for signal in signals if signal.state == "fell"]
    measured = [signal for signal in signals if signal.state != "not measured"]
    severity: Severity = "alarm" if len(fell) >= SIGNALS_FOR_ALARM else "info"
    return Report(
        kind="distillation alarm",
        title="Doubt and skill after training",
        summary=_summary(fell, measured, n_signals=len(signals)),
        numbers={
            "signals": {s.name: {**s.value._asdict(), "state": s.state} for s in signals},
            "n_fell": len(fell),
            "n_measured": len(measured),
            "n_needed": SIGNALS_FOR_ALARM,
        },
        tables=(_table(signals),),
        alarms=tuple(signal.alarm(severity) for signal in fell),
        ok=severity != "alarm",
        manifest={"seed": seed},
    )


def _signals(
    policies: Policies, *, language: str | Lexicon | None, seed: int
) -> tuple[Signal, ...]:
    parts = tuple(_scored(each) for each in msgspec.structs.astuple(policies))
    base, student, base_else, student_else = parts
    told = language or language_of(own_text(attempt) for each in parts for attempt in each)
    lexicon = None if told is None else lexicon_of(told)
    in_tokens = have_tokens(*parts)
    home = [traces_of(each, lexicon=lexicon, in_tokens=in_tokens) for each in (base, student)]
    away = [traces_of(x, lexicon=lexicon, in_tokens=in_tokens) for x in (base_else, student_else)]
    wrong = [[x for x in each if x.attempt.outcome is Outcome.FAILURE] for each in away]
    fork = fork_threshold(base)

    def ratio(pair: Sequence[Sequence[Trace]], count: Numbers) -> Estimate:
        return density_ratio(by_task(pair[0]), by_task(pair[1]), of=count, seed=seed)

    return (
        Signal("length", ratio(home, lambda x: (x.length, 1)), LENGTH_FALL),
        Signal(
            "marker density of wrong attempts elsewhere",
            ratio(wrong, lambda x: (x.n_of(None), x.length)),
            DENSITY_FALL,
        ),
        Signal("fork rate", ratio(home, lambda x: (x.forks(fork), x.length)), FORK_FALL),
        Signal(
            "confident-wrong rate elsewhere",
            _paired(away, _is_confident_wrong),
            CONFIDENT_WRONG_RISE,
            "difference",
            rises=True,
        ),
        Signal("accuracy elsewhere", _paired(away, _is_right), 0.0, "difference"),
    )


def _scored(attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    return tuple(attempt for attempt in attempts if attempt.outcome.is_scored)


def _is_right(trace: Trace) -> float | None:
    return float(trace.attempt.outcome is Outcome.SUCCESS)


def _is_confident_wrong(trace: Trace) -> float | None:
    if trace.markers is None:
        return None
    return float(trace.attempt.outcome is Outcome.FAILURE and not trace.markers.is_hedged)


def _paired(pair: Sequence[Sequence[Trace]], of: _Of) -> Estimate:
    before, after = (by_task(each) for each in pair)
    rows = [(_mean(before[task], of), _mean(after[task], of)) for task in before if task in after]
    first, second = zip(*rows, strict=True) if rows else ((), ())
    found = paired_difference(np.array(first, dtype=float), np.array(second, dtype=float))
    return Estimate(found.difference, found.low, found.high, found.n_tasks)


def _mean(traces: Sequence[Trace], of: _Of) -> float:
    values = [value for trace in traces if (value := of(trace)) is not None]
    return float(np.mean(values)) if len(values) == len(traces) else float("nan")


def _summary(
    fell: Sequence[Signal], measured: Sequence[Signal], *, n_signals: int
) -> tuple[str, ...]:
    count = f"{len(fell)} of {len(measured)} measured signals ({n_signals} in all)"
    if len(measured) < SIGNALS_FOR_ALARM:
        line = f"The alarm could not have sounded: it needs {SIGNALS_FOR_ALARM} signals; {count}."
    elif len(fell) >= SIGNALS_FOR_ALARM:
        line = f"Alarm: doubt and skill fell together, {count}."
    elif fell:
        line = f"No alarm, but a note: {count}."
    else:
        line = f"No sign of collapse: {count}."
    return (line, *(f"Beyond its threshold: {signal.name}." for signal in fell))


def _table(signals: Sequence[Signal]) -> Table:
    return Table(
        title="Signals",
        columns=("signal", "unit", "value", "low", "high", "tasks", "threshold", "state"),
        rows=tuple((s.name, s.unit, *s.value, s.threshold, s.state) for s in signals),
        note="By task, student beside base. Fell: the whole interval lies beyond the threshold.",
    )
