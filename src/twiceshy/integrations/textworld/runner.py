"""A light runner for cooking games: the same rules as the stock environment, without its planner.

The stock environment keeps a winning plan up to date at every step, which costs most of its time.
Here a state is the set of its facts; the admissible commands of a state and the state after a
command are remembered, so that many attempts at one game share the work.

Differs from the stock environment in two ways, both tested against it:

- commands that change nothing (look, inventory, examining anything but the cookbook) are left out;
- a quest whose plan can no longer work loses the game there. The only such case in these games is
  preparing the meal while an ingredient is not as the recipe says, so that is what is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from twiceshy.errors import BadInput, missing_extra

if TYPE_CHECKING:
    from textworld.generator.game import Game
    from textworld.logic import Action, Proposition, Signature, State

Ending = Literal["won", "lost"]
FactSet: TypeAlias = "frozenset[Proposition]"

_IDLE = ("look", "inventory", "examine")
READ = "examine cookbook"


class Fact(NamedTuple):
    """One fact with the names of its things: ("in", ("carrot", "fridge"))."""

    name: str
    things: tuple[str, ...]


class Command(NamedTuple):
    """An admissible command: its text, its verb and the things it acts on, in order."""

    text: str
    verb: str
    things: tuple[str, ...]


class Preparation(NamedTuple):
    """What the recipe asks of one ingredient."""

    food: str
    cooking: str
    """"raw", "fried", "roasted" or "grilled"."""
    cutting: str
    """"uncut", "chopped", "sliced" or "diced"."""


@dataclass(frozen=True, slots=True)
class _Quest:
    """A goal of the game, as sets of facts: it is met or failed when all facts of one set hold."""

    wins: tuple[FactSet, ...]
    fails: tuple[FactSet, ...]
    is_meal: bool
    """Whether it is about the meal itself, and so may still be open once the meal is prepared."""


class Situation(NamedTuple):
    """Where an attempt stands. Immutable; `CookingGame.step` returns the next one."""

    facts: FactSet
    met: frozenset[int]
    """Quests met so far; meeting one is never undone."""
    ending: Ending | None = None


@dataclass(slots=True)
class CookingGame:
    """One game, loaded: its start, its rules, and what it has worked out so far.

    Build it with `load_game`.
    """

    names: dict[str, str]
    """Readable name of each entity; its kind for the nameless ones."""
    kinds: dict[str, str]
    """TextWorld's type of each named thing ("f" for food, "stove", "d" for a door)."""
    recipe: tuple[Preparation, ...]
    directions: tuple[str, ...]
    """The recipe in words ("chop the carrot", …, "prepare meal")."""
    walkthrough: tuple[str, ...]
    _game: Game = field(repr=False)
    _quests: tuple[_Quest, ...] = field(repr=False)
    _actions: dict[FactSet, dict[Command, Action]] = field(default_factory=dict, repr=False)
    _next: dict[tuple[FactSet, str], FactSet] = field(default_factory=dict, repr=False)
    _signatures: dict[str, tuple[Signature, ...]] = field(default_factory=dict, repr=False)
    """Those a rule looks at, by its name."""
    _matches: dict[tuple[str, tuple[FactSet | None, ...]], list[tuple[Command, Action]]] = field(
        default_factory=dict, repr=False
    )

    def start(self) -> Situation:
        """Return the situation at the beginning of the game."""
        return self._judge(frozenset(self._game.world.state.facts), frozenset())

    def commands(self, situation: Situation) -> tuple[Command, ...]:
        """Return the admissible commands that can change something, sorted by text."""
        return tuple(self._actions_at(situation.facts))

    def facts(self, situation: Situation) -> frozenset[Fact]:
        """Return what holds, with readable names."""
        return frozenset(
            Fact(f.name, tuple(self.names[v.name] for v in f.arguments)) for f in situation.facts
        )

    def step(self, situation: Situation, command: str) -> Situation:
        """Return the situation after an admissible command.

        Raises:
            BadInput: The command is not admissible here, or the game is over.
        """
        if situation.ending is not None:
            raise BadInput("a game that goes on", got=f"a game that was {situation.ending}")
        after = self._next.get((situation.facts, command))
        if after is None:
            after = self._apply(situation.facts, command)
            self._next[situation.facts, command] = after
        return self._judge(after, situation.met)

    def _apply(self, facts: FactSet, command: str) -> FactSet:
        for each, action in self._actions_at(facts).items():
            if each.text == command:
                state = self._state(facts)
                state.apply(action)
                return frozenset(state.facts)
        raise BadInput("an admissible command", got=repr(command))

    def _actions_at(self, facts: FactSet) -> dict[Command, Action]:
        known = self._actions.get(facts)
        if known is None:
            pairs = [pair for rule in self._matched_rules(facts) for pair in rule]
            pairs.sort(key=lambda pair: pair[0].text)
            known = {c: a for c, a in pairs if c.verb not in _IDLE or c.text == READ}
            self._actions[facts] = known
        return known

    def _matched_rules(self, facts: FactSet) -> Iterator[list[tuple[Command, Action]]]:
        """Yield each rule's commands here; they depend on facts of the rule's own signatures alone.

        Most steps change a few facts, so most rules have been matched against the same ones before.
        """
        if not self._signatures:
            rules = self._game.kb.rules
            self._signatures.update({name: _signatures(self._game, name) for name in rules})
        by_signature: dict[Signature, list[Proposition]] = {}
        for fact in facts:
            by_signature.setdefault(fact.signature, []).append(fact)
        groups = {name: frozenset(held) for name, held in by_signature.items()}
        state: State | None = None
        for name, signatures in self._signatures.items():
            key = name, tuple(map(groups.get, signatures))
            matched = self._matches.get(key)
            if matched is None:
                state = state or self._state(facts)
                rule, constants = self._game.kb.rules[name], self._game.kb.types.constants_mapping
                found = state.all_instantiations(rule, constants)
                matched = [(self._command(action), action) for action in found]
                self._matches[key] = matched
            yield matched

    def _state(self, facts: FactSet) -> State:
        from textworld.logic import State

        return State(self._game.kb.logic, facts)

    def _command(self, action: Action) -> Command:
        names = {v.name: self.names[v.name] for v in action.variables}
        text = action.format_command(names)
        verb = text.split()[0]
        template = action.command_template or ""
        slots = ((template.find("{" + v.name + "}"), names[v.name]) for v in action.variables)
        things = sorted(slot for slot in slots if slot[0] >= 0)
        return Command(text, verb, tuple(name for _, name in things))

    def _judge(self, facts: FactSet, met: frozenset[int]) -> Situation:
        """Check every open quest, as the stock environment does: a met quest can no longer fail."""
        now, is_lost = set(met), False
        for i, quest in enumerate(self._quests):
            if i in met:
                continue
            if any(win <= facts for win in quest.wins):
                now.add(i)
            is_lost = is_lost or any(fail <= facts for fail in quest.fails)
        completable = [i for i, quest in enumerate(self._quests) if quest.wins]
        has_meal = any(i in now for i in completable if self._quests[i].is_meal)
        left = [i for i in completable if i not in now]
        is_lost = is_lost or (has_meal and any(not self._quests[i].is_meal for i in left))
        ending: Ending | None = "won" if not left else "lost" if is_lost else None
        return Situation(facts, frozenset(now), ending)


