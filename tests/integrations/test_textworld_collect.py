from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from twiceshy.attempts.codec import decode_attempt, encode
from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.demo_data import demo_path
from twiceshy.errors import BadInput
from twiceshy.integrations.textworld import (
    GameId,
    collect,
    collect_to_file,
    game_ids,
    load_game,
    parse_games,
    policy_name,
)
from twiceshy.integrations.textworld.advice import (
    AVOID_NATS,
    CoinAvoidance,
    Imitation,
    Rules,
    lessons_for,
)
from twiceshy.integrations.textworld.agent import play
from twiceshy.integrations.textworld.games import ensure_game, settings_of
from twiceshy.integrations.textworld.literals import (
    History,
    Option,
    options,
    walkthrough_literals,
)
from twiceshy.integrations.textworld.runner import READ, Command
from twiceshy.lessons import Lesson
from twiceshy.memory.contrast.conditions import holds, matches, parse_pattern

pytest.importorskip("textworld", reason='needs pip install "twiceshy[textworld]"')

GAME = GameId("train", 1003)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("games")
    for game in (GAME, GameId("near", 5000)):
        ensure_game(game, folder)
    return folder


def _lessons() -> list[Lesson]:
    from twiceshy.attempts.codec import decode_lesson

    lines = gzip.decompress(demo_path("lessons").read_bytes()).splitlines()
    return [decode_lesson(line) for line in lines]


# Games


def test_names_of_games() -> None:
    assert [g.seed for g in parse_games(["near:2", "cooking/more_food/7001"])] == [5000, 5001, 7001]
    assert len(parse_games(["train"])) == 200
    for bad in ("nowhere", "near:x", "near:0", "cooking/near/1", "cooking/nowhere/5000", "a/b"):
        with pytest.raises(BadInput):
            parse_games([bad])


def test_sets_do_not_share_seeds() -> None:
    names = ("train", "validation", "near", "more_food", "more_rooms", "new_tool")
    seeds = [game.seed for game in parse_games(names)]
    assert len(seeds) == len(set(seeds))
    assert settings_of(GameId("more_rooms", 9000))["go"] == 6


# Literals


def test_the_recipe_is_unknown_until_it_is_read(cache: Path) -> None:
    game = load_game(ensure_game(GAME, cache))
    unread = options(game, game.start(), history=History())
    assert not any("recipe" in literal for option in unread for literal in option.literals)
    (read,) = [option for option in unread if option.command.text == READ]
    after = options(game, game.step(game.start(), READ), history=History().after(read.command))
    wanted = {preparation.food for preparation in game.recipe}
    for option in after:
        assert "recipe is read" in option.literals
        assert ("food is in recipe" in option.literals) == (option.roles.get("food") in wanted)


def test_literals_name_no_thing_of_the_game(cache: Path) -> None:
    game = load_game(ensure_game(GAME, cache))
    foods = {name for name, kind in game.kinds.items() if kind == "f"}
    for _, literals in walkthrough_literals(game):
        assert not any(food in literal for literal in literals for food in foods)


def test_what_the_recipe_wants_is_compared_with_the_food(cache: Path) -> None:
    game = load_game(ensure_game(GAME, cache))
    seen = list(walkthrough_literals(game))
    for verb, literals in seen:
        cuts = {"chop": "chopped", "slice": "sliced", "dice": "diced"}
        if verb in cuts:
            assert f"recipe still wants {cuts[verb]}" in literals
        if verb == "prepare":
            assert "nothing is left to prepare" in literals
    assert {"prepare", "eat"} <= {verb for verb, _ in seen}


# The agent and its lessons


def test_an_attempt_follows_from_its_key(cache: Path) -> None:
    game = load_game(ensure_game(GAME, cache))
    first = play(game, key="a", max_steps=40)
    again = play(load_game(ensure_game(GAME, cache)), key="a", max_steps=40)
    other = play(game, key="b", max_steps=40)
    assert [o.command for o in first.taken] == [o.command for o in again.taken]
    assert [o.command for o in first.taken] != [o.command for o in other.taken]


