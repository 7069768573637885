from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from twiceshy.attempts.types import Attempt, Outcome, Step, Verdict
from twiceshy.errors import BadInput
from twiceshy.integrations.textworld.literals import Option
from twiceshy.integrations.textworld.reasoning.plan import CONTRASTS, FULL, Job, K, jobs_of
from twiceshy.integrations.textworld.reasoning.players import PULL, LookOver
from twiceshy.integrations.textworld.reasoning.report import report_of
from twiceshy.integrations.textworld.reasoning.results import (
    compare,
    endings_of,
    held_out_curves,
    solved_of,
)
from twiceshy.integrations.textworld.reasoning.streams import (
    Chosen,
    Round,
    Stream,
    run_stream,
)
from twiceshy.integrations.textworld.reasoning.streams import Tested as HeldOutTest
from twiceshy.integrations.textworld.reasoning_memory import run_reasoning_memory
from twiceshy.integrations.textworld.runner import Command


def options(*texts: str) -> list[Option]:
    return [Option(Command(text, text.split()[0], ()), {}, frozenset()) for text in texts]


def attempt(*texts: str, ending: str) -> Attempt:
    outcome = Outcome.SUCCESS if ending == "won" else Outcome.FAILURE
    steps = tuple(Step(role="assistant", text=text) for text in texts)
    return Attempt(task="t", verdict=Verdict(outcome=outcome), steps=steps, ending=ending)


def test_a_lost_attempt_is_repeated_but_for_the_step_that_lost_it() -> None:
    look = LookOver(attempt("take knife", "take apple", "eat apple", ending="lost"))
    choices = options("eat apple", "take apple", "take knife")
    assert look.bonus(choices) == [-PULL, 0.0, PULL]
    look.took(choices[2])
    assert look.bonus(choices) == [-PULL, PULL, 0.0]
    assert look.bonus(options("eat apple")) == [-PULL]


def test_a_won_attempt_is_repeated_and_one_without_an_end_is_not() -> None:
    won = LookOver(attempt("open door", "eat meal", ending="won"))
    assert won.bonus(options("eat meal", "open door")) == [0.0, PULL]
    timed_out = LookOver(attempt("open door", ending="max_steps"))
    assert timed_out.bonus(options("open door")) == [0.0]


def stream(arm: str, seed: int, endings: str, *, k: int = K, **more: object) -> Stream:
    tested = HeldOutTest(
        after=FULL.n_rounds, k=k, endings=endings, n_steps=(5,) * len(endings), n_lessons=1.0
    )
    rounds = (Round(endings="WL", n_steps=9, statuses={"avoid active": 2}),)
    made = Stream(arm=arm, seed=seed, rounds=rounds, tested=(tested,), cpu_seconds=1.0)
    return msgspec.structs.replace(made, **more)


def test_a_comparison_by_hand() -> None:
    streams = [
        *(stream("both-append", seed, "WWWWWWWW") for seed in (0, 1)),
        stream("success-append", 0, "WLLLLLLL"),
        stream("success-append", 1, "LWLLLTTT"),
        stream("success-append", 7, "WWWWWWWW"),  # a seed that the other arm lacks
    ]
    found = endings_of(streams, last=FULL.n_rounds)
    assert found["both-append"].share("W") == 1
    (made,) = compare({name: found[name] for name in ("both-append", "success-append")})
    # By game .5 .5 1 1 1 1 1 1, by seed .875 both; all 2^8 sign patterns: 2 are as large.
    assert made.over_games.difference == pytest.approx(7 / 8)
    assert made.over_seeds.difference == pytest.approx(7 / 8)
    assert made.p == pytest.approx(2 / 256)
    assert made.holm_p == made.p
    assert not made.is_shown  # two streams without spread give no interval
    assert made.losses.difference == pytest.approx(-(7 + 4) / 16)
    assert made.flips.right_to_wrong == 0
    assert made.flips.wrong_to_right == pytest.approx(7 / 8)


def test_what_several_attempts_are_worth() -> None:
    chosen = Chosen(name="memory parallel", endings=("LWLL", "LLLL"), chosen="LL", n_steps=(40, 20))
    (solved,) = solved_of([stream("both-append", 0, "WL", scaled=(chosen,))]).values()
    assert solved.any_of == (0, 50, 50, 50)
    assert solved.last_of == (0, 50, 0, 0)
    assert (solved.chosen, solved.n_steps, solved.n_games) == (0, 30, 2)


def test_curves_and_the_report_say_how_many_streams() -> None:
    streams = [stream("both-append", 0, "WL"), stream("both-append", 1, "WW")]
    (curve,) = held_out_curves(streams).values()
    assert (curve.values, curve.n_seeds) == ((75.0,), 2)
    report = report_of(streams, size=FULL, n_jobs=9)
    assert report.summary[0].startswith("2 of 9 streams")
    assert report.numbers["banks"] == {"both-append": {"avoid active": 2}}


def test_every_comparison_is_of_series_that_the_jobs_give() -> None:
    jobs = jobs_of(quick=False)
    names = {job.arm for job in jobs} | {"none parallel", "memory parallel", "memory sequential"}
    names |= {"both-append k=1", "both-append k=16"}
    assert {name for each in CONTRASTS for name in each[:2]} <= names
    assert len({job.name for job in jobs}) == len(jobs) == 15 * 8


def test_a_model_url_needs_a_model_and_a_report_needs_results(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--model"):
        run_reasoning_memory(tmp_path, url="http://127.0.0.1:1/v1")
    with pytest.raises(BadInput, match="at least one finished stream"):
        run_reasoning_memory(tmp_path, only_report=True)


@pytest.mark.slow
def test_a_quick_stream_learns_and_is_the_same_again() -> None:  # plays 150 attempts twice
    pytest.importorskip("textworld", reason='needs pip install "twiceshy[textworld]"')
    first, again = (run_stream(Job(seed=0, quick=True)) for _ in range(2))
    assert msgspec.structs.replace(first, cpu_seconds=0) == msgspec.structs.replace(
        again, cpu_seconds=0
    )
    assert sum(first.rounds[-1].statuses.values()) > 0
    gated = run_stream(Job(seed=0, quick=True, gate="lesson"))
    assert gated.tested[-1].n_lessons == 0
    assert np.all([each.after in (1, 2) for each in gated.tested])
