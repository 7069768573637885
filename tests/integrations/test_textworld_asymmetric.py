"""The study of asymmetric memory: its parts by hand, and all of it in the small."""

from __future__ import annotations

import json
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from twiceshy.attempts.types import Attempt, Outcome, Step, ToolCall, Verdict
from twiceshy.errors import BadInput
from twiceshy.integrations.textworld.advice import Rules, Warnings
from twiceshy.integrations.textworld.asymmetric import plan as plans
from twiceshy.integrations.textworld.asymmetric.banks import cell_of, permute_outcomes
from twiceshy.integrations.textworld.asymmetric.contrasts import (
    Condition,
    Outcomes,
    difference,
    form_by_source,
    named_contrasts,
)
from twiceshy.integrations.textworld.asymmetric.plan import (
    ARMS,
    CELLS,
    GRID,
    PARTS,
    Arm,
    Plan,
    Setting,
    full_plan,
    quick_plan,
)
from twiceshy.integrations.textworld.asymmetric.players import Told
from twiceshy.integrations.textworld.asymmetric.runs import (
    GameResult,
    Row,
    TuneResult,
    chosen_settings,
)
from twiceshy.integrations.textworld.literals import Option
from twiceshy.integrations.textworld.model_player import ModelPlayer
from twiceshy.integrations.textworld.runner import Command
from twiceshy.lessons import Lesson, Status
from twiceshy.memory.contrast.losses import find_losses
from twiceshy.models import ScriptedCompleter

TINY = Plan(
    n_collections=2,
    n_train_games=1,
    tries=2,
    n_validation=1,
    validation_seeds=1,
    sets={"near": 1, "only_foods": 1},
    seeds=2,
    max_steps=20,
    game_doses=(),
    lesson_doses=(1,),
    n_dose_games=1,
)


def _option(verb: str, *literals: str) -> Option:
    return Option(Command(verb, verb, ()), {}, frozenset(literals))


def _loss(*facts: str) -> Lesson:
    step = Step(role="assistant", text="cook", calls=(ToolCall(name="cook"),), facts=facts)
    verdict = Verdict(outcome=Outcome.FAILURE)
    attempt = Attempt(task="t", verdict=verdict, steps=(step,), prompt="Cook the meal. Fry it.")
    return find_losses([attempt])[0]


def test_every_cell_is_tuned_alike() -> None:
    assert {len(GRID[cell]) for cell in CELLS} == {10}
    for cell in CELLS:
        assert [each.nats for each in GRID[cell]] == [each.nats for each in GRID[CELLS[0]]]
    assert set(PARTS) == set(ARMS)


def test_collections_share_no_game_and_tests_share_none_with_training() -> None:
    plan = full_plan()
    train = [game for c in range(plan.n_collections) for game in plan.train_games(c)]
    assert len(set(train)) == len(train) == 192
    assert not set(train) & {*plan.validation_games, *plan.test_games()}
    assert len(list(plan.test_games())) == 142
    assert len(list(quick_plan().test_games())) == 16


def test_warnings_push_by_the_likeness_to_a_fatal_step() -> None:
    advice = Warnings([_loss("a", "b")], nats=-4.0, sharpness=2.0)
    choices = [_option("cook", "a", "b"), _option("cook", "a"), _option("eat", "a", "b")]
    assert advice.bonus(choices) == pytest.approx([-4.0, -1.0, 0.0])  # Jaccard 1, 1/2, none


def test_rules_follow_with_nats_above_zero() -> None:
    lesson = Lesson(id="1", kind="strategy", text="", pattern="cook | a")
    assert Rules([lesson], nats=2.0).bonus([_option("cook", "a"), _option("cook")]) == [2.0, 0.0]