def _option(verb: str, *literals: str) -> Option:
    return Option(Command(f"{verb} x", verb, ("x",)), {"food": "x"}, frozenset(literals))


def test_avoidance_takes_nats_off_matching_commands_only() -> None:
    advice = Rules([Lesson(id="1", kind="avoid", text="", pattern="cook | food.cooked")])
    choices = [_option("cook", "food.cooked"), _option("cook"), _option("eat", "food.cooked")]
    assert advice.bonus(choices) == [AVOID_NATS, 0.0, 0.0]


def test_the_placebo_has_the_dose_and_not_the_trigger() -> None:
    extra = {"n_steps": 30, "n_verb_steps": 100}
    lesson = Lesson(id="1", kind="avoid", text="", pattern="cook | food.cooked", extra=extra)
    choices = [_option("cook", "food.cooked"), _option("eat")]
    picked: Counter[int] = Counter()
    for trial in range(500):
        advice = CoinAvoidance([lesson], key=str(trial))
        for _ in range(4):
            picked.update(i for i, nats in enumerate(advice.bonus(choices)) if nats)
            advice.took(choices[0])
    assert picked[1] == 0
    assert 0.25 < picked[0] / 2000 < 0.35


def test_a_demonstrated_step_pulls_once() -> None:
    moves: list[dict[str, object]] = [
        {"verb": "take", "facts": ["food.raw", "place.open"]},
        {"verb": "eat", "facts": []},
    ]
    lesson = Lesson(id="1", kind="demonstration", text="", extra={"moves": moves})
    advice = Imitation([lesson], task="")
    same, half = _option("take", "food.raw", "place.open"), _option("take", "food.raw")
    assert advice.bonus([same, half, _option("drop")]) == [4.0, 1.0, 0.0]
    advice.took(same)
    assert advice.bonus([same, half]) == [0.0, 0.0]


def test_after_reading_the_demonstration_with_the_most_similar_recipe_is_followed() -> None:
    def shown(name: str, verb: str) -> Lesson:
        moves: list[dict[str, object]] = [
            {"verb": "examine", "facts": []},
            {"verb": verb, "facts": ["recipe is read"]},
        ]
        return Lesson(id=name, kind="demonstration", text="", trigger=name, extra={"moves": moves})

    advice = Imitation([shown("fry onion", "cook"), shown("dice carrot", "dice")], task="dice leek")
    cook, dice = _option("cook", "recipe is read"), _option("dice", "recipe is read")
    assert advice.bonus([cook, dice]) == [0.0, 4.0]


def test_an_arm_without_its_lessons_is_refused(cache: Path) -> None:
    lessons = _lessons()
    assert {x.kind for x in lessons_for("both", lessons)} == {"avoid", "demonstration"}
    assert lessons_for("none", lessons) == ()
    only = [lesson for lesson in lessons if lesson.kind == "avoid"]
    with pytest.raises(BadInput, match="both"):
        lessons_for("both", only)
    with pytest.raises(BadInput, match="placebo"):
        collect(games=[GAME], arm="placebo", cache=cache)


def test_the_shipped_rules_forbid_no_step_of_a_walkthrough(cache: Path) -> None:
    rules = [parse_pattern(x.pattern) for x in _lessons() if x.kind == "avoid"]
    assert len(rules) >= 4
    for game in (GAME, GameId("near", 5000)):
        for verb, literals in walkthrough_literals(load_game(ensure_game(game, cache))):
            assert not any(holds(rule, verb=verb, facts=literals) for rule in rules)


# Collecting


def test_attempts_say_how_they_ended(cache: Path) -> None:
    attempts = list(collect(games=[GAME], attempts_per_game=12, cache=cache))
    assert [a.trial for a in attempts] == [str(k) for k in range(12)]
    assert len({a.id for a in attempts}) == 12
    for attempt in attempts:
        assert (attempt.outcome is Outcome.SUCCESS) == (attempt.ending == "won")
        assert attempt.truncated == (attempt.ending == "max_steps")
        assert attempt.truncated == (len(attempt.steps) == 40 and attempt.ending != "lost")
        assert attempt.split == "train"
        assert decode_attempt(encode(attempt)) == attempt
    assert {a.ending for a in attempts} >= {"lost"}


