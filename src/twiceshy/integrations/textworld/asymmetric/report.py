"""The study as a report: what was named beforehand, what was not, and what the lessons were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twiceshy.evidence.report import Report, Table
from twiceshy.integrations.textworld.asymmetric.contrasts import (
    Compared,
    Condition,
    Ending,
    Outcomes,
    compare,
    difference,
    form_by_source,
    named_contrasts,
    rate,
    travel_weights,
)
from twiceshy.integrations.textworld.asymmetric.plan import (
    ARMS,
    CELLS,
    DOSED,
    GRID,
    IN_DISTRIBUTION,
    Arm,
)
from twiceshy.integrations.textworld.asymmetric.runs import GameResult, dose_games

if TYPE_CHECKING:
    from twiceshy.integrations.textworld.asymmetric_memory import Results

KIND = "reproduce asymmetric-memory"
NEW_TOOL, TRAINING_LIMIT = "new_tool", 40
Cells = tuple[str | int | float | bool | None, ...]

PAIRS: tuple[tuple[Arm, Arm], ...] = (
    ("success_concrete", "none"),
    ("success_abstract", "none"),
    ("failure_concrete", "none"),
    ("failure_abstract", "none"),
    ("both", "success_concrete"),
    ("both", "failure_abstract"),
    ("failure_abstract", "success_concrete"),
    ("failure_abstract", "failure_concrete"),
    ("success_concrete", "success_abstract"),
    ("success_concrete", "permuted_success"),
    ("both", "permuted_both"),
    ("failure_abstract", "matched_failure"),
    ("failure_abstract", "coin_failure"),
)
"""Afterthoughts: after, before."""


def outcomes_of(found: Results) -> Outcomes:
    """Return the attempts at the test games as arrays."""
    return Outcomes(found.tests, n_collections=found.plan.n_collections)


def report_of(found: Results, *, manifest: dict[str, Any]) -> Report:
    """Return the report of what was done so far."""
    outcomes = outcomes_of(found)
    named = named_contrasts(outcomes) if len(outcomes.sets) > 1 else []
    after = list(_afterthoughts(outcomes))
    rates = _rates(outcomes)
    dosed = _dosed(found)
    return Report(
        kind=KIND,
        title="Asymmetric memory: source and form of lessons crossed",
        summary=tuple(_summary(found, named, outcomes)),
        numbers={
            "n_test_games": len(found.tests),
            "n_planned": found.n_planned,
            "named": [each._asdict() for each in named],
            "rates": [{"ending": e, **r._asdict()} for e, r in rates],
            "afterthoughts": [{"sets": s, "ending": e, **r._asdict()} for s, e, r in after],
            "doses": [{"ending": e, "label": c, **r._asdict()} for c, e, r in dosed],
        },
        tables=(
            _named_table(named),
            _rate_table(outcomes, rates),
            _after_table(after),
            _short_table(found),
            _tool_table(found),
            _forbidden_table(found),
            _tuning_table(found),
            _bank_table(found),
            _dose_table(dosed),
            _published(outcomes),
        ),
        manifest=manifest,
    )


def _summary(found: Results, named: Sequence[Compared], outcomes: Outcomes) -> Iterator[str]:
    held = [each for each in named if each.p_holm is not None and each.p_holm < 0.05]
    yield (
        f"{len(held)} of the {len(named)} named contrasts differ from 0 (Holm, 5 %)."
        if named
        else "No named contrast can be computed yet."
    )
    yield (
        f"{len(found.tests)} of {found.n_planned} test games, {found.plan.n_collections} training"
        f" collections, {found.plan.seeds} seeds."
    )
    for each in named:
        yield f"{each.name}: {_span(each)} points, p by Holm {_p(each.p_holm)}."
    for game_set in outcomes.sets[:1]:
        arms = ("none", "success_concrete", "failure_abstract", "both")
        told = (rate(outcomes, Condition(arm), game_set, ending="won") for arm in arms)
        shares = (f"{arm} {_percent(each.value)}" for arm, each in zip(arms, told, strict=True))
        yield f"Wins in distribution, %: {', '.join(shares)}."


def _rates(outcomes: Outcomes) -> list[tuple[Ending, Compared]]:
    endings: tuple[Ending, ...] = ("won", "lost", "timed_out")
    return [
        (ending, rate(outcomes, Condition(arm), game_set, ending=ending))
        for game_set in outcomes.sets
        for arm in ARMS
        if Condition(arm) in outcomes.conditions(game_set)
        for ending in endings
    ]


def _afterthoughts(outcomes: Outcomes) -> Iterator[tuple[str, Ending, Compared]]:
    sets = outcomes.sets
    groups = [*((each, [each]) for each in sets), ("all sets", sets)]
    endings: tuple[Ending, ...] = ("won", "lost")
    for label, chosen in groups:
        for after, before in PAIRS:
            for ending in endings:
                found = difference(
                    outcomes, Condition(after), Condition(before), sets=chosen, ending=ending
                )
                if found.value is not None:
                    yield label, ending, found
        yield label, "won", form_by_source(outcomes, chosen)
    yield from _travel(outcomes)


def _travel(outcomes: Outcomes) -> Iterator[tuple[str, Ending, Compared]]:
    """Yield how gains travel to each other set, in wins and in losses."""
    rules, shown = Condition("failure_abstract"), Condition("success_concrete")
    others = [each for each in outcomes.sets if each != IN_DISTRIBUTION]
    groups = [*((each, [each]) for each in others), ("all but near", others)]
    endings: tuple[Ending, ...] = ("won", "lost")
    for label, chosen in groups if others else ():
        weights = travel_weights(rules, shown, chosen)
        for ending in endings:
            name = "travel: rules − demonstrations"
            yield label, ending, compare(outcomes, weights, name=name, ending=ending)


def _named_table(named: Sequence[Compared]) -> Table:
    return Table(
        title="The three named contrasts",
        columns=(
            "contrast, wins",
            "points",
            "95 %, bootstrap",
            "95 %, Student over collections",
            "games",
            "p",
            "p by Holm",
        ),
        rows=tuple(
            (
                each.name,
                _points(each.value),
                _interval(each.low, each.high),
                _interval(each.low_t, each.high_t),
                each.n_games,
                _p(each.p),
                _p(each.p_holm),
            )
            for each in named
        ),
        note="Fixed before the test games were played. Bootstrap over collections, games and seeds,"
        " p from the same draws; intervals are not corrected. Student's interval leaves out the"
        " variance of the games.",
    )


def _rate_table(outcomes: Outcomes, rates: Sequence[tuple[Ending, Compared]]) -> Table:
    by_name: dict[str, dict[Ending, Compared]] = {}
    for ending, each in rates:
        by_name.setdefault(each.name, {})[ending] = each
    rows: list[Cells] = []
    for game_set in outcomes.sets:
        for arm in ARMS:
            found = by_name.get(f"{arm}, {game_set}")
            if found is not None:
                shown = [_percent(each.value) for each in found.values()]
                interval = _interval(found["won"].low, found["won"].high, sign=False)
                rows.append((game_set, arm, found["won"].n_games, shown[0], interval, *shown[1:]))
    return Table(
        title="How attempts ended, %",
        columns=("set", "arm", "games", "won", "95 %", "lost", "timed out"),
        rows=tuple(rows),
    )


def _after_table(after: Sequence[tuple[str, Ending, Compared]]) -> Table:
    by_row: dict[tuple[str, str], dict[Ending, Compared]] = {}
    for label, ending, each in after:
        by_row.setdefault((label, each.name), {})[ending] = each
    return Table(
        title="Afterthoughts: every other comparison",
        columns=("sets", "comparison", "wins, points [95 %]", "losses, points [95 %]"),
        rows=tuple(
            (label, name, _span(each["won"]), _span(each["lost"]) if "lost" in each else None)
            for (label, name), each in by_row.items()
        ),
        note="Not corrected and not tested. *source × form*: (failures abstract − concrete) −"
        " (successes abstract − concrete); above 0 means that the two sources want different"
        " forms, as SkillRL keeps them. *travel*: change by the lessons in the set less that in"
        " distribution; for losses below 0 means that rules keep more of their effect.",
    )


def _short_table(found: Results) -> Table:
    """The one-room sets again, as if cut at the limit of the training attempts."""
    short = Outcomes(
        found.tests,
        n_collections=found.plan.n_collections,
        keep=lambda test: test.game_set in (IN_DISTRIBUTION, "only_foods"),
        max_steps=TRAINING_LIMIT,
    )
    return Table(
        title=f"The same attempts cut at {TRAINING_LIMIT} steps, the limit in training, %",
        columns=("set", "arm", "won", "lost", "timed out"),
        rows=tuple(_ending_row(short, game_set, arm) for game_set in short.sets for arm in ARMS)
        if short.sets
        else (),
    )


def _ending_row(outcomes: Outcomes, game_set: Any, arm: Arm) -> Cells:
    endings: tuple[Ending, ...] = ("won", "lost", "timed_out")
    means = (outcomes.values(Condition(arm), game_set, ending=ending) for ending in endings)
    shown = (_percent(float(each.mean())) if each.size else None for each in means)
    return (game_set, arm, *shown)


def _tool_table(found: Results) -> Table:
    tests = [each for each in found.tests if each.game_set == NEW_TOOL]
    rows: list[Cells] = []
    for needs in (True, False):
        chosen = [each for each in tests if each.needs_new_tool is needs]
        outcomes = Outcomes(chosen, n_collections=found.plan.n_collections)
        label = "asks for grilling" if needs else "does not"
        walk, forbidden = _forbidden(chosen)
        for arm in ("none", *DOSED, "permuted_failure"):
            if chosen:
                row = _ending_row(outcomes, NEW_TOOL, arm)[1:]
                told = forbidden if arm in ("failure_abstract", "both") else None
                rows.append((label, len(chosen), *row, told, walk))
    return Table(
        title="A tool not met in training: does a lesson misfire?",
        columns=(
            "recipe",
            "games",
            "arm",
            "won",
            "lost",
            "timed out",
            "winning steps forbidden",
            "winning steps",
        ),
        rows=tuple(rows),
        note="Winning steps: of the games' own walkthroughs; forbidden by the rules of a"
        " collection, mean over collections.",
    )


def _forbidden(tests: Sequence[GameResult]) -> tuple[int, float | None]:
    n = sum(each.n_walkthrough for each in tests)
    counts = [sum(each.n_forbidden) / len(each.n_forbidden) for each in tests]
    return n, round(sum(counts), 1) if tests else None


def _forbidden_table(found: Results) -> Table:
    """How many winning steps each collection's rules would forbid."""
    rows: list[Cells] = []
    for game_set in dict.fromkeys(each.game_set for each in found.tests):
        tests = [each for each in found.tests if each.game_set == game_set]
        counts = [sum(each.n_forbidden[c] for each in tests) for c in _collections(found)]
        rows.append((game_set, sum(each.n_walkthrough for each in tests), *counts))
    return Table(
        title="Winning steps that the rules forbid",
        columns=("set", "winning steps", *(f"collection {c}" for c in _collections(found))),
        rows=tuple(rows),
        note="Steps of the games' own walkthroughs, all of which win.",
    )