def test_permuted_outcomes_stay_within_tasks_and_steps_stay_in_place() -> None:
    attempts = [
        Attempt(
            id=f"{task}{k}",
            task=task,
            verdict=Verdict(outcome=Outcome.SUCCESS if k < wins else Outcome.FAILURE),
            ending="won" if k < wins else "lost",
            truncated=False,
        )
        for task, wins in (("a", 3), ("b", 8), ("c", 0))
        for k in range(10)
    ]
    dealt = permute_outcomes(attempts, seed=1)
    assert [each.id for each in dealt] == [each.id for each in attempts]
    before, after = (Counter((a.task, a.outcome, a.ending) for a in x) for x in (attempts, dealt))
    assert before == after
    assert dealt != attempts
    assert dealt == permute_outcomes(attempts, seed=1)
    assert all((a.ending == "won") == (a.outcome is Outcome.SUCCESS) for a in dealt)


def test_of_equal_settings_the_weaker_is_chosen() -> None:
    wins = {cell: ["L"] * len(GRID[cell]) for cell in CELLS}
    wins["failure_abstract"][7] = wins["failure_abstract"][3] = "W"
    result = TuneResult(
        seed=1,
        plan=TINY,
        none="L",
        endings={cell: tuple(letters) for cell, letters in wins.items()},
    )
    chosen = chosen_settings([result])
    assert chosen["failure_abstract"] == Setting(nats=4.0, shape=2)  # place 7; place 3 has 8 nats
    assert chosen["success_concrete"] == GRID["success_concrete"][0]


def test_kinds_of_lessons_fall_into_cells() -> None:
    assert cell_of(_loss("a")) == "failure_concrete"
    assert cell_of(Lesson(id="1", kind="avoid", text="")) == "failure_abstract"
    assert cell_of(Lesson(id="1", kind="strategy", text="")) == "success_abstract"
    assert cell_of(Lesson(id="1", kind="demonstration", text="")) == "success_concrete"
    assert cell_of(Lesson(id="1", kind="principle", text="")) is None


def _test(game_set: plans.GameSet, seed: int, endings: dict[Arm, str]) -> GameResult:
    rows = [
        Row(arm, "all", 0, collection, letters, (10,) * len(letters))
        for arm, letters in endings.items()
        for collection in ((-1,) if arm == "none" else (0, 1))
    ]
    return GameResult(
        game_set=game_set,
        seed=seed,
        plan=TINY,
        settings={},
        model="",
        rows=tuple(rows),
        needs_new_tool=False,
        n_walkthrough=0,
        n_forbidden=(0, 0),
    )


HOME: dict[Arm, str] = {
    "none": "LLLL",
    "success_concrete": "WWLL",
    "failure_abstract": "WLLT",
    "success_abstract": "WLLL",
    "failure_concrete": "LLLL",
    "both": "WWWL",
    "permuted_failure": "LLLL",
}
AWAY: dict[Arm, str] = HOME | {"success_concrete": "LLLL", "failure_abstract": "WWWT"}


def test_named_contrasts_by_hand() -> None:
    outcomes = Outcomes([_test("near", 1, HOME), _test("only_foods", 2, AWAY)], n_collections=2)
    both, rules, travel = named_contrasts(outcomes)
    assert both.value == pytest.approx((0.25 + 0.75) / 2)
    assert rules.value == pytest.approx((0.25 + 0.75) / 2)
    assert travel.value == pytest.approx((0.75 - 0.25) - (0.0 - 0.5))
    assert None not in (both.p_holm, rules.p_holm, travel.p_holm)
    form = form_by_source(outcomes, ["near"])
    assert form.value == pytest.approx((0.25 - 0.0) - (0.25 - 0.5))


def test_a_lower_limit_turns_late_wins_into_time_outs() -> None:
    tests = [_test("near", 1, HOME)]
    at_ten, at_nine = (Outcomes(tests, n_collections=2, max_steps=n) for n in (10, 9))
    won = [x.values(Condition("both"), "near", ending="won").mean() for x in (at_ten, at_nine)]
    timed = at_nine.values(Condition("both"), "near", ending="timed_out")
    assert (*won, timed.mean()) == (0.75, 0.0, 1.0)


