"""Attempts at cooking games, written as they are made and taken up where they stopped."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from twiceshy.attempts.codec import attempt_id, decode_attempt, decode_lesson, encode
from twiceshy.attempts.types import Attempt, Outcome, Verdict
from twiceshy.errors import BadInput
from twiceshy.integrations.textworld.advice import (
    Arm,
    advice_of,
    lessons_for,
    task_words,
)
from twiceshy.integrations.textworld.agent import POLICY, Played, play
from twiceshy.integrations.textworld.games import GameId, ensure_game, parse_games
from twiceshy.integrations.textworld.literals import step_of
from twiceshy.integrations.textworld.model_player import Briefings, ModelPlayed, ModelPlayer
from twiceshy.integrations.textworld.runner import CookingGame, load_game
from twiceshy.lessons import Lesson

Progress = Callable[[int, int], None]
"""Called with (attempts done, attempts in all)."""


class Collected(NamedTuple):
    """What is in the file after a collection."""

    n_new: int
    n_kept: int
    """Attempts that were in the file already."""
    won: int
    lost: int
    timed_out: int
    """These three count all attempts asked for, new and kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """The attempts at one game that are still to be made."""

    game: GameId
    trials: tuple[int, ...]
    arm: Arm
    lessons: tuple[Lesson, ...]
    cache: Path | None
    player: ModelPlayer | None = None
    briefings: Briefings | None = None
    """For a player that is a model."""

    @property
    def policy(self) -> str:
        """The name the attempts are recorded under."""
        return policy_name(self.arm, player=self.player)


def policy_name(arm: Arm, *, player: ModelPlayer | None = None) -> str:
    """Return the policy an arm's attempts are recorded under.

    Example:
        >>> policy_name("none"), policy_name("both")
        ('cook-softmax-1', 'cook-softmax-1+both')
    """
    base = POLICY if player is None else player.policy
    return base if arm == "none" else f"{base}+{arm}"


def collect(
    *,
    games: Iterable[GameId],
    attempts_per_game: int = 8,
    arm: Arm = "none",
    lessons: Sequence[Lesson] = (),
    seed: int = 0,
    out: Path | None = None,
    cache: Path | None = None,
    processes: int = 1,
    player: ModelPlayer | None = None,
    progress: Progress | None = None,
) -> Iterator[Attempt]:
    """Play games and yield the attempts, in order of game and trial.

    Trial k of a game uses seed `seed + k` whatever the arm, so two arms with the same trials are
    paired and share their random numbers. An attempt that runs out of steps is a *failure* and not
    broken: the step limit belongs to the task as posed to every policy, and using it up is the
    policy's doing. Its ending is "max_steps" and `truncated` is set, so that it is never mistaken
    for a lost one.

    Args:
        games: The games; generated into the cache when they are not there.
        attempts_per_game: Trials per game.
        arm: Which lessons the agent uses.
        lessons: Where the arm's lessons are taken from.
        seed: Seed of the first trial.
        out: JSONL file the attempts are appended to. Attempts it holds are not made again; they
            are yielded as they are. A last line that was cut off is dropped.
        cache: Folder of games; None for `games.default_cache()`.
        processes: Worker processes; 1 plays in this one. With a model as the player they are
            threads.
        player: A language model that plays in place of the stochastic agent. It is told the arm's
            lessons in words, as recall renders them.
        progress: Called after every attempt.

    Raises:
        BadInput: Not one attempt is asked for, the arm lacks lessons, or `out` holds something
            that is not an attempt.
        MissingExtra: textworld is not installed.
    """
    wanted = tuple(games)
    if attempts_per_game < 1 or not wanted:
        raise BadInput("at least one game and one attempt per game")
    chosen, policy = lessons_for(arm, lessons), policy_name(arm, player=player)
    briefings = None if player is None else Briefings(arm, tuple(lessons))
    known = _read_known(out) if out is not None else {}
    trials = range(seed, seed + attempts_per_game)
    jobs = [
        _Job(
            game=game,
            trials=tuple(t for t in trials if (str(game), str(t), policy) not in known),
            arm=arm,
            lessons=chosen,
            cache=cache,
            player=player,
            briefings=briefings,
        )
        for game in wanted
    ]
    return _run(jobs, known, trials=trials, out=out, processes=processes, progress=progress)


_Key = tuple[str, str, str]


def _run(
    jobs: Sequence[_Job],
    known: dict[_Key, Attempt],
    *,
    trials: range,
    out: Path | None,
    processes: int,
    progress: Progress | None,
) -> Iterator[Attempt]:
    n_done, n_all = 0, len(jobs) * len(trials)
    for job, made in _made(jobs, processes):
        fresh = {_key(attempt): attempt for attempt in _written(made, out)}
        for trial in trials:
            key = (str(job.game), str(trial), job.policy)
            n_done += 1
            if progress is not None:
                progress(n_done, n_all)
            yield fresh[key] if key in fresh else known[key]