def _collections(found: Results) -> range:
    return range(found.plan.n_collections)


def _tuning_table(found: Results) -> Table:
    rows: list[Cells] = []
    for cell in CELLS:
        for place, setting in enumerate(GRID[cell]):
            letters = "".join(each.endings[cell][place] for each in found.tuning)
            if letters:
                shares = (_percent(letters.count(x) / len(letters)) for x in "WLT")
                chosen = "chosen" if found.settings[cell] == setting else ""
                rows.append((cell, setting.nats, setting.shape, len(letters), *shares, chosen))
    return Table(
        title="Choosing settings on validation games, %",
        columns=("cell", "nats", "shape", "attempts", "won", "lost", "timed out", ""),
        rows=tuple(rows),
        note="Shape: exponent of the likeness (concrete) or most literals of a pattern (abstract).",
    )


def _bank_table(found: Results) -> Table:
    rows: list[Cells] = [
        (
            each.collection,
            each.truth,
            each.n_games,
            each.n_attempts,
            each.n_mixed,
            *(each.n_lessons[cell] for cell in CELLS),
            "; ".join(each.rules),
        )
        for each in found.banks
        if each.literals == found.settings["failure_abstract"].shape
    ]
    return Table(
        title="What the banks hold",
        columns=(
            "collection",
            "outcomes",
            "games",
            "attempts",
            "mixed tasks",
            "demonstrations",
            "strategies",
            "losses",
            "rules",
            "the rules",
        ),
        rows=tuple(rows),
    )