def test_none_stands_beside_every_collection_and_missing_attempts_are_undefined() -> None:
    outcomes = Outcomes([_test("near", 1, HOME)], n_collections=2)
    assert outcomes.values(Condition("none"), "near", ending="lost").shape == (2, 1, 4)
    missing = difference(
        outcomes, Condition("coin_failure"), Condition("none"), sets=["near"], ending="won"
    )
    assert missing.value is None


def test_a_model_is_told_losses_by_naming_them_and_rules_with_their_alternative() -> None:
    pytest.importorskip("textworld", reason='needs pip install "twiceshy[textworld]"')
    rule = Lesson(
        id="r",
        kind="avoid",
        text="Use 'cook' when food is raw instead of using it when food is cooked.",
        pattern="cook | food.cooked",
        vocabulary="conditions",
        trigger="when food is cooked",
        action="'cook'",
        instead="'cook' when food is raw",
        author="human",
        status=Status.ACTIVE,
    )
    told = Told(ModelPlayer(completer=ScriptedCompleter({}), model="tiny"))
    game = _Recipe()
    loss = msgspec.structs.replace(_loss("a"), status=Status.ACTIVE, author="human")
    assert "instead of" in told.briefing(game, [rule]).text  # type: ignore[arg-type]
    assert "cook" in told.briefing(game, [loss]).text  # type: ignore[arg-type]
    assert told.briefing(game, []).text == ""  # type: ignore[arg-type]


class _Recipe:
    """As much of a game as telling needs."""

    directions = ("cook the onion when food is cooked", "prepare meal")


class _First(BaseHTTPRequestHandler):
    """An endpoint whose model always takes the first command."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "1"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("games")


@pytest.mark.slow
def test_a_model_behind_an_endpoint_plays_every_arm(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: generates games."""
    pytest.importorskip("textworld", reason='needs pip install "twiceshy[textworld]"')
    pytest.importorskip("openai", reason='needs pip install "twiceshy[openai]"')
    from twiceshy.integrations.textworld import asymmetric_memory as study

    told = msgspec.structs.replace(TINY, n_validation=0, validation_seeds=0, max_steps=3)
    monkeypatch.setattr(study, "told_plan", lambda: told)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _First)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        report = study.run_asymmetric_memory(tmp_path, cache=cache, model_url=url, model="first")
    finally:
        server.shutdown()
        server.server_close()
    assert report.manifest["player"] == ["first"]
    arms = {each["name"].split(",")[0] for each in report.numbers["rates"]}
    assert arms == set(ARMS) - {"coin_failure"}


@pytest.mark.slow
def test_the_whole_study_in_the_small(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow: generates five games. It resumes, repeats itself, and refuses another plan."""
    pytest.importorskip("textworld", reason='needs pip install "twiceshy[textworld]"')
    from twiceshy.integrations.textworld import asymmetric_memory as study

    monkeypatch.setattr(study, "quick_plan", lambda: TINY)
    done = list[str]()
    first = study.run_asymmetric_memory(
        tmp_path / "a", quick=True, cache=cache, progress=lambda _a, _b, name: done.append(name)
    )
    assert len(done) == 2 + 2 * 2 * 3 + 1 + 2
    assert first.numbers["n_test_games"] == 2
    done.clear()
    lost = tmp_path / "a" / "jobs" / "test-near-5000.json"
    kept = lost.read_bytes()
    lost.unlink()
    again = study.run_asymmetric_memory(
        tmp_path / "a", quick=True, cache=cache, progress=lambda _a, _b, name: done.append(name)
    )
    assert done == ["test-near-5000"]
    assert json.loads(lost.read_bytes()) == json.loads(kept)
    assert again.numbers == first.numbers
    monkeypatch.setattr(study, "quick_plan", lambda: msgspec.structs.replace(TINY, max_steps=21))
    with pytest.raises(BadInput, match="plan"):
        study.run_asymmetric_memory(tmp_path / "a", quick=True, cache=cache)