def _made(jobs: Sequence[_Job], processes: int) -> Iterator[tuple[_Job, Iterable[Attempt]]]:
    """Play the jobs; in this process lazily, so that each attempt is written once it is made."""
    if processes <= 1:
        yield from ((job, _attempts(job)) for job in jobs)
        return
    by_model = any(job.player is not None for job in jobs)
    with ThreadPoolExecutor(processes) if by_model else ProcessPoolExecutor(processes) as pool:
        yield from zip(jobs, pool.map(_attempt_list, jobs), strict=True)


def _attempt_list(job: _Job) -> list[Attempt]:
    return list(_attempts(job))


def _attempts(job: _Job) -> Iterator[Attempt]:
    if not job.trials:
        return
    game = load_game(ensure_game(job.game, job.cache))
    for trial in job.trials:
        key, limit = f"{job.game}|{trial}", job.game.rule.max_steps
        played: Played | ModelPlayed
        if job.player is not None and job.briefings is not None:
            told = job.briefings.of(job.game, game)
            played = job.player.play(game, key=key, max_steps=limit, briefing=told)
        else:
            advice = advice_of(job.arm, job.lessons, game=game, key=key)
            played = play(game, key=key, max_steps=limit, advice=advice)
        extra = {"arm": job.arm}
        yield attempt_of(job.game, game, played=played, trial=trial, policy=job.policy, extra=extra)


def attempt_of(
    game_id: GameId,
    game: CookingGame,
    *,
    played: Played | ModelPlayed,
    trial: int,
    policy: str,
    extra: Mapping[str, Any] | None = None,
) -> Attempt:
    """Return what was played as an attempt, judged by the game.

    Args:
        game_id: The game's identity, the attempt's task.
        game: The game.
        played: What a player did.
        trial: Number of the attempt at the game.
        policy: The name it is recorded under.
        extra: What else to keep with it.
    """
    won = played.ending == "won"
    said = {} if isinstance(played, Played) else played.counts
    attempt = Attempt(
        task=str(game_id),
        verdict=Verdict(
            outcome=Outcome.SUCCESS if won else Outcome.FAILURE,
            reward=float(won),
            source="verifier",
        ),
        policy=policy,
        trial=str(trial),
        prompt=task_words(game),
        steps=tuple(step_of(option) for option in played.taken),
        ending=played.ending,
        truncated=played.ending == "max_steps",
        split=game_id.rule.split,
        extra={"set": game_id.game_set, "seed": trial, **(extra or {}), **said},
    )
    return msgspec.structs.replace(attempt, id=attempt_id(attempt))


def _key(attempt: Attempt) -> _Key:
    return attempt.task, attempt.trial or "", attempt.policy


def _written(attempts: Iterable[Attempt], out: Path | None) -> Iterator[Attempt]:
    for attempt in attempts:
        if out is not None:
            with out.open("ab") as file:
                file.write(encode(attempt) + b"\n")
        yield attempt


def _read_known(out: Path) -> dict[_Key, Attempt]:
    if out.suffix in (".gz", ".zst", ".xz", ".bz2"):
        raise BadInput("a plain .jsonl file to append to", got=str(out), fix="Compress it after.")
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        return {}
    data = out.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(out, len(whole))
    known: dict[_Key, Attempt] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            attempt = decode_attempt(line)
        except BadInput as error:
            raise BadInput(
                "a file of collected attempts",
                got=str(error),
                where=f"{out}:{number}",
                fix="Give a new file.",
            ) from error
        known[_key(attempt)] = attempt
    return known


def collect_to_file(
    *,
    games: Sequence[str],
    out: Path,
    attempts_per_game: int = 8,
    arm: Arm = "none",
    lessons_file: Path | None = None,
    seed: int = 0,
    cache: Path | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> Collected:
    """Collect attempts into a JSONL file, going on where an earlier run stopped.

    Args:
        games: Names of games and sets; see `games.parse_games`.
        out: The file, plain JSONL.
        attempts_per_game: Trials per game.
        arm: Which lessons the agent uses.
        lessons_file: JSONL of lessons, for every arm but "none".
        seed: Seed of the first trial.
        cache: Folder of games; None for `games.default_cache()`.
        processes: Worker processes.
        progress: Called after every attempt.

    Raises:
        BadInput: See `collect`; or a line of `lessons_file` is not a lesson.
        MissingExtra: textworld is not installed.
    """
    lessons = _read_lessons(lessons_file) if lessons_file is not None else []
    n_before = len(_read_known(out))
    endings = Counter(
        attempt.ending
        for attempt in collect(
            games=parse_games(games),
            attempts_per_game=attempts_per_game,
            arm=arm,
            lessons=lessons,
            seed=seed,
            out=out,
            cache=cache,
            processes=processes,
            progress=progress,
        )
    )
    n_new = len(_read_known(out)) - n_before
    return Collected(
        n_new=n_new,
        n_kept=endings.total() - n_new,
        won=endings["won"],
        lost=endings["lost"],
        timed_out=endings["max_steps"],
    )


def _read_lessons(path: Path) -> list[Lesson]:
    if not path.is_file():
        raise BadInput("a file of lessons", got=f"no {path}", fix="Make it with twiceshy learn.")
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    lessons = []
    for number, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            try:
                lessons.append(decode_lesson(line))
            except BadInput as error:
                raise BadInput("a lesson", got=str(error), where=f"{path}:{number}") from error
    return lessons
