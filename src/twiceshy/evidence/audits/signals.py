"""What the shortcut audit measures, one function a signal; undefined is None with n = 0."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from twiceshy.attempts.answers import boxed_answers, final_answer
from twiceshy.attempts.effects import is_state_changing
from twiceshy.attempts.groups import group_attempts
from twiceshy.attempts.texts import own_text
from twiceshy.attempts.types import Attempt, Outcome
from twiceshy.evidence.audits.views import median, repeated_share, words
from twiceshy.evidence.stats import bounded_mean, clustered_mean, paired_difference
from twiceshy.frontier.facts import AttemptFacts, read_facts
from twiceshy.frontier.undeserved import gold_rate

WorkUnit = Literal["calls", "calculations", "lines"]

REPETITIVE = 0.5
"""An attempt with a larger share of repeated 4-grams is repetitive."""
SHORT_Z = -3.5
"""Modified z-score below which a lone success is short (Iglewicz and Hoaglin 1993)."""
EARLY = 0.1
"""An answer stated in the first tenth of the text came before the work."""


class Seen(NamedTuple):
    """One attempt with what the signals need of it."""

    attempt: Attempt
    facts: AttemptFacts
    answer: str | None
    text: str

    @property
    def won(self) -> bool:
        """Success as the log recorded it."""
        return self.facts.recorded is Outcome.SUCCESS

    @property
    def is_counted(self) -> bool:
        """Scored, and not the world's fault."""
        return self.facts.outcome.is_scored


def see(attempts: Sequence[Attempt]) -> list[Seen]:
    """Return what the signals need of each attempt."""
    return [
        Seen(attempt, facts, final_answer(attempt), own_text(attempt))
        for attempt, facts in zip(attempts, read_facts(attempts), strict=True)
    ]


def _rate_of(seen: Sequence[Seen]) -> dict[str, float | int | None]:
    """Return the pass rate of these attempts with its task-clustered interval."""
    rate = bounded_mean([float(s.won) for s in seen], [s.attempt.task for s in seen])
    return {
        "n": len(seen),
        "n_passed": sum(s.won for s in seen),
        "pass_rate": rate.value,
        "low": rate.low,
        "high": rate.high,
        "n_tasks": rate.n,
    }


def _within_task(some: Sequence[Seen], others: Sequence[Seen]) -> dict[str, float | int | None]:
    """Return the pass rate of some minus that of others at the same task, over tasks with both."""
    first, second = _task_rates(others), _task_rates(some)
    tasks = [task for task in first if task in second]
    found = paired_difference([first[t] for t in tasks], [second[t] for t in tasks])
    return {
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "n_tasks": found.n_tasks,
    }


def _task_rates(seen: Sequence[Seen]) -> dict[str, float]:
    won: dict[str, list[bool]] = defaultdict(list)
    for s in seen:
        won[s.attempt.task].append(s.won)
    return {task: sum(own) / len(own) for task, own in won.items()}


