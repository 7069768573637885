"""Before training or export: do these traces sound surer than the student does when it is right?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from twiceshy.attempts import Attempt, Outcome
from twiceshy.attempts.lexicons import FUNCTIONS, Lexicon, MarkerFunction
from twiceshy.attempts.markers import language_of
from twiceshy.attempts.markers import lexicon as lexicon_of
from twiceshy.attempts.texts import own_text
from twiceshy.distillation.check.comparing import (
    FEWEST_EVENTS,
    UNMEASURED,
    Numbers,
    density_ratio,
    mean_of,
    share,
    unpaired_ratio,
    with_enough,
)
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
    MIN_TASKS,
    Signal,
)
from twiceshy.evidence.report import Alarm, Report, Severity, Table
from twiceshy.evidence.stats import Estimate

SIGNALS_TO_REFUSE = 2
_SHOWN = 10
DENSITY, SELECTION = "marker density", "marker density over all tasks"
_EASIER = " The traces are from tasks at which it doubts less."


def check_traces(
    candidates: Iterable[Attempt],
    own: Iterable[Attempt],
    *,
    language: str | Lexicon | None = None,
    seed: int = 0,
) -> Report:
    """Compare a teacher's traces with the student's own unguided right traces, task by task.

    Three signals, each a ratio with an interval over tasks: markers of doubt a word (or token),
    length, and forks (positions of high entropy, where the log has entropies). Two clear ones
    refuse; one warns, except that length alone is only noted: shorter traces lose nothing by
    themselves (NoWait, 2506.08343; OPSDC, 2603.05433).

    A fourth only warns: the marker density over all traces, at whatever tasks, where the student
    has right traces at other tasks too. Right traces at tasks that ask for no search look as they
    should task by task, and in `experiments/teacher-context` a student of them lost its search.

    Source: Kim et al. (2603.24472), where correct traces written under the full solution had 0.14
    times the length and 0.34 times the marker density, and students of such traces fell from 54.8
    to 20.2 on AIME24. Differs: densities beside counts, whole words, by function, paired by task.

    Args:
        candidates: Traces to learn from; only successes are compared, the others are counted.
        own: The student's attempts without help, at the same tasks and, for the fourth signal, at
            others of the kind; again the successes.
        language: Of the traces, or a lexicon; None tells it from the words.
        seed: Of the bootstrap.

    Returns:
        A report; `ok` is False where the traces are refused.

    Raises:
        BadInput: If a lexicon was asked for that does not exist.
    """
    all_candidates, all_own = list(candidates), list(own)
    lexicon = _lexicon(language, all_own + all_candidates)
    right = [
        [x for x in each if x.outcome is Outcome.SUCCESS] for each in (all_own, all_candidates)
    ]
    in_tokens = have_tokens(*right)
    before, after = (traces_of(each, lexicon=lexicon, in_tokens=in_tokens) for each in right)
    threshold = fork_threshold(right[0])
    signals = _signals(before, after, threshold=threshold, seed=seed)
    flagged = surer_than_own(after, before)
    numbers = {
        "n_candidates": len(all_candidates),
        "n_candidates_right": len(after),
        "n_candidates_empty": sum(trace.length == 0 for trace in after),
        "n_own_right": len(before),
        "n_tasks_both": len(set(by_task(before)) & set(by_task(after))),
        "language": None if lexicon is None else lexicon.language,
        "unit": "tokens" if in_tokens else "words",
        "fork_threshold_nats": threshold,
        "signals": {signal.name: signal.value._asdict() for signal in signals},
        "flagged": [trace.attempt.id for trace in flagged],
    }
    alarms = _alarms(signals)
    return Report(
        kind="distillation check",
        title="Traces to learn from, beside the student's own",
        summary=_summary(numbers, alarms),
        numbers=numbers,
        tables=tuple(_tables(before, after, signals=signals, flagged=flagged, numbers=numbers)),
        alarms=alarms,
        ok=not any(alarm.severity == "alarm" for alarm in alarms),
        manifest={"seed": seed},
    )


def surer_than_own(candidates: Sequence[Trace], own: Sequence[Trace]) -> list[Trace]:
    """Return traces that are shorter *and* less marked than every own right trace at their task.

    A task without own right traces flags nothing: there is nothing to compare with.
    """
    known = by_task(own)
    return [trace for trace in candidates if _is_surer(trace, known.get(trace.attempt.task, []))]


def _is_surer(trace: Trace, own: Sequence[Trace]) -> bool:
    densities = [d for each in own if (d := _density(each)) is not None]
    density = _density(trace)
    if not own or density is None or len(densities) < len(own):
        return False
    return density < min(densities) and trace.length < min(each.length for each in own)


def _density(trace: Trace) -> float | None:
    count = trace.n_of(None)
    return count / trace.length if count is not None and trace.length else None


def _lexicon(language: str | Lexicon | None, attempts: Sequence[Attempt]) -> Lexicon | None:
    told = language or language_of(own_text(attempt) for attempt in attempts)
    return None if told is None else lexicon_of(told)


def _signals(
    before: Sequence[Trace], after: Sequence[Trace], *, threshold: float | None, seed: int
) -> tuple[Signal, ...]:
    def ratio(of: Numbers) -> Estimate:
        return density_ratio(by_task(before), by_task(after), of=of, seed=seed)

    forks = UNMEASURED if threshold is None else ratio(lambda x: (x.forks(threshold), x.length))
    return (
        Signal(DENSITY, ratio(lambda x: (x.n_of(None), x.length)), DENSITY_FALL),
        Signal("length", ratio(lambda x: (x.length, 1)), LENGTH_FALL),
        Signal("fork rate", forks, FORK_FALL),
        Signal(
            SELECTION,
            _selection(before, after, seed=seed),
            DENSITY_FALL,
        ),
    )


def _selection(before: Sequence[Trace], after: Sequence[Trace], *, seed: int) -> Estimate:
    """Of all traces, paired or not; undefined where the student has tried no other tasks."""
    own, other = by_task(before), by_task(after)
    if len(own.keys() - other.keys()) < MIN_TASKS or len(other) < MIN_TASKS:
        return UNMEASURED
    sides = [
        [mean_of(each, lambda x: (x.n_of(None), x.length)) for each in side.values()]
        for side in (own, other)
    ]
    n_markers = sum(trace.n_of(None) or 0 for trace in before)
    return with_enough(unpaired_ratio(*sides, seed=seed), n_events=n_markers)


def _alarms(signals: Sequence[Signal]) -> tuple[Alarm, ...]:
    clear = [each for each in signals if each.state == "fell" and each.value.n >= MIN_TASKS]
    if any(signal.name == DENSITY for signal in clear):  # surer at the same tasks says more
        clear = [signal for signal in clear if signal.name != SELECTION]
    refused = sum(signal.name != SELECTION for signal in clear) >= SIGNALS_TO_REFUSE
    return tuple(
        Alarm(
            name=f"{signal.name} fell",
            severity=_severity(signal, refused=refused),
            message=(
                f"{signal.name} is {signal.value.value:.2f} [{signal.value.low:.2f}, "
                f"{signal.value.high:.2f}] times that of the student's own right traces "
                f"({signal.value.n} tasks; threshold {signal.threshold:g})."
                + (_EASIER if signal.name == SELECTION else "")
            ),
            value=signal.value.value,
            threshold=signal.threshold,
            source=f"ours, after 2603.24472; {SIGNALS_TO_REFUSE} clear signals refuse",
        )
        for signal in clear
    )


def _severity(signal: Signal, *, refused: bool) -> Severity:
    if signal.name == SELECTION:
        return "warning"
    return "alarm" if refused else "info" if signal.name == "length" else "warning"


def _summary(numbers: Mapping[str, Any], alarms: Sequence[Alarm]) -> tuple[str, ...]:
    if not numbers["n_tasks_both"]:
        return (
            "The traces cannot be compared: no task has a right trace of the teacher and a right "
            "trace of the student's own (n = 0).",
        )
    lines = [_verdict(alarms)]
    lines.append(
        f"{numbers['n_candidates_right']} right of {numbers['n_candidates']} traces, beside "
        f"{numbers['n_own_right']} own right traces; {numbers['n_tasks_both']} tasks have both."
    )
    if numbers["n_tasks_both"] < MIN_TASKS:
        lines.append(f"Fewer than {MIN_TASKS} tasks have both, so nothing is refused.")
    if _is_too_rare(numbers["signals"][DENSITY]):
        lines.append(
            f"The student's own right traces hold fewer than {FEWEST_EVENTS} markers at these "
            "tasks: their density is shown and not judged."
        )
    if numbers["language"] is None:
        lines.append("No lexicon fits the language, so markers are not measured.")
    if numbers["fork_threshold_nats"] is None:
        lines.append(
            'No entropies are logged (extra "token_entropies"), so forks are not measured.'
        )
    return tuple(lines)


def _is_too_rare(density: Mapping[str, Any]) -> bool:
    return density["n"] > 1 and density["high"] is None


def _verdict(alarms: Sequence[Alarm]) -> str:
    if any(alarm.severity == "alarm" for alarm in alarms):
        return "Refused: these traces are surer than the student is when it is right."
    if any(alarm.severity == "warning" for alarm in alarms):
        if all(alarm.name == f"{SELECTION} fell" for alarm in alarms):
            return "These traces doubt less than the student does: they are from easier tasks."
        return "One signal that these traces are surer than the student's own."
    return "No sign that these traces are surer than the student's own."


def _tables(
    before: Sequence[Trace],
    after: Sequence[Trace],
    *,
    signals: Sequence[Signal],
    flagged: Sequence[Trace],
    numbers: Mapping[str, Any],
) -> list[Table]:
    unit = numbers["unit"]
    rows = [
        (s.name, s.value.value, s.value.low, s.value.high, s.value.n, s.threshold) for s in signals
    ]
    tables = [
        Table(
            title="Ratio to the student's own right traces",
            columns=("signal", "ratio", "low", "high", "tasks", "threshold"),
            rows=tuple(rows),
        ),
        Table(
            title=f"Markers a thousand {unit}",
            columns=("function", "own", "candidates"),
            rows=tuple(_marker_rows(before, after)),
            note="All right traces, not only those at tasks that have both.",
        ),
    ]
    if flagged:
        tables.append(
            Table(
                title="Shorter and less marked than every own right trace at the task",
                columns=("attempt", "task", unit, "markers"),
                rows=tuple(
                    (x.attempt.id, x.attempt.task, x.length, x.n_of(None)) for x in flagged[:_SHOWN]
                ),
                note=f"{len(flagged)} of {len(after)} traces; at most {_SHOWN} are shown.",
            )
        )
    return tables


def _marker_rows(
    before: Sequence[Trace], after: Sequence[Trace]
) -> list[tuple[str, float | None, float | None]]:
    rows: list[tuple[str, float | None, float | None]] = []
    names: tuple[MarkerFunction | None, ...] = (*FUNCTIONS, None)
    for name in names:
        count = partial(_count, category=name)
        own, other = (share(traces, of=count) for traces in (before, after))
        rows.append((name or "all", _thousand(own), _thousand(other)))
    return rows


def _count(trace: Trace, *, category: MarkerFunction | None) -> tuple[int | None, int]:
    return trace.n_of(category), trace.length


def _thousand(value: float | None) -> float | None:
    return None if value is None else 1000 * value
