"""The study as a report: what held, teachers, students, comparisons, published figures beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from twiceshy.evidence.report import Report, Table
from twiceshy.studies.teacher_context.comparing import (
    ALPHA,
    RATIOS,
    Compared,
    Row,
    Runs,
    against_base,
    arms_of,
    contrasts,
    numbers_of,
)
from twiceshy.studies.teacher_context.plan import Size
from twiceshy.studies.teacher_context.problems import DOMAINS, HARD, TRAINED

KIND = "reproduce teacher-context"

PUBLISHED = (
    ("(base)", None, None, None, "54.8"),
    ("none", "13,054", "14.0", ".30", "51.0"),
    ("solution without thinking", "12,036", "13.3", ".78", "not trained on"),
    ("solution, regenerated", "2,808", "8.6", ".95", None),
    ("full solution", "1,873", "4.7", ".98", "20.2 (traces of about 2,000 tokens)"),
)
"""(context, tokens, markers a 1,000, teacher right, student on AIME24) of Kim et al."""


def report_of(runs: Runs, *, size: Size, manifest: dict[str, Any]) -> Report:
    """Return the report of the runs that are done."""
    numbers = numbers_of(runs, size)
    compared = contrasts(runs, epoch=max(size.epochs))
    return Report(
        kind=KIND,
        title="Teachers who see more, and what their students lose",
        summary=tuple(_summary(numbers, compared)),
        numbers=numbers | {"size": msgspec.to_builtins(size)},
        tables=(
            _teachers(numbers),
            _checked(numbers),
            _published(),
            _students(numbers),
            _fixed(compared),
            _afterthoughts(runs, size),
        ),
        manifest=manifest,
    )


def _summary(numbers: dict[str, Any], compared: Sequence[Compared]) -> Iterator[str]:
    n_runs, n_planned = numbers["n_runs"], numbers["n_runs_planned"]
    if not n_runs:
        yield f"No run is done (0 of {n_planned}), so nothing can be said."
        return
    yield from _told("Held", compared, lambda c: c.outcome == "held")
    yield from _told("Did not hold", compared, lambda c: c.outcome == "did not hold")
    asked = "Asked without a claim, and clear"
    yield from _told(asked, compared, lambda c: not c.outcome and c.found != "open")
    yield from _told("Open", compared, lambda c: c.found == "open")
    yield from _too_few(compared)
    yield from _counted("The check refused the traces of", numbers["teachers"], "refused")
    sounded = {arm: s["alarm"] for arm, s in numbers["students"].items()}
    yield from _counted("The alarm sounded after training by", sounded, "sounded")
    if n_runs < n_planned:
        yield f"{n_runs} of {n_planned} runs are done."


def _told(
    head: str, compared: Sequence[Compared], belongs: Callable[[Compared], bool]
) -> Iterator[str]:
    told = [f"{c.asks}: {_pair(c)} {interval(c.row)}" for c in compared if belongs(c)]
    if told:
        yield f"{head}: {'; '.join(told)}."


def _pair(compared: Compared) -> str:
    return f"{compared.arm} − {compared.other}"


def _too_few(compared: Sequence[Compared]) -> Iterator[str]:
    """Say so where no result could have been clear: signs of n seeds give p of 2/2ⁿ at least."""
    n_seeds = max((c.row.n_seeds for c in compared), default=0)
    least = len(compared) * 2 ** (1 - n_seeds)
    if compared and least > ALPHA:
        yield (
            f"With n = {n_seeds} seeds no p under Holm can be below {min(1.0, least):.2f} in "
            f"{len(compared)} comparisons, so nothing can be clear."
        )


def _counted(head: str, found: dict[str, dict[str, Any]], key: str) -> Iterator[str]:
    told = [f"{arm} ({each[key]} of {each['n']})" for arm, each in found.items() if each[key]]
    yield f"{head}: {'; '.join(told)}." if told else f"{head}: none."


def _teachers(numbers: dict[str, Any]) -> Table:
    return Table(
        title="Teachers",
        columns=("context", "right", "gap to student", "traces", "words", "markers a 100"),
        rows=tuple(
            (
                arm,
                shown(t["right"]),
                shown(t["gap"]),
                shown(t["n_traces"], digits=0),
                shown(t["words"], digits=1),
                shown(t["markers_per_hundred"], digits=1),
            )
            for arm, t in numbers["teachers"].items()
        ),
        note="Right: of all they wrote; words and markers: of the right traces that are taught.",
    )


def _checked(numbers: dict[str, Any]) -> Table:
    return Table(
        title="Their traces, checked before training",
        columns=(
            "context",
            "density ×",
            "length ×",
            "forks ×",
            "density × over all tasks",
            "refused",
            "warned",
        ),
        rows=tuple(
            (
                arm,
                *(shown(t[f"{name} ratio"], digits=2) for name in RATIOS),
                f"{t['refused']} of {t['n']}",
                f"{t['warned']} of {t['n']}",
            )
            for arm, t in numbers["teachers"].items()
        ),
        note="×: over the base's own traces. Refused and warned: by `check_traces`, of seeds.",
    )


def _published() -> Table:
    return Table(
        title="Published (Kim et al., 2603.24472: a 7B model, 800 right traces)",
        columns=("context", "tokens", "markers a 1,000", "teacher right", "student AIME24"),
        rows=PUBLISHED,
    )


def _students(numbers: dict[str, Any]) -> Table:
    base = ("(base)", *(shown(numbers["base"][d]) for d in DOMAINS), None, None, None, None)
    rows = []
    for arm, s in numbers["students"].items():
        accuracies = (shown(s[domain]["accuracy"]) for domain in DOMAINS)
        hard, alarm = s[HARD], s["alarm"]
        rows.append(
            (
                arm,
                *accuracies,
                shown(hard["length"], digits=1),
                shown(hard["markers"], digits=1),
                f"{alarm['sounded']} of {alarm['n']}",
                s["n_seeds"],
            )
        )
    return Table(
        title="Students, without help, after the last epoch",
        columns=("taught by", *DOMAINS, "words, hard", "markers a 100, hard", "alarm", "n"),
        rows=(base, *rows) if rows else (),
        note=f"Accuracy; hard: {HARD}. Alarm: `collapse_alarm` after training, of seeds.",
    )


def _fixed(compared: Sequence[Compared]) -> Table:
    return Table(
        title="Fixed beforehand",
        columns=("asks", "comparison", "problems", "difference", "p (Holm)", "n", "found"),
        rows=tuple(
            (
                c.asks,
                _pair(c),
                c.problems,
                interval(c.row),
                shown(c.p_holm),
                c.row.n_seeds,
                c.outcome or c.found,
            )
            for c in compared
        ),
        note=f"Accuracy, paired by seed, 95 % intervals; Holm over these {len(compared)}. Found: "
        f"at p of at most {ALPHA}.",
    )


def _afterthoughts(runs: Runs, size: Size) -> Table:
    rows = []
    for arm in arms_of(runs):
        found = against_base(runs, arm, epoch=max(size.epochs))
        rows.append((f"{arm} − base", *map(interval, found.values()), found[TRAINED].n_seeds))
    return Table(
        title="Afterthoughts",
        columns=("comparison", TRAINED, HARD, "n"),
        rows=tuple(rows),
        note="Accuracy after the last epoch minus before training, paired by seed.",
    )


def shown(value: float | None, *, digits: int = 3) -> str | None:
    """Return a number as text; None where it is undefined.

    Example:
        >>> shown(0.5), shown(12.0, digits=1), shown(None)
        ('0.500', '12.0', None)
    """
    return None if value is None else f"{value:.{digits}f}"


def interval(row: Row) -> str:
    """Return a difference with its interval.

    Example:
        >>> interval(Row(difference=0.1, low=0.05, high=0.15, p=0.01, n_seeds=8))
        '+0.100 [+0.050, +0.150]'
        >>> interval(Row(difference=None, low=None, high=None, p=None, n_seeds=0))
        'undefined (n = 0)'
    """
    if row.difference is None:
        return "undefined (n = 0)"
    if row.low is None or row.high is None:
        return f"{row.difference:+.3f}"
    return f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