def _dosed(found: Results) -> list[tuple[str, Ending, Compared]]:
    """Return every dose, and the whole dose and none at the same games beside it."""
    seeds = {each.seed for each in dose_games(found.plan)}
    tests = [x for x in found.tests if x.game_set == IN_DISTRIBUTION and x.seed in seeds]
    outcomes = Outcomes(tests, n_collections=found.plan.n_collections)
    conditions = [c for c in outcomes.conditions(IN_DISTRIBUTION) if c.arm in ("none", *DOSED)]
    endings: tuple[Ending, ...] = ("won", "lost", "timed_out")
    return [
        (f"{c.arm}|{c.dose}|{c.amount}", ending, rate(outcomes, c, IN_DISTRIBUTION, ending=ending))
        for c in conditions
        for ending in endings
    ]


def _dose_table(dosed: Sequence[tuple[str, Ending, Compared]]) -> Table:
    by_label: dict[str, dict[Ending, Compared]] = {}
    for label, ending, each in dosed:
        by_label.setdefault(label, {})[ending] = each
    rows: list[Cells] = []
    for label, found in by_label.items():
        arm, dose, amount = label.split("|")
        shown = [_percent(each.value) for each in found.values()]
        interval = _interval(found["won"].low, found["won"].high, sign=False)
        rows.append((arm, dose, int(amount), found["won"].n_games, shown[0], interval, *shown[1:]))
    return Table(
        title="Doses, in distribution, %",
        columns=("arm", "cut to so many", "amount", "games", "won", "95 %", "lost", "timed out"),
        rows=tuple(rows),
    )


