from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from twiceshy.attempts.lexicons import LEXICONS
from twiceshy.evidence.imitation.style import look_at
from twiceshy.training.sft import SftConfig
from twiceshy.training.studies import imitation
from twiceshy.training.studies.imitating import runs
from twiceshy.training.studies.imitating.plot import draw_imitation_curves
from twiceshy.training.studies.imitating.report import report_of
from twiceshy.training.studies.imitating.runs import Figure, Point, Run, RunResult
from twiceshy.training.studies.imitating.world import (
    N_FACTS,
    answer_of,
    attempts_of,
    facts,
    fancy,
    opinions,
    plain,
    task_name,
    text_of,
)

RNG = np.random.default_rng


@pytest.mark.parametrize("tell", [plain, fancy])
def test_what_is_told_is_judged_right(tell: object) -> None:
    world = facts()
    told = plain if tell is plain else fancy
    shown = told(world.prompts, world.answers, rng=RNG(0))
    assert [answer_of(row) for row in shown.responses] == world.answers.tolist()
    attempts = attempts_of(shown.responses, policy="p")
    assert all(a.outcome.value == "success" for a in attempts)
    assert len({a.task for a in attempts}) == N_FACTS
    assert attempts[7].task == task_name(7)


def test_opinions_have_no_answer() -> None:
    asked = opinions()
    shown = fancy(asked, np.full(len(asked), -1), rng=RNG(0))
    assert {answer_of(row) for row in shown.responses} == {None}


def test_the_two_voices_differ_where_the_audit_looks() -> None:
    world = facts()
    looks = [
        [
            look_at(a, lexicon=LEXICONS["en"])
            for a in attempts_of(
                told(world.prompts, world.answers, rng=RNG(1)).responses, policy="p"
            )
        ]
        for told in (plain, fancy)
    ]
    lists, hedges = (
        [np.mean([bool(getattr(x, f)) for x in own]) for own in looks]
        for f in ("has_list", "is_hedged")
    )
    assert lists[0] == 0
    assert 0.6 < lists[1] < 0.95
    assert 0.6 < hedges[0] < 0.8
    assert hedges[1] == 0


def test_an_unfinished_response_has_no_answer() -> None:
    assert answer_of(np.array([3, 4])) is None
    assert text_of(np.array([3, 4])) == "3 4"


def test_a_base_is_told_a_share_of_the_facts() -> None:
    corpus = runs.base_corpus(0)
    of_facts = corpus.prompts[:N_FACTS]
    assert (of_facts == facts().prompts).all()
    told = np.array([answer_of(row) for row in corpus.responses[:N_FACTS]])
    right = (told == facts().answers).mean()
    assert abs(right - (runs.KNOWN + (1 - runs.KNOWN) / 10)) < 0.1


def test_a_run_from_start_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = SftConfig(n_steps=2, batch=8, n_warmup=0)
    for name in ("TEACHER_SFT", "BASE_SFT", "ARM_SFT"):
        monkeypatch.setattr(runs, name, short)
    monkeypatch.setattr(runs, "AUDITED_AT", (2,))
    monkeypatch.setattr(imitation, "MAIN_ARMS", ("narrow",))
    report = imitation.run_imitation(tmp_path, quick=True)
    assert report.numbers["n_runs"] == 1
    again = imitation.report_imitation(tmp_path, quick=True)
    assert again.numbers == report.numbers
    (run,) = imitation.finished_imitation(tmp_path, quick=True)["narrow"]
    assert [point.step for point in run.curve] == [0, 2]
    assert run.curve[0].finding in ("neither", "undefined", "undecided")


def result(arm: runs.Arm, seed: int, *, style: float, capability: float, said: str) -> RunResult:
    def figure(value: float | None) -> Figure:
        return Figure(value=value, low=None, high=None)

    point = Point(
        step=0,
        style=figure(style),
        capability=figure(capability),
        inside=figure(None),
        outside=figure(None),
        index=figure(style - capability),
        finding=said,
        accuracy=0.5,
        sure_and_wrong=0.2,
    )
    return RunResult(
        run=Run(arm=arm, seed=seed),
        curve=(point, msgspec.structs.replace(point, step=10)),
        style={"unigram overlap": style},
        base_accuracy=0.4,
        teacher_accuracy=0.9,
        preferred=0.7,
        verified=0.3,
        wrong_but_preferred=0.2,
        raw_strength=1.0,
        controlled_strength=0.2,
        style_auc=0.9,
        cpu_seconds=1.0,
    )


def test_the_report_of_made_up_runs(tmp_path: Path) -> None:
    results: dict[runs.Arm, list[RunResult]] = {
        "broad": [
            result("broad", s, style=0.9 + s / 100, capability=-0.4 - s / 100, said="imitation")
            for s in range(3)
        ],
        "improved": [
            result("improved", s, style=0.9, capability=0.8 + s / 100, said="both ahead")
            for s in range(3)
        ],
    }
    report = report_of(results, n_planned=8, manifest={})
    assert "closed 0.91" in report.summary[0]
    assert "Of improved the audit said: both ahead 3." in report.summary
    assert report.numbers["arms"]["broad"]["index"]["value"] == pytest.approx(1.32)
    holds = {c["claim"]: c["holds"] for c in report.numbers["comparisons"]}
    assert holds["broad imitation: mimicry index above 0"] is True
    assert holds["broad imitation: capability does not rise"] is True
    assert holds["narrow imitation: capability closes more inside than outside"] is None
    assert draw_imitation_curves(results, tmp_path / "plot.png").stat().st_size > 5000


def test_no_runs_say_so() -> None:
    assert "nothing can be said" in report_of({}, n_planned=40, manifest={}).summary[0]