def test_arms_with_one_seed_share_their_randomness(cache: Path) -> None:
    lessons = _lessons()
    plain = collect(games=[GAME], attempts_per_game=6, cache=cache)
    careful = collect(
        games=[GAME], attempts_per_game=6, arm="failure_only", lessons=lessons, cache=cache
    )
    rules = [lesson for lesson in lessons if lesson.kind == "avoid"]
    n_changed = 0
    for before, after in zip(plain, careful, strict=True):
        assert (before.policy, after.policy) == (policy_name("none"), policy_name("failure_only"))
        same = [x.text == y.text for x, y in zip(before.steps, after.steps, strict=False)]
        if not all(same):
            # Until the first difference they agree, and there the rules forbade what was done.
            n_changed += 1
            assert any(matches(rule, before.steps[same.index(False)]) for rule in rules)
    assert n_changed


def test_collecting_goes_on_where_it_stopped(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "attempts.jsonl"
    whole = list(collect(games=[GAME], attempts_per_game=5, cache=cache))
    list(collect(games=[GAME], attempts_per_game=3, cache=cache, out=out))
    with out.open("ab") as file:
        file.write(encode(whole[3])[:50])  # interrupted while writing
    ticks: list[tuple[int, int]] = []
    again = collect_to_file(
        games=[str(GAME)],
        attempts_per_game=5,
        cache=cache,
        out=out,
        progress=lambda done, total: ticks.append((done, total)),
    )
    assert (again.n_new, again.n_kept) == (2, 3)
    assert again.won + again.lost + again.timed_out == 5
    assert ticks == [(k, 5) for k in range(1, 6)]
    assert [decode_attempt(line) for line in out.read_bytes().splitlines()] == whole


def test_two_processes_make_the_same_attempts(cache: Path, tmp_path: Path) -> None:
    games = [GAME, GameId("near", 5000)]
    one = list(collect(games=games, attempts_per_game=2, cache=cache))
    out = tmp_path / "two.jsonl"
    two = list(collect(games=games, attempts_per_game=2, cache=cache, processes=2, out=out))
    assert one == two
    assert len(out.read_bytes().splitlines()) == 4


def test_a_file_of_something_else_is_not_written_to(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    out.write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(BadInput, match=r"x\.jsonl:1"):
        collect(games=[GAME], cache=cache, out=out)
    with pytest.raises(BadInput, match="plain"):
        collect(games=[GAME], cache=cache, out=tmp_path / "x.jsonl.gz")
    with pytest.raises(BadInput, match="at least one game"):
        collect(games=[], cache=cache)
    with pytest.raises(BadInput, match="lessons"):
        collect_to_file(games=["train:1"], out=tmp_path / "y.jsonl", lessons_file=tmp_path / "no")


def test_a_shipped_attempt_can_be_made_again(tmp_path: Path) -> None:
    lines = gzip.decompress(demo_path("train").read_bytes()).splitlines()
    shipped = [decode_attempt(line) for line in lines[:8]]
    games = game_ids("train", 1)
    assert list(collect(games=games, attempts_per_game=8, cache=tmp_path)) == shipped


def _records(name: str) -> list[Attempt]:
    path = demo_path("trial" if name == "trial" else "held_out")
    return [decode_attempt(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def test_a_shipped_trial_can_be_made_again(cache: Path) -> None:
    wanted = {
        (a.extra["arm"], a.trial): a for a in _records("trial") if a.task == "cooking/near/5000"
    }
    for arm in ("placebo", "both"):
        made = collect(
            games=[GameId("near", 5000)],
            attempts_per_game=2,
            arm=arm,
            lessons=_lessons(),
            cache=cache,
        )
        for attempt in made:
            assert attempt == wanted[arm, attempt.trial]
