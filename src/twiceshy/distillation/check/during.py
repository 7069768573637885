"""While training: the student's own texts, batch by batch, beside a frozen base.

    watch = Watch(n_base=4)
    for traces in batches:                     # of `features.Trace`, lengths in tokens
        seen = watch.see(traces)
        seen.metrics, seen.alarms

Without verdicts three signals can be told: length, marker density, fork rate. The other two of
`collapse_alarm` (wrong without a hedge, accuracy elsewhere) need judged attempts on other tasks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from twiceshy.attempts.lexicons import FUNCTIONS, Category, Lexicon
from twiceshy.attempts.markers import Markers, count_markers, language_of
from twiceshy.attempts.markers import lexicon as lexicon_of
from twiceshy.attempts.texts import own_text
from twiceshy.distillation.check.comparing import (
    FEWEST_EVENTS,
    Pair,
    mean_of,
    unpaired_ratio,
    with_enough,
)
from twiceshy.distillation.check.features import Trace, fork_level
from twiceshy.distillation.check.signals import (
    DENSITY_FALL,
    FORK_FALL,
    LENGTH_FALL,
    MIN_TASKS,
    SIGNALS_FOR_ALARM,
    Signal,
)
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm, Severity
from twiceshy.evidence.stats import Estimate

Metrics = dict[str, float | None]
"""None: undefined."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one text."""

    task: str
    length: int
    """In tokens, the end token included; of a text that was cut, the tokens before the cut."""
    counts: dict[Category, int] | None
    """Markers by category; None without a lexicon."""
    n_forks: int | None
    """Positions above the base's threshold; None without entropies, or before there is a base."""
    entropy: float | None
    """Sum over positions, nats."""
    n_positions: int
    """With an entropy."""
    is_empty: bool
    is_cut: bool

    @property
    def n_markers(self) -> int | None:
        """Markers of all five functions."""
        return None if self.counts is None else Markers(self.counts, 0).total


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What later batches are compared with."""

    samples: tuple[Sample, ...]
    lexicon: Lexicon | None
    """None where no lexicon fits the texts: markers are not measured then."""
    fork_threshold: float | None
    """Nats; None without entropies."""


class Seen(NamedTuple):
    """What one batch showed."""

    metrics: Metrics
    alarms: tuple[Alarm, ...]


def base_of(traces: Sequence[Trace], *, language: str | Lexicon | None = None) -> Base:
    """Freeze what later batches are compared with.

    Args:
        traces: Of the base model. Their markers are counted here.
        language: Of the texts, or a lexicon; None tells it from the words.

    Raises:
        BadInput: If there is no trace, or no lexicon of the language asked for.
    """
    if not traces:
        raise BadInput("at least one attempt of the base", got="none", where="base")
    told = language or language_of(own_text(trace.attempt) for trace in traces)
    lexicon = None if told is None else lexicon_of(told)
    threshold = fork_level([x.entropies for x in traces if x.entropies is not None])
    samples = tuple(_sample(x, lexicon=lexicon, threshold=threshold) for x in traces)
    return Base(samples=samples, lexicon=lexicon, fork_threshold=threshold)


class Watch:
    """Compares the batches of a training with a base that stays as it is.

    Each batch is described by itself. Signals compare the last `window` batches with the base:
    ratios with intervals over tasks, which need not be the same on both sides. A signal counts
    when its whole interval lies beyond the threshold, with at least `MIN_TASKS` tasks on each
    side and `FEWEST_EVENTS` events in the base; one is a note, two are a warning, three an alarm.

    Source: as `collapse_alarm`. Differs: unpaired, and markers of all texts, since nobody judged
    them. An interval holds for one look, and there is one a batch.

    Args:
        base: Of the base model; None freezes the first `n_base` batches that have a text in them.
        n_base: Those batches. All but the first may come from a student that has moved a little.
        window: Batches that are compared with the base.
        language: As in `base_of`; the base's own where one is given.
        seed: Of the bootstraps.

    Example:
        >>> from twiceshy.attempts import Attempt, Outcome, Verdict
        >>> verdict = Verdict(outcome=Outcome.UNSCORED)
        >>> said = [Attempt(task=i, answer="wait, maybe 4", verdict=verdict) for i in "0123456789"]
        >>> watch = Watch(n_base=1, language="en")
        >>> watch.see([Trace(each, 40, None, None) for each in said]).metrics["markers"]
        50.0
        >>> seen = watch.see([Trace(each, 10, None, None) for each in said])
        >>> seen.metrics["length_ratio"], [(each.name, each.severity) for each in seen.alarms]
        (0.25, [('no entropies', 'info'), ('length', 'info')])
    """

    def __init__(
        self,
        *,
        base: Base | None = None,
        n_base: int = 4,
        window: int = 4,
        language: str | Lexicon | None = None,
        seed: int = 0,
    ) -> None:
        if min(n_base, window) < 1:
            raise BadInput("n_base and window of at least 1", got=f"{n_base}, {window}")
        self.base, self.n_base, self.seed = base, n_base, seed
        self.language = None if language is None else lexicon_of(language)
        self._first: list[list[Trace]] = []
        self._recent: deque[list[Sample]] = deque(maxlen=window)

    def see(self, traces: Sequence[Trace]) -> Seen:
        """Describe a batch and compare; a batch with nothing in it changes nothing."""
        if not traces:
            return Seen(described(()), ())
        if self.base is None:
            return self._begin(list(traces))
        notes = () if self._recent else unmeasured(self.base)
        self._recent.append(_counted(traces, base=self.base))
        signals = self._signals(self.base)
        fell = [signal for signal in signals if signal.state == "fell"]
        severity = _severity(len(fell))
        compared = _numbers(signals, fell=len(fell)) | {
            "n_tasks_base": float(len(_by_task(self.base.samples))),
            "n_tasks_window": float(len(_by_task(self._window()))),
        }
        alarms = (*notes, *(signal.alarm(severity) for signal in fell))
        return Seen(described(self._recent[-1]) | compared, alarms)

    def _begin(self, traces: list[Trace]) -> Seen:
        self._first.append(traces)
        every = [trace for each in self._first for trace in each]
        told = self.language or language_of(own_text(trace.attempt) for trace in every)
        if len(self._first) < self.n_base:
            lexicon = None if told is None else lexicon_of(told)
            early = Base(samples=(), lexicon=lexicon, fork_threshold=None)
            return Seen(described(_counted(traces, base=early)), ())
        self.base = base_of(every, language=told)
        self._first.clear()
        return Seen(described(_counted(traces, base=self.base)), ())

    def _window(self) -> list[Sample]:
        return [sample for each in self._recent for sample in each]

    def _signals(self, base: Base) -> tuple[Signal, ...]:
        sides = (_by_task(base.samples), _by_task(self._window()))

        def ratio(of: Callable[[Sample], Pair]) -> Estimate:
            before, after = ([mean_of(each, of) for each in side.values()] for side in sides)
            found = unpaired_ratio(before, after, seed=self.seed)
            n_events = sum(of(sample)[0] or 0 for sample in base.samples)
            n_tasks = min(len(before), len(after))
            return with_enough(found, n_events=n_events if n_tasks >= MIN_TASKS else 0)

        return (
            Signal("length", ratio(lambda x: (x.length, 1)), LENGTH_FALL),
            Signal("marker density", ratio(lambda x: (x.n_markers, x.length)), DENSITY_FALL),
            Signal("fork rate", ratio(lambda x: (x.n_forks, x.n_positions)), FORK_FALL),
        )


def described(samples: Sequence[Sample]) -> Metrics:
    """Return what can be said of one batch by itself; densities are for a thousand tokens."""
    lengths = [sample.length for sample in samples]
    names: tuple[Category, ...] = FUNCTIONS
    return {
        "n": float(len(samples)),
        "n_tasks": float(len(_by_task(samples))),
        "n_empty": float(sum(sample.is_empty for sample in samples)),
        "n_cut": float(sum(sample.is_cut for sample in samples)),
        "length": float(np.mean(lengths)) if lengths else None,
        "median_length": float(np.median(lengths)) if lengths else None,
        "markers": _share(((x.n_markers, x.length) for x in samples), times=1000),
        **{
            f"markers/{name}": _share(
                ((None if x.counts is None else x.counts.get(name), x.length) for x in samples),
                times=1000,
            )
            for name in names
        },
        "forks": _share((x.n_forks, x.n_positions) for x in samples),
        "entropy": _share((x.entropy, x.n_positions) for x in samples),
    }


def unmeasured(base: Base) -> tuple[Alarm, ...]:
    """Return what the base lacks, as notes: signals that cannot be measured against it."""
    lacks: dict[str, str] = {}
    if base.lexicon is None:
        lacks["no lexicon"] = "No lexicon fits the language of the base: no markers are counted."
    elif (n := sum(sample.n_markers or 0 for sample in base.samples)) < FEWEST_EVENTS:
        lacks["few markers"] = f"The base has {n} markers; below {FEWEST_EVENTS} none are judged."
    if base.fork_threshold is None:
        lacks["no entropies"] = "The base has no entropies, so forks are not counted."
    elif (n := sum(sample.n_forks or 0 for sample in base.samples)) < FEWEST_EVENTS:
        lacks["few forks"] = f"The base has {n} forks; below {FEWEST_EVENTS} none are judged."
    return tuple(
        Alarm(name=name, severity="info", message=message, source="measured on the base")
        for name, message in lacks.items()
    )


def _counted(traces: Iterable[Trace], *, base: Base) -> list[Sample]:
    return [_sample(x, lexicon=base.lexicon, threshold=base.fork_threshold) for x in traces]


def _sample(trace: Trace, *, lexicon: Lexicon | None, threshold: float | None) -> Sample:
    text, entropies = own_text(trace.attempt), trace.entropies
    return Sample(
        task=trace.attempt.task,
        length=trace.length,
        counts=None if lexicon is None else count_markers(text, lexicon=lexicon).counts,
        n_forks=trace.forks(threshold),
        entropy=None if entropies is None else float(entropies.sum()),
        n_positions=0 if entropies is None else entropies.size,
        is_empty=not text.strip(),
        is_cut=trace.attempt.truncated is True,
    )


def _by_task(samples: Iterable[Sample]) -> Mapping[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.task, []).append(sample)
    return found


def _share(pairs: Iterable[Pair], *, times: float = 1.0) -> float | None:
    """Return Σ count / Σ length; None where a count is missing or nothing is to divide by."""
    count = length = 0.0
    for each, per in pairs:
        if each is None or per is None:
            return None
        count, length = count + each, length + per
    return times * count / length if length else None


def _severity(n_fell: int) -> Severity:
    return "alarm" if n_fell >= SIGNALS_FOR_ALARM else "warning" if n_fell > 1 else "info"


def _numbers(signals: Sequence[Signal], *, fell: int) -> Metrics:
    found: Metrics = {
        "n_fell": float(fell),
        "n_measured": float(sum(signal.state != "not measured" for signal in signals)),
    }
    for signal in signals:
        name = signal.name.replace(" ", "_") + "_ratio"
        value, low, high, _ = signal.value
        found |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return found
