"""Estimates of p0, the rate of undeserved reward, from what a log holds.

Each says what it estimates and from how many. Where nothing in the log bears on p0 the value is
None, which means "not estimable" and is never taken for 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from twiceshy.attempts.types import Outcome
from twiceshy.frontier.facts import AttemptFacts, uses_tools

MAX_ANSWER = 64
"""Characters up to which an answer is compared with a key."""
MIN_TASKS = 10
"""Tasks from which an estimate is offered. Ours."""


class UndeservedRate(NamedTuple):
    """p0 with what it rests on."""

    value: float | None
    """None: not estimable from this log."""
    n: int
    """Tasks (or pairs of tasks) behind it."""
    source: str
    """What was counted, in words."""
    low: float | None = None
    """What the log proves at least; set for bounds, not a confidence limit."""
    high: float | None = None
    """What the log leaves possible at most."""


def estimate_p0(facts: Sequence[AttemptFacts]) -> UndeservedRate:
    """Return the best estimate of p0 that the log allows, or one with value None.

    Tasks with gold actions: the share that doing nothing passes. Other logs of tool use: the share
    at which an attempt that did nothing passed. Others, with answers: the chance that an answer to
    another question matches.
    """
    if any(fact.gold_asks_nothing is not None for fact in facts):
        return gold_rate(facts)
    if uses_tools(facts):
        return do_nothing_rate(facts)
    if any(fact.answer is not None for fact in facts):
        return cross_task_match(facts)
    return UndeservedRate(None, 0, "not estimable: the log has neither tool calls nor answers")


def gold_rate(facts: Iterable[AttemptFacts]) -> UndeservedRate:
    """Return the share of tasks whose gold solution changes nothing and asks for no output.

    What an agent that does nothing would be paid, where the reward compares the end state with the
    gold one (as in τ-bench). At such a task holding still may also be right, so as a rate of
    *undeserved* reward it is an upper bound.
    """
    asks = {fact.task: fact.gold_asks_nothing for fact in facts}
    known = [nothing for nothing in asks.values() if nothing is not None]
    n, free = len(known), sum(known)
    if not n:
        return UndeservedRate(None, 0, "not estimable: no task has gold actions")
    return UndeservedRate(
        free / n, n, f"doing nothing meets the gold actions of {free} of {n} tasks"
    )


def do_nothing_rate(facts: Iterable[AttemptFacts]) -> UndeservedRate:
    """Return the share of tasks at which an attempt that changed nothing was paid.

    Attempts do nothing where the policy chose to, so pooling them overstates the rate. Counted are
    tasks: those where such an attempt passed over those where one was scored at all give `value`
    only when every task had one; otherwise `value` is the proven share of all tasks, which is a
    lower bound, and `high` counts the untried tasks as passing too.

    Source: the do-nothing agent of the Agentic Benchmark Checklist; per task instead of a run of
    an empty agent, because the log is all there is.
    """
    tried: dict[str, bool] = {}
    tasks: set[str] = set()
    for fact in facts:
        if not fact.outcome.is_scored:
            continue
        tasks.add(fact.task)
        if not fact.writes:
            tried[fact.task] = tried.get(fact.task, False) or fact.outcome is Outcome.SUCCESS
    n, paid = len(tasks), sum(tried.values())
    if n < MIN_TASKS or not tried:
        return UndeservedRate(None, n, "not estimable: too few tasks, or no attempt did nothing")
    low, high = paid / n, (n - (len(tried) - paid)) / n
    source = (
        f"an attempt that changed nothing passed at {paid} of {n} tasks"
        f" (none was made at {n - len(tried)}); a lower bound"
    )
    return UndeservedRate(low, n, source, low=low, high=high)


def cross_task_match(facts: Iterable[AttemptFacts]) -> UndeservedRate:
    """Return the chance that an answer given to one task is the right answer of another.

    `g = Σ_{i≠j} P(answer at i = key of j) / (T·(T−1))`, the hit rate of answers made without seeing
    the question. Keys are the answers that passed, so tasks nobody solved have none and g speaks
    for solved tasks. Answers of more than `MAX_ANSWER` characters are free text, which can pass
    without being equal to a key; they are left out.

    Source: a label-free form of the guess baseline (frequency of the key among keys) used for
    filters in Kimi k1.5 (2501.12599), which instead forces short answers.
    """
    answers: dict[str, Counter[str]] = {}
    keys: dict[str, str] = {}
    for fact in facts:
        if fact.answer is None or len(fact.answer) > MAX_ANSWER or not fact.outcome.is_scored:
            continue
        answers.setdefault(fact.task, Counter())[fact.answer] += 1
        if fact.outcome is Outcome.SUCCESS:
            keys.setdefault(fact.task, fact.answer)
    if len(keys) < MIN_TASKS:
        return UndeservedRate(None, len(keys), "not estimable: too few tasks with a known key")
    return _match_rate(answers, keys)


def guess_rate(keys: Sequence[str]) -> UndeservedRate:
    """Return how often a key drawn at random from the other tasks' keys is right.

    `g = Σ_k n_k·(n_k − 1) / (N·(N − 1))` over distinct keys k.

    Source: the guess baseline by frequency of a key among keys (SIGNBALANCE, 2609.04063).

    Example:
        >>> guess_rate(["a", "a", "b", "b"]).value
        0.3333333333333333
    """
    n = len(keys)
    if n < 2:
        return UndeservedRate(None, n, "not estimable: fewer than two keys")
    same = sum(count * (count - 1) for count in Counter(keys).values())
    return UndeservedRate(same / (n * (n - 1)), n, f"frequency of a key among {n} keys")


def _match_rate(answers: dict[str, Counter[str]], keys: dict[str, str]) -> UndeservedRate:
    share: Counter[str] = Counter()
    own: dict[str, dict[str, float]] = {}
    for task, counts in answers.items():
        total = counts.total()
        own[task] = {answer: count / total for answer, count in counts.items()}
        share.update(own[task])  # type: ignore[arg-type]  # Counter adds floats just as well
    others = len(answers) - 1
    hits = sum((share[key] - own[task].get(key, 0.0)) / others for task, key in keys.items())
    source = f"an answer to another task matches the key, over {len(keys)} tasks with a key"
    return UndeservedRate(hits / len(keys), len(keys), source)
