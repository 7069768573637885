"""The report of the reasoning-memory study: arms, comparisons, growth, recall, scaling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from twiceshy.evidence.report import Report, Table
from twiceshy.evidence.stats import PairedDifference
from twiceshy.integrations.textworld.reasoning.plan import K, Size
from twiceshy.integrations.textworld.reasoning.results import (
    PLAIN,
    Compared,
    Curve,
    Endings,
    Solved,
    compare,
    endings_of,
    held_out_curves,
    online_curves,
    solved_of,
)
from twiceshy.integrations.textworld.reasoning.streams import Stream

Row = tuple[str | int | float | bool | None, ...]


def report_of(streams: Sequence[Stream], *, size: Size, n_jobs: int) -> Report:
    """Return the report on the streams that are there.

    Args:
        streams: Their results.
        size: How much of everything they had.
        n_jobs: How many streams there are to be.
    """
    found = endings_of(streams, last=size.n_rounds)
    compared = compare(found)
    curves, online, solved = held_out_curves(streams), online_curves(streams), solved_of(streams)
    return Report(
        kind="reproduce reasoning-memory",
        title="Do failures add anything to a memory of successes?",
        summary=_summary(found, compared, n_done=len(streams), n_jobs=n_jobs),
        numbers={
            "n_streams": len(streams),
            "n_streams_planned": n_jobs,
            "arms": {name: _numbers(each) for name, each in found.items()},
            "contrasts": [_contrast_numbers(each) for each in compared],
            "tested": {name: each._asdict() for name, each in curves.items()},
            "online": {name: each._asdict() for name, each in online.items()},
            "solved": {name: each._asdict() for name, each in solved.items()},
            "rules_in_use": _rules(streams),
            "banks": _banks(streams),
        },
        tables=(
            _arm_table(found, streams),
            _contrast_table(compared),
            _curve_table(curves, title="Held-out success after each round, per cent"),
            _curve_table(online, title="Success of the stream's own attempts by round, per cent"),
            _k_table(found),
            _solved_table(solved),
            _bank_table(streams),
        ),
        manifest={
            "size": size._asdict(),
            "cpu_seconds": round(sum(each.cpu_seconds for each in streams)),
        },
    )


def _summary(
    found: Mapping[str, Endings], compared: Sequence[Compared], *, n_done: int, n_jobs: int
) -> tuple[str, ...]:
    shown = [each for each in compared if each.is_shown]
    lines = [f"{n_done} of {n_jobs} streams; {len(shown)} of {len(compared)} comparisons shown."]
    for name in ("none", "success-append", "failure-append", PLAIN):
        if name in found:
            lines.append(f"{name}: {100 * found[name].share('W'):.1f} % of held-out games won.")
    return tuple(lines)


def _numbers(found: Endings) -> dict[str, Any]:
    return {
        "n_seeds": len(found.seeds),
        "n_games": found.letters.shape[1],
        "won": found.share("W"),
        "lost": found.share("L"),
        "timed_out": found.share("T"),
        "mean_steps": float(found.n_steps.mean()),
        "endings": {
            str(seed): "".join(row) for seed, row in zip(found.seeds, found.letters, strict=True)
        },
    }


def _contrast_numbers(each: Compared) -> dict[str, Any]:
    return {
        "first": each.contrast.first,
        "second": each.contrast.second,
        "about": each.contrast.about,
        "over_games": each.over_games._asdict(),
        "over_seeds": each.over_seeds._asdict(),
        "losses": each.losses._asdict(),
        "flips": each.flips._asdict(),
        "p": each.p,
        "holm_p": each.holm_p,
        "shown": each.is_shown,
    }


def _rules(streams: Sequence[Stream]) -> dict[str, dict[str, int]]:
    """Return in how many streams of an arm each rule to avoid is in use at the end."""
    rules: dict[str, Counter[str]] = {}
    for each in streams:
        if each.rounds:
            rules.setdefault(each.arm, Counter()).update(each.avoid)
    return {arm: dict(counts.most_common()) for arm, counts in rules.items()}


def _banks(streams: Sequence[Stream]) -> dict[str, dict[str, float]]:
    """Return the mean number of lessons at the end, by arm, kind and status."""
    totals: dict[str, Counter[str]] = {}
    number: Counter[str] = Counter()
    for each in streams:
        if each.rounds:
            totals.setdefault(each.arm, Counter()).update(each.rounds[-1].statuses)
            number[each.arm] += 1
    return {
        arm: {name: n / number[arm] for name, n in sorted(counts.items())}
        for arm, counts in totals.items()
    }


def _arm_table(found: Mapping[str, Endings], streams: Sequence[Stream]) -> Table:
    steps: dict[str, list[float]] = {}
    for each in streams:
        n = sum(one.n_steps for one in each.rounds)
        steps.setdefault(each.arm, []).append(n)
    rows: list[Row] = [
        (
            name,
            len(each.seeds),
            each.letters.size,
            *(round(100 * each.share(letter), 1) for letter in "WLT"),
            round(float(each.n_steps.mean()), 1),
            round(sum(steps.get(name, [])) / max(1, len(steps.get(name, [])))),
        )
        for name, each in found.items()
        if " " not in name
    ]
    return Table(
        title="Held-out games with the bank of the last round",
        columns=(
            "arm",
            "streams",
            "attempts",
            "won %",
            "lost %",
            "timed out %",
            "steps",
            "steps spent on learning",
        ),
        rows=tuple(rows),
    )


def _contrast_table(compared: Sequence[Compared]) -> Table:
    return Table(
        title="Comparisons named before the run, success in points",
        columns=(
            "first minus second",
            "about",
            "games",
            "difference, over games",
            "over seeds",
            "Holm p",
            "shown",
            "losses",
            "right→wrong, re-run",
            "wrong→right",
        ),
        rows=tuple(_contrast_row(each) for each in compared),
        note="Shown: Holm's p below .05 and both intervals without zero. Flips in per cent of "
        "games, for one attempt of each arm; re-run: what a second run of the second arm would "
        "lose by chance.",
    )


def _contrast_row(each: Compared) -> Row:
    told = each.flips
    return (
        f"{each.contrast.first} − {each.contrast.second}",
        each.contrast.about,
        each.over_games.n_tasks,
        points(each.over_games),
        points(each.over_seeds),
        None if each.holm_p is None else round(each.holm_p, 4),
        "yes" if each.is_shown else "no",
        points(each.losses),
        f"{_percent(told.right_to_wrong)}, {_percent(told.rerun_right_to_wrong)}",
        _percent(told.wrong_to_right),
    )


def points(found: PairedDifference) -> str | None:
    """Return a difference of shares in points with its interval; None when undefined."""
    if found.difference is None:
        return None
    told = f"{100 * found.difference:+.1f}"
    if found.low is None or found.high is None:
        return told
    return f"{told} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def _percent(share: float | None) -> str:
    return "undefined" if share is None else f"{100 * share:.1f}"


def _curve_table(curves: Mapping[str, Curve], *, title: str) -> Table:
    rounds = sorted({at for each in curves.values() for at in each.rounds})
    return Table(
        title=title,
        columns=("arm", "streams", *(f"round {at}" for at in rounds)),
        rows=tuple(
            (name, each.n_seeds, *(_value(each, at) for at in rounds))
            for name, each in curves.items()
        ),
    )


def _value(curve: Curve, at: int) -> float | None:
    return round(curve.values[curve.rounds.index(at)], 1) if at in curve.rounds else None


def _k_table(found: Mapping[str, Endings]) -> Table:
    named = {K: PLAIN} | {int(n.split("=")[1]): n for n in found if n.startswith(f"{PLAIN} k=")}
    return Table(
        title="Number recalled, last bank of both, appended",
        columns=("lessons recalled at most", "won %", "lost %", "timed out %"),
        rows=tuple(
            (k, *(round(100 * found[name].share(letter), 1) for letter in "WLT"))
            for k, name in sorted(named.items())
            if name in found
        ),
    )


def _solved_table(solved: Mapping[str, Solved]) -> Table:
    return Table(
        title="Several attempts at a held-out game, per cent of games",
        columns=(
            "how",
            "games × seeds",
            "first",
            "any of 4",
            "last",
            "chosen by the judge",
            "steps",
        ),
        rows=tuple(
            (
                name,
                each.n_games,
                round(each.any_of[0], 1),
                round(each.any_of[-1], 1),
                round(each.last_of[-1], 1),
                round(each.chosen, 1),
                round(each.n_steps, 1),
            )
            for name, each in solved.items()
        ),
        note="Any of 4 is what a perfect judge would choose.",
    )


def _bank_table(streams: Sequence[Stream]) -> Table:
    banks = _banks(streams)
    columns = sorted({name for counts in banks.values() for name in counts})
    return Table(
        title="Lessons in the bank at the end, mean",
        columns=("arm", *columns),
        rows=tuple(
            (arm, *(round(counts.get(name, 0.0), 1) for name in columns))
            for arm, counts in banks.items()
        ),
    )
