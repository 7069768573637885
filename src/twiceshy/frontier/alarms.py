"""Checks that sound before accuracy falls: length, sameness, lone successes, what was not scored.

Every check is returned with its value, its n and the source of its threshold, raised or not. A
check that the data do not allow has value None and is not raised.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from twiceshy.attempts.types import Outcome
from twiceshy.evidence.report import Alarm, Severity
from twiceshy.frontier.facts import AttemptFacts
from twiceshy.frontier.groups import STATES, GroupState, Tallies

MIN_GROUPS = 10
"""Groups (or answers) from which a share is worth an alarm. Ours."""
LENGTH_RATIO = 0.5
"""Later attempts half as long as earlier ones at the same task. Ours."""
MODAL_WRONG_SHARE = 0.25
"""Share of one string among wrong answers over all tasks. Ours."""
DRIFT_EXCESS = 0.1
"""Excess of one answer's share over its share among the keys. Ours."""
LONE_SHARE = 0.5
"""Share of mixed groups with exactly one success. Ours."""
ASIDE_SHARE = 0.1
"""Share of attempts unscored, or broken. Ours."""
SHORT_LONE_SHARE = 0.25
"""Share of lone successes less than half as long as their siblings. Ours."""


class Check(NamedTuple):
    """One check's result."""

    name: str
    value: float | None
    n: int
    """What `value` rests on: groups, attempts or answers."""
    threshold: float | None
    raised: bool
    message: str
    source: str
    severity: Severity = "warning"

    def alarm(self) -> Alarm:
        """Return the check as an alarm of a report."""
        return Alarm(
            name=self.name,
            severity=self.severity,
            message=self.message,
            value=self.value,
            threshold=self.threshold,
            source=self.source,
        )


def tally_checks(tallies: Tallies) -> list[Check]:
    """Return the checks that counts alone allow."""
    n_broken, n_unscored = int(tallies.n_broken.sum()), int(tallies.n_unscored.sum())
    n = int(tallies.n_scored.sum()) + n_broken + n_unscored
    return [
        lone_success_share(tallies),
        _set_aside("broken_share", n_broken, n, "broke, so rates rest on the others"),
        _set_aside("unscored_share", n_unscored, n, "were judged by nobody"),
    ]


def fact_checks(facts: Sequence[AttemptFacts]) -> list[Check]:
    """Return the checks that need to see the attempts, given in the order they were made."""
    return [
        length_fall(facts),
        modal_wrong_answer(facts),
        answer_drift(facts),
        shaped_reward(facts),
        short_lone_successes(facts),
    ]


def lone_success_share(tallies: Tallies) -> Check:
    """Share of mixed groups with exactly one success: each is rare, heavily paid, maybe luck."""
    mixed = tallies.states == STATES.index(GroupState.MIXED)
    n, lone = int(mixed.sum()), int((mixed & (tallies.n_success == 1)).sum())
    value = lone / n if n else None
    return Check(
        "lone_success_share",
        value,
        n,
        LONE_SHARE,
        value is not None and n >= MIN_GROUPS and value >= LONE_SHARE,
        f"{lone} of {n} mixed groups have exactly one success",
        "a lone success gets the largest group-relative weight (SIGNBALANCE, 2609.04063);"
        " threshold ours",
    )


def p0_against_rate(
    p0: float | None, *, rate: float | None, low: float | None, n_tasks: int
) -> Check:
    """Whether the policy does better than undeserved reward alone would.

    Args:
        p0: Undeserved-reward rate, or None when unknown.
        rate: Solve rate of the policy.
        low: Lower limit of its interval (clustered by task).
        n_tasks: Tasks behind the rate.
    """
    source = "the observed rate is p0 or more (SIGNBALANCE, 2609.04063); comparison ours"
    if p0 is None or rate is None:
        return Check(
            "p0_against_rate", rate, n_tasks, p0, False, "p0 or the rate is unknown", source
        )
    raised = p0 > 0 and (rate <= p0 or (low is not None and low <= p0))
    shown = "unknown" if low is None else f"{max(low, 0.0):.3f}"
    message = f"the solve rate {rate:.3f} (lower limit {shown}) is not clear of p0 = {p0:.3f}"
    severity: Severity = "alarm" if rate <= p0 else "warning"
    return Check("p0_against_rate", rate, n_tasks, p0, raised, message, source, severity)


def length_fall(facts: Sequence[AttemptFacts]) -> Check:
    """Median ratio of later to earlier attempts' length within the same task and policy.

    The first half of a group's attempts, in the order made, is compared with the second, so hard
    tasks being long cannot raise it. Exchangeable samples give a ratio near 1.
    """
    ratios = []
    for group in _by_group(facts).values():
        lengths = [fact.length for fact in group if fact.outcome.is_scored and fact.length > 0]
        half = len(lengths) // 2
        if half:
            ratios.append(float(np.median(lengths[-half:]) / np.median(lengths[:half])))
    value = float(np.median(ratios)) if ratios else None
    return Check(
        "length_fall",
        value,
        len(ratios),
        LENGTH_RATIO,
        value is not None and len(ratios) >= MIN_GROUPS and value <= LENGTH_RATIO,
        f"later attempts at the same task are {value or 0:.2f} times as long as earlier ones",
        "length fell from 510.7 to 45.7 tokens before accuracy did (2605.28388); threshold ours",
        "alarm",
    )