def _published(outcomes: Outcomes) -> Table:
    ours = _ours(outcomes)
    return Table(
        title="Published figures beside ours",
        columns=("", "SkillRL, ALFWorld", "SkillRL, WebShop", "ours, in distribution, wins %"),
        rows=(
            ("no memory (base model; here: none)", 14.8, 7.8, ours["none"]),
            ("full (here: both)", 89.9, 72.7, ours["both"]),
            (
                "raw trajectories instead of skills (here: demonstrations alone)",
                61.7,
                50.2,
                ours["success_concrete"],
            ),
            ("raw failures (here: losses alone)", None, None, ours["failure_concrete"]),
            ("no failure half (here: demonstrations alone)", None, None, ours["success_concrete"]),
            ("no success half (here: rules alone)", None, None, ours["failure_abstract"]),
        ),
        note="Success in per cent, Qwen2.5-7B trained with GRPO and a skill bank (arXiv 2602.08234,"
        " main table and ablation). Other task, agent, lessons and use of them: the rows match in"
        " idea only. SkillRL never removed the failure half alone.",
    )


def _ours(outcomes: Outcomes) -> dict[str, str | None]:
    arms: tuple[Arm, ...] = ("none", *DOSED)
    return {
        arm: _percent(rate(outcomes, Condition(arm), IN_DISTRIBUTION, ending="won").value)
        for arm in arms
    }


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"


def _points(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:+.1f}"


def _interval(low: float | None, high: float | None, *, sign: bool = True) -> str | None:
    if low is None or high is None:
        return None
    form = "+.1f" if sign else ".1f"
    return f"[{100 * low:{form}}, {100 * high:{form}}]"


def _span(each: Compared) -> str | None:
    value, interval = _points(each.value), _interval(each.low, each.high)
    return None if value is None else f"{value} {interval}" if interval else value


def _p(p: float | None) -> str | None:
    return None if p is None else f"{p:.3f}"
