from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from local_model import real_model
from twiceshy.attempts.codec import decode_lesson
from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.demo_data import demo_path
from twiceshy.errors import BadInput
from twiceshy.integrations.textworld import (
    ARMS,
    Briefing,
    Briefings,
    CookingGame,
    GameId,
    ModelPlayer,
    collect,
    load_game,
    model_player,
    policy_name,
)
from twiceshy.integrations.textworld.games import ensure_game
from twiceshy.integrations.textworld.literals import History, options
from twiceshy.integrations.textworld.model_player import choice_of, prompt_of
from twiceshy.integrations.textworld.scene import scene
from twiceshy.lessons import Lesson
from twiceshy.models import Request, ScriptedCompleter

pytest.importorskip("textworld", reason='needs pip install "twiceshy[textworld]"')

GAME = GameId("train", 1003)
NUMBERED = re.compile(r"^(\d+)\. (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("games")
    ensure_game(GAME, folder)
    return folder


@pytest.fixture(scope="module")
def game(cache: Path) -> CookingGame:
    return load_game(ensure_game(GAME, cache))


@pytest.fixture(scope="module")
def lessons() -> tuple[Lesson, ...]:
    lines = gzip.decompress(demo_path("lessons").read_bytes()).splitlines()
    return tuple(decode_lesson(line) for line in lines)


def player(answer: Callable[[dict[str, int], str], str], *, veto: bool = False) -> ModelPlayer:
    """A model that sees the numbered commands of its prompt."""

    def said(request: Request) -> str:
        listed = {text: int(n) for n, text in NUMBERED.findall(request.prompt)}
        return answer(listed, request.prompt)

    return ModelPlayer(completer=ScriptedCompleter(said), model="scripted", veto=veto)


def follow(game: CookingGame) -> ModelPlayer:
    """A model that knows the walkthrough."""

    def answer(listed: dict[str, int], prompt: str) -> str:
        line = next(each for each in prompt.splitlines() if each.startswith("Done so far: "))
        done = line.removeprefix("Done so far: ").rstrip(".").split(", ")
        todo = [each for each in game.walkthrough if each not in done and each in listed]
        return f"{listed[todo[0]]}." if todo else "0"

    return player(answer)


def prompts_of(told: ModelPlayer) -> list[str]:
    assert isinstance(told.completer, ScriptedCompleter)
    return told.completer.prompts


def test_a_model_that_knows_the_walkthrough_wins(game: CookingGame) -> None:
    made = follow(game)
    played = made.play(game, key="k", max_steps=40)
    assert (played.ending, played.n_unread) == ("won", 0)
    assert len(prompts_of(made)) == len(played.taken)
    assert "The recipe: not read." in prompts_of(made)[0]
    assert game.directions[0] in prompts_of(made)[-1]


def test_the_recipe_is_told_once_it_was_read_and_closed_things_hide(game: CookingGame) -> None:
    start = game.start()
    before, after = (scene(game, start, was_read=read) for read in (False, True))
    assert game.directions[0] not in before
    assert game.directions[0] in after
    now = start
    for verb, what in (("open", "fridge"), ("take", "knife"), ("insert", "knife into fridge")):
        texts = [each.text for each in game.commands(now)]
        wanted = next((text for text in texts if text.startswith(f"{verb} {what}")), None)
        now = game.step(now, wanted) if wanted else now
    assert "At the fridge: knife (sharp)." in scene(game, now, was_read=False)
    closed = scene(game, game.step(now, "close fridge"), was_read=False)
    assert "The fridge is closed." in closed
    assert "knife" not in closed


@pytest.mark.parametrize(
    ("answer", "place"),
    [("1", 0), ("Number: 2", 1), ("99", None), ("0", None), ("", None), ("I cannot.", None)],
)
def test_what_an_answer_names(game: CookingGame, answer: str, place: int | None) -> None:
    choices = options(game, game.start(), history=History())
    assert choice_of(answer, choices) == place
    named = f"I will {choices[-1].command.text}!"
    assert choice_of(named, choices) == len(choices) - 1


def test_answers_that_cannot_be_read_are_counted_and_drawn_at_random(game: CookingGame) -> None:
    mute = player(lambda _listed, _prompt: "Sure!")
    first, again = (mute.play(game, key="k", max_steps=6) for _ in range(2))
    other = mute.play(game, key="l", max_steps=6)
    assert first.n_unread == len(first.taken)
    assert first == again
    assert [each.command for each in first.taken] != [each.command for each in other.taken]


def test_a_veto_leaves_out_what_a_lesson_speaks_against(
    game: CookingGame, lessons: tuple[Lesson, ...]
) -> None:
    eat = next(each for each in lessons if each.pattern == "eat | food is in recipe")

    def hungry(listed: dict[str, int], prompt: str) -> str:
        verbs = ("eat", "take", "open", "close") if "not read" not in prompt else ("examine",)
        return str(next(n for verb in verbs for text, n in listed.items() if verb in text))

    briefing = Briefing("<lessons>\n- Eat the meal alone.\n</lessons>\n", (eat,))
    told = player(hungry)
    played = told.play(game, key="k", max_steps=30, briefing=briefing)
    assert (played.ending, played.n_vetoed) == ("lost", 0)
    assert all(each.startswith(briefing.text) for each in prompts_of(told))
    held = player(hungry, veto=True)
    played = held.play(game, key="k", max_steps=30, briefing=briefing)
    assert played.ending == "max_steps"
    assert played.n_vetoed > 0


def test_what_each_arm_is_told(game: CookingGame, lessons: tuple[Lesson, ...]) -> None:
    told = {arm: Briefings(arm, lessons).of(GAME, game) for arm in ARMS}
    assert told["none"] == Briefing()
    assert "instead" in told["failure_only"].text
    assert "passing attempt" not in told["failure_only"].text
    assert "passing attempt" in told["success_only"].text
    assert told["success_only"].avoid == told["placebo"].avoid == ()
    assert told["both"].avoid
    assert "passing attempt" in told["both"].text
    assert str(GAME) not in told["success_only"].text
    words = (told["both"].text + told["failure_only"].text).split()
    body = [line for line in told["placebo"].text.splitlines() if line.startswith("- ")]
    assert body
    assert not {"cook", "recipe", "cookbook)"} & {word for line in body for word in line.split()}
    assert abs(len(told["placebo"].text) / len(told["both"].text) - 1) < 0.2, words
    with pytest.raises(BadInput, match="both"):
        Briefings("both")


def test_an_arm_is_collected_by_a_model(
    game: CookingGame, cache: Path, lessons: tuple[Lesson, ...], tmp_path: Path
) -> None:
    out, model = tmp_path / "made.jsonl", follow(game)

    def made(arm: str, processes: int = 1) -> list[Attempt]:
        chosen = next(each for each in ARMS if each == arm)
        return list(
            collect(
                games=[GAME],
                attempts_per_game=2,
                arm=chosen,
                lessons=lessons,
                out=out,
                cache=cache,
                processes=processes,
                player=model,
            )
        )

    attempts = made("both")
    assert [each.outcome for each in attempts] == [Outcome.SUCCESS] * 2
    assert {each.policy for each in attempts} == {policy_name("both", player=model)}
    assert attempts[0].policy == "cook-scripted-1+both"
    assert attempts[0].extra["n_unread"] == 0
    asked = len(prompts_of(model))
    assert made("both") == attempts
    assert len(prompts_of(model)) == asked
    assert len(made("none", processes=2)) == 2
    assert len(prompts_of(model)) > asked


def test_a_model_that_cannot_be_reached_ends_the_collection(cache: Path) -> None:
    pytest.importorskip("openai", reason="needs the openai extra")
    away = model_player("nobody", url="http://127.0.0.1:1/v1")
    with pytest.raises(BadInput, match="unreachable"):
        list(collect(games=[GAME], attempts_per_game=1, cache=cache, player=away))


def test_the_prompt_begins_with_what_stays_the_same(game: CookingGame) -> None:
    choices = options(game, game.start(), history=History())
    first = prompt_of("A room.", choices, told="<lessons>\n</lessons>\n")
    later = prompt_of("A room.", choices, told="<lessons>\n</lessons>\n", before=choices[:1])
    shared = first.index("Done so far")
    assert first[:shared] == later[:shared]


@pytest.mark.slow
def test_a_small_real_model_plays(
    cache: Path, lessons: tuple[Lesson, ...]
) -> None:  # a real server on loopback: half a minute
    pytest.importorskip("openai", reason="needs the openai extra")
    with real_model() as url:
        model = model_player("smollm2", url=url, veto=True)
        attempts = list(
            collect(
                games=[GAME],
                attempts_per_game=1,
                arm="both",
                lessons=lessons,
                cache=cache,
                player=model,
            )
        )
    (attempt,) = attempts
    assert attempt.policy == "cook-smollm2-1+veto+both"
    assert attempt.outcome.is_scored
    assert 0 <= attempt.extra["n_unread"] <= len(attempt.steps) <= GAME.rule.max_steps