def modal_wrong_answer(facts: Iterable[AttemptFacts]) -> Check:
    """Share of the commonest wrong answer over all tasks, unless the keys are as uneven."""
    wrong: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for fact in facts:
        if fact.answer is not None and fact.outcome.is_scored:
            (right if fact.outcome is Outcome.SUCCESS else wrong)[fact.answer] += 1
    n = wrong.total()
    answer, count = wrong.most_common(1)[0] if wrong else ("", 0)
    value = count / n if n else None
    usual = right[answer] / right.total() if right else 0.0
    raised = value is not None and n >= MIN_GROUPS and value >= max(MODAL_WRONG_SHARE, 2 * usual)
    return Check(
        "modal_wrong_answer",
        value,
        n,
        MODAL_WRONG_SHARE,
        raised,
        f"{count} of {n} wrong answers are {answer!r}",
        "answer repetition on over-hard samples (2605.28388); threshold ours",
    )


def answer_drift(facts: Iterable[AttemptFacts]) -> Check:
    """Largest excess of an answer's share over its share among the keys, at solved tasks.

    `max_a (share of a among answers − share of a among keys)`. Differs from a divergence of the two
    marginals in that answers seen once do not dominate it.
    """
    answers: dict[str, list[str]] = defaultdict(list)
    keys: dict[str, str] = {}
    for fact in facts:
        if fact.answer is not None and fact.outcome.is_scored:
            answers[fact.task].append(fact.answer)
            if fact.outcome is Outcome.SUCCESS:
                keys.setdefault(fact.task, fact.answer)
    given = Counter(answer for task in keys for answer in answers[task])
    known, n = Counter(keys.values()), given.total()
    excess = {a: count / n - known[a] / len(keys) for a, count in given.items()}
    top = max(excess, key=lambda a: excess[a], default="")
    value = excess.get(top)
    return Check(
        "answer_drift",
        value,
        n,
        DRIFT_EXCESS,
        value is not None and len(keys) >= MIN_GROUPS and value >= DRIFT_EXCESS,
        f"{top!r} is given more often than it is right, by {value or 0:.2f} of all answers",
        "ours",
    )


def shaped_reward(facts: Sequence[AttemptFacts]) -> Check:
    """Groups of one outcome whose recorded rewards still differ: do not gate on the reward."""
    uniform = phantom = 0
    for group in _by_group(facts).values():
        scored = [fact for fact in group if fact.outcome.is_scored]
        if len(scored) < 2 or len({fact.outcome for fact in scored}) > 1:
            continue
        uniform += 1
        phantom += len({fact.reward for fact in scored if fact.reward is not None}) > 1
    return Check(
        "shaped_reward",
        phantom / uniform if uniform else None,
        uniform,
        0.0,
        phantom > 0,
        f"{phantom} of {uniform} groups with one outcome have rewards that differ;"
        " normalising those makes an advantage of noise, so gate on the outcome",
        "verl-recipe issue 125, NeMo-RL issue 2431",
    )


def short_lone_successes(facts: Sequence[AttemptFacts]) -> Check:
    """Share of lone successes less than half as long as their failing siblings' median."""
    lone = short = 0
    for group in _by_group(facts).values():
        wins = [fact for fact in group if fact.outcome is Outcome.SUCCESS]
        losses = [fact.length for fact in group if fact.outcome is Outcome.FAILURE]
        if len(wins) == 1 and losses and np.median(losses) > 0:
            lone += 1
            short += bool(wins[0].length < LENGTH_RATIO * np.median(losses))
    value = short / lone if lone else None
    return Check(
        "short_lone_success",
        value,
        lone,
        SHORT_LONE_SHARE,
        value is not None and lone >= MIN_GROUPS and value >= SHORT_LONE_SHARE,
        f"{short} of {lone} lone successes are less than half as long as their siblings",
        "computation skipping (2605.28388); length against siblings and threshold ours",
    )


def _set_aside(name: str, count: int, n: int, what: str) -> Check:
    value = count / n if n else None
    return Check(
        name,
        value,
        n,
        ASIDE_SHARE,
        value is not None and value >= ASIDE_SHARE,
        f"{count} of {n} attempts {what}",
        "ours",
    )


def _by_group(facts: Iterable[AttemptFacts]) -> dict[tuple[str, str], list[AttemptFacts]]:
    groups: dict[tuple[str, str], list[AttemptFacts]] = {}
    for fact in facts:
        groups.setdefault((fact.task, fact.policy), []).append(fact)
    return groups