def do_nothing(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the pass rate of attempts that changed nothing; undefined in a log without calls."""
    uses_tools = any(s.facts.n_calls for s in seen)
    recorded = [s for s in seen if s.facts.recorded.is_scored] if uses_tools else []
    idle = [s for s in recorded if not s.facts.writes]
    busy = [s for s in recorded if s.facts.writes]
    passed = sum(s.won for s in recorded)
    gold = gold_rate(s.facts for s in seen)
    return {
        "no_write": _rate_of(idle),
        "no_call": _rate_of([s for s in recorded if not s.facts.n_calls]),
        "with_write": _rate_of(busy),
        "within_task": _within_task(idle, busy),
        "excluding_broken": {"no_write": _rate_of([s for s in idle if s.is_counted])},
        "no_write_where_gold_writes": _rate_of([s for s in idle if _gold_writes(s) is True]),
        "no_write_where_gold_does_not": _rate_of([s for s in idle if _gold_writes(s) is False]),
        "share_of_passes_without_write": sum(s.won for s in idle) / passed if passed else None,
        "baseline": {"pass_rate": gold.value, "n_tasks": gold.n, "source": gold.source},
    }


def _gold_writes(seen: Seen) -> bool | None:
    """Whether the task's gold actions change something; None where the log has none."""
    actions = seen.attempt.extra.get("gold_actions")
    if not isinstance(actions, list):
        return None
    named = [str(action.get("name", "")) for action in actions if isinstance(action, dict)]
    return any(is_state_changing(name) for name in named)


def top_answer(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the commonest answer over all tasks, and how often it is right."""
    answered = [s for s in seen if s.answer is not None]
    tasks = {s.attempt.task for s in answered}
    if not answered:
        return {"answer": None, "share": None, "n": 0, "n_tasks": 0, "pass": _rate_of([])}
    top, count = Counter(s.answer for s in answered).most_common(1)[0]
    given = [s for s in answered if s.answer == top and s.is_counted]
    return {
        "answer": top,
        "share": count / len(answered),
        "n": len(answered),
        "n_tasks": len(tasks),
        "pass": _rate_of(given),
    }


def repetition(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return repeated 4-grams, extra boxed answers and repeated calls within attempts."""
    shares = [(s, repeated_share(words(s.text))) for s in seen]
    known = [(s, share) for s, share in shares if share is not None]
    boxes = [len(boxed_answers(s.text)) for s in seen]
    callers = [s for s in seen if s.facts.n_calls]
    return {
        "repeated_4grams_success": median([r for s, r in known if s.is_counted and s.won]),
        "repeated_4grams_failure": median([r for s, r in known if s.is_counted and not s.won]),
        "repetitive": _share(sum(r > REPETITIVE for _, r in known), len(known)),
        "boxed_twice": _share(sum(n > 1 for n in boxes), sum(n > 0 for n in boxes)),
        "repeats_a_write": _share(sum(map(_repeats_a_write, callers)), len(callers)),
    }


def _share(count: int, n: int) -> dict[str, float | int | None]:
    return {"count": count, "n": n, "share": count / n if n else None}


def _repeats_a_write(seen: Seen) -> bool:
    """Whether two successful state-changing calls of the attempt are identical."""
    return len(set(seen.facts.writes)) < len(seen.facts.writes)


def _work_unit(seen: Sequence[Seen]) -> WorkUnit:
    if any(s.facts.n_calls for s in seen):
        return "calls"
    return "calculations" if any("<<" in s.text for s in seen) else "lines"


def _work(seen: Seen, unit: WorkUnit) -> int:
    if unit == "calls":
        return seen.facts.n_calls
    if unit == "calculations":
        return seen.text.count("<<")
    return sum(bool(line.strip()) for line in seen.text.splitlines())


def skipped_work(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return how attempts fare that did less than the median of the others at their task."""
    unit = _work_unit(seen)
    by_task: dict[str, list[Seen]] = defaultdict(list)
    for s in seen:
        if s.is_counted:
            by_task[s.attempt.task].append(s)
    less: list[Seen] = []
    rest: list[Seen] = []
    for siblings in by_task.values():
        done = [_work(s, unit) for s in siblings]
        if len(done) < 2:
            continue
        for i, s in enumerate(siblings):
            others = statistics.median(done[:i] + done[i + 1 :])
            (less if done[i] < others else rest).append(s)
    return {
        "unit": unit,
        "less_than_siblings": _rate_of(less),
        "rest": _rate_of(rest),
        "within_task": _within_task(less, rest),
    }


def answer_position(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return where in its text an attempt first states its final answer (0 start, 1 end)."""
    found = [(s, where) for s in seen if (where := _first_stated(s)) is not None]
    early = [s for s, where in found if where < EARLY and s.is_counted]
    return {
        "median_success": median([w for s, w in found if s.is_counted and s.won]),
        "median_failure": median([w for s, w in found if s.is_counted and not s.won]),
        "n": len(found),
        "early": _rate_of(early),
    }


def _first_stated(seen: Seen) -> float | None:
    tokens = seen.text.casefold().replace(",", "").replace("$", " ").replace("=", " = ").split()
    if seen.answer is None or len(tokens) < 2:
        return None
    stripped = [token.strip(".:;()<>{}\\*") for token in tokens]
    for index, token in enumerate(stripped):
        if token == seen.answer:
            return index / (len(tokens) - 1)
    return None


def modal_wrong(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return the share of a group's wrong answers that are its commonest one."""
    shares: list[float] = []
    for group in group_attempts(attempts):
        failed = [a for a in group.attempts if a.outcome is Outcome.FAILURE]
        wrong = [answer for a in failed if (answer := final_answer(a)) is not None]
        if len(wrong) >= 2:
            shares.append(Counter(wrong).most_common(1)[0][1] / len(wrong))
    found = clustered_mean(shares)
    return {
        "mean_share": found.value,
        "n_groups": len(shares),
        "n_all_the_same": sum(share == 1 for share in shares),
    }


def lone_success(seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the only successes of their groups that are far shorter than their siblings.

    z = (log L − median of the siblings' log L) / (1.4826 · MAD), the MAD over all attempts of the
    log's distance from its group's median: three siblings give no scale of their own.
    """
    by_group: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for s in seen:
        if s.is_counted and s.text:
            by_group[s.attempt.task, s.attempt.policy].append(s)
    groups = [group for group in by_group.values() if len(group) >= 3]
    logs = [[math.log(len(s.text)) for s in group] for group in groups]
    away = [abs(x - statistics.median(own)) for own in logs for x in own]
    scale = 1.4826 * statistics.median(away) if away else 0.0
    short: list[str] = []
    n_lone = 0
    for group, own in zip(groups, logs, strict=True):
        won = [s.won for s in group]
        if sum(won) != 1:
            continue
        n_lone += 1
        index = won.index(True)
        gap = own[index] - statistics.median(own[:index] + own[index + 1 :])
        if scale > 0 and gap / scale < SHORT_Z:
            short.append(group[index].attempt.id)
    return {"n": n_lone, "n_short": len(short), "short": short}