def load_game(path: Path) -> CookingGame:
    """Load a game from the JSON file TextWorld saved it to.

    Raises:
        MissingExtra: textworld is not installed.
    """
    try:
        from textworld import Game
    except ImportError as error:
        raise missing_extra("running TextWorld games", "textworld") from error
    game = Game.load(str(path))
    infos = game.infos
    directions = game.metadata["recipe"].split("Directions:")[1].split("\n")
    return CookingGame(
        names={key: info.name or info.type for key, info in infos.items()},
        kinds={info.name: info.type for info in infos.values() if info.name},
        recipe=tuple(Preparation(*each) for each in game.metadata["ingredients"]),
        directions=tuple(line.strip() for line in directions if line.strip()),
        walkthrough=tuple(game.metadata["walkthrough"]),
        _game=game,
        _quests=tuple(_quests(game)),
    )


def _signatures(game: Game, rule_name: str) -> tuple[Signature, ...]:
    """Return the signatures of facts that a rule's conditions can be met by."""
    from textworld.logic import Signature

    types = game.kb.logic.types
    found: dict[Signature, None] = {}
    for condition in game.kb.rules[rule_name].preconditions:
        wanted = [types.get(each) for each in condition.signature.types]
        for subtypes in types.multi_subtypes(wanted):
            found[Signature(condition.signature.name, [each.name for each in subtypes])] = None
    return tuple(found)


def _quests(game: Game) -> list[_Quest]:
    meals = {key for key, info in game.infos.items() if info.type == "meal"}
    quests = []
    for quest in game.quests:
        wins = tuple(frozenset(event.condition.preconditions) for event in quest.win_events)
        fails = tuple(frozenset(event.condition.preconditions) for event in quest.fail_events)
        is_meal = any(v.name in meals for win in wins for fact in win for v in fact.arguments)
        quests.append(_Quest(wins, fails, is_meal))
    return quests
