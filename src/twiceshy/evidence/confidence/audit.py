"""`audit confidence`: does what the policy says of its own answers hold?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.attempts.groups import group_attempts
from twiceshy.attempts.lexicons import Lexicon
from twiceshy.attempts.markers import language_of
from twiceshy.attempts.markers import lexicon as lexicon_of
from twiceshy.attempts.texts import shown_text, without_code
from twiceshy.attempts.types import Attempt, Group, Outcome
from twiceshy.evidence.confidence.sources import (
    Equivalence,
    Judged,
    Meanings,
    Source,
    Voiced,
    meanings_of,
    modal_is_right,
    same_answer,
    self_consistency,
    stated,
    token_probability,
    voiced,
)
from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.evidence.stats import Estimate, bounded_mean, clustered_mean
from twiceshy.evidence.stats.calibration import (
    Brier,
    Calibration,
    Discrimination,
    RiskCoverage,
    brier,
    calibration,
    discrimination,
    risk_coverage,
)
from twiceshy.evidence.stats.intervals import cluster_codes

OVERCONFIDENT = 0.1
"""Mean confidence above accuracy, with the whole interval, from which the audit fails (ours)."""
_MIN_ANSWERS = 30
"""Answers needed before a figure may fail the audit."""
_COVERAGES = (0.5, 0.8)
_N_LEVELS = 10
_SAMPLE = 200
_DUST = 1e-12


class Measured(NamedTuple):
    """One source of confidence of one policy."""

    n: int
    accuracy: float | None
    confidence: float | None
    over_confidence: Estimate
    """Mean confidence − accuracy, clustered by task. Where every answer has the same difference, as
    when all are wrong and equally sure, the interval is that of the accuracy alone."""
    on_wrong: float | None
    """Mean confidence of wrong answers."""
    calibration: Calibration
    brier: Brier
    discrimination: Discrimination
    risk_coverage: RiskCoverage


def audit_confidence(
    attempts: Iterable[Attempt],
    *,
    equivalent: Equivalence = same_answer,
    language: str | Lexicon | None = None,
    seed: int = 0,
) -> Report:
    """Report calibration, discrimination and faithfulness of every policy's confidence.

    From attempts alone: confidence stated in the answer or under `confidence` in `extra`, agreement
    among attempts at the same task, and token probabilities where they are logged. Each is reported
    for itself. The audit fails where a confidence is above accuracy by more than 0.1 with its whole
    interval, on at least 30 answers.

    Source: ECE after Naeini et al. (2015) in bins of equal mass, semantic entropy after Farquhar et
    al. (2024), faithful uncertainty after Yona et al. (2405.16908); what differs is said there.

    Args:
        attempts: Attempts; several a task for agreement and entropy. Broken and unscored ones have
            no outcome and are counted only.
        equivalent: Whether two answers mean the same.
        language: Of the answers, for hedges; None: told from the text.
        seed: Of bootstraps and of the draws of perfect calibration.
    """
    everything = tuple(attempts)
    lexicon = _lexicon(everything, language)
    policies: dict[str, list[Attempt]] = {}
    for attempt in everything:
        policies.setdefault(attempt.policy, []).append(attempt)
    numbers: dict[str, Any] = {
        "n_attempts": len(everything),
        "n_scored": sum(a.outcome.is_scored for a in everything),
        "n_broken": sum(a.outcome is Outcome.BROKEN for a in everything),
        "n_unscored": sum(a.outcome is Outcome.UNSCORED for a in everything),
        "language": lexicon.language if lexicon else None,
        "policies": {
            name: _policy_numbers(own, equivalent=equivalent, lexicon=lexicon, seed=seed)
            for name, own in policies.items()
        },
    }
    alarms = tuple(_alarms(numbers["policies"]))
    return Report(
        kind="audit confidence",
        title="Confidence against outcomes",
        summary=tuple(_summary(numbers, alarms)),
        numbers=numbers,
        tables=tuple(_tables(numbers["policies"])),
        alarms=alarms,
        ok=not any(alarm.severity == "alarm" for alarm in alarms),
        manifest={"seed": seed, "n_attempts": len(everything)},
    )


def measured(judged: Sequence[Judged], *, seed: int = 0) -> Measured:
    """Return every measure of one source of confidence."""
    q = np.array([each.confidence for each in judged])
    c = np.array([each.is_right for each in judged], dtype=bool)
    tasks = np.array([each.task for each in judged])
    codes = cluster_codes(tasks, len(judged)) if judged else None
    return Measured(
        n=len(judged),
        accuracy=float(c.mean()) if judged else None,
        confidence=float(q.mean()) if judged else None,
        over_confidence=_over_confidence(q, c, tasks),
        on_wrong=float(q[~c].mean()) if judged and not c.all() else None,
        calibration=calibration(q, c, seed=seed),
        brier=brier(q, c),
        discrimination=discrimination(q, c, clusters=codes, seed=seed),
        risk_coverage=risk_coverage(q, c),
    )


def _over_confidence(
    q: NDArray[np.float64], c: NDArray[np.bool_], tasks: NDArray[np.str_]
) -> Estimate:
    found = clustered_mean(q - c, tasks if q.size else None)
    if found.low is not None or found.n < 2:
        return found
    accuracy = bounded_mean(c.astype(float), tasks)
    if accuracy.low is None or accuracy.high is None:
        return found
    mean = float(q.mean())
    return found._replace(low=mean - accuracy.high, high=mean - accuracy.low)


def faithfulness(answers: Sequence[Voiced]) -> tuple[Estimate, float | None]:
    """Return mean faithfulness 1 − |decisiveness − agreement|, and its mean over agreement levels.

    The second (cMFG) averages within ten equal levels of agreement first, so that always sounding
    equally sure scores about 0.5 whatever the mix of questions.

    Source: Yona et al. (2405.16908); the formula of cMFG from notes. Differs: decisiveness is read
    off a lexicon or a stated number instead of a model; levels without answers are left out.

    Example:
        >>> always_sure = [Voiced("q", 1.0, share / 10 + 0.05) for share in range(10)]
        >>> round(faithfulness(always_sure)[1], 2)
        0.5
    """
    values = [1 - abs(each.decisiveness - each.agreement) for each in answers]
    levels: dict[int, list[float]] = {}
    for each, value in zip(answers, values, strict=True):
        levels.setdefault(min(int(each.agreement * _N_LEVELS), _N_LEVELS - 1), []).append(value)
    means = [sum(own) / len(own) for own in levels.values()]
    over_levels = sum(means) / len(means) if means else None
    return clustered_mean(values, [each.task for each in answers] if answers else None), over_levels


def _policy_numbers(
    attempts: Sequence[Attempt],
    *,
    equivalent: Equivalence,
    lexicon: Lexicon | None,
    seed: int,
) -> dict[str, Any]:
    groups = [(g, meanings_of(g, equivalent=equivalent)) for g in group_attempts(attempts)]
    sources: dict[Source, list[Judged]] = {
        "stated": stated(attempts),
        "self-consistency": self_consistency(groups),
        "token probability": token_probability(attempts),
    }
    faithful, over_levels = faithfulness(voiced(groups, lexicon=lexicon))
    return {
        "n_attempts": len(attempts),
        "sources": {
            name: _measured_numbers(measured(own, seed=seed)) for name, own in sources.items()
        },
        "semantic_entropy": _entropy_numbers(groups, seed=seed),
        "faithfulness": {
            "mean": faithful.value,
            "mean_low": faithful.low,
            "mean_high": faithful.high,
            "n_tasks": faithful.n,
            "over_levels": over_levels,
        },
    }


def _entropy_numbers(groups: Sequence[tuple[Group, Meanings]], *, seed: int) -> dict[str, Any]:
    """Return mean semantic entropy, and how well it tells wrong commonest answers from right."""
    known = [(m.entropy, modal_is_right(g, m)) for g, m in groups if m.entropy is not None]
    entropies = [entropy for entropy, _ in known if entropy is not None]
    judged = [(e, right) for e, right in known if e is not None and right is not None]
    most = max((entropy for entropy, _ in judged), default=0.0) or 1.0
    found = discrimination(
        [1 - entropy / most for entropy, _ in judged], [right for _, right in judged], seed=seed
    )
    return {
        "mean_nats": sum(entropies) / len(entropies) if entropies else None,
        "n_groups": len(entropies),
        "auroc": found._asdict(),
    }


def _measured_numbers(found: Measured) -> dict[str, Any]:
    curve = found.risk_coverage
    return {
        "n": found.n,
        "accuracy": found.accuracy,
        "confidence": found.confidence,
        "over_confidence": found.over_confidence._asdict(),
        "confidence_when_wrong": found.on_wrong,
        "ece": {
            "value": found.calibration.ece,
            "by_chance": found.calibration.by_chance,
            "by_chance_high": found.calibration.by_chance_high,
            "bins": [each._asdict() for each in found.calibration.bins],
        },
        "brier": found.brier._asdict(),
        "auroc": found.discrimination._asdict(),
        "aurc": {"value": curve.area, "best": curve.best_area},
        "accuracy_at_coverage": {f"{x:g}": curve.accuracy_at(x) for x in _COVERAGES},
    }


def _lexicon(attempts: Sequence[Attempt], language: str | Lexicon | None) -> Lexicon | None:
    if language is not None:
        return lexicon_of(language)
    told = language_of(without_code(shown_text(each)) for each in attempts[:_SAMPLE])
    return lexicon_of(told) if told else None


def _alarms(policies: Mapping[str, Mapping[str, Any]]) -> Iterable[Alarm]:
    for policy, own in policies.items():
        for source, found in own["sources"].items():
            gap = found["over_confidence"]
            if found["n"] < _MIN_ANSWERS or gap["low"] is None:
                continue
            if gap["low"] > OVERCONFIDENT:
                yield Alarm(
                    name="over-confident",
                    severity="alarm",
                    message=f"{policy}: {source} confidence is above accuracy by "
                    f"{gap['value']:.2f} [{gap['low']:.2f}, {gap['high']:.2f}] "
                    f"on {found['n']} answers.",
                    value=gap["value"],
                    threshold=OVERCONFIDENT,
                    source="ours",
                )


def _summary(numbers: Mapping[str, Any], alarms: Sequence[Alarm]) -> Iterable[str]:
    if not numbers["n_attempts"]:
        yield "No attempts, so nothing can be said about confidence (n = 0)."
        return
    if not numbers["n_scored"]:
        yield "No attempt has a verdict, so no confidence can be compared with an outcome (n = 0)."
        return
    if alarms:
        yield alarms[0].message
    measured_sources = [
        (policy, source, found)
        for policy, own in numbers["policies"].items()
        for source, found in own["sources"].items()
        if found["n"]
    ]
    if not measured_sources:
        yield "No scored attempt states a confidence, has siblings or logs token probabilities."
        return
    for policy, source, found in measured_sources:
        if found["auroc"]["auroc"] is None:
            yield (
                f"{policy}, {source}: every answer is {'right' if found['accuracy'] else 'wrong'} "
                f"(n = {found['n']}), so nothing can be told apart."
            )
    if not alarms:
        yield _passed([found["n"] for _, _, found in measured_sources])
    lost = [(numbers["n_broken"], "broken"), (numbers["n_unscored"], "unscored")]
    if any(n for n, _ in lost):
        told = " and ".join(f"{n} {what}" for n, what in lost if n)
        yield f"Left out, since they have no outcome: {told} attempts."


def _passed(sizes: Sequence[int]) -> str:
    if max(sizes) < _MIN_ANSWERS:
        return (
            f"Too few answers with a confidence to say whether it holds (n = {max(sizes)}; the "
            f"audit fails nobody on fewer than {_MIN_ANSWERS})."
        )
    return f"No confidence is above accuracy by more than {OVERCONFIDENT:g} beyond doubt."


def _tables(policies: Mapping[str, Mapping[str, Any]]) -> Iterable[Table]:
    rows = [
        (policy, source, found)
        for policy, own in policies.items()
        for source, found in own["sources"].items()
        if found["n"]
    ]
    yield Table(
        title="Calibration",
        columns=(
            "policy", "confidence", "n", "accuracy", "mean", "when wrong", "ECE", "by chance",
            "AUROC", "low", "high",
        ),
        rows=tuple(
            (
                policy, source, found["n"], found["accuracy"], found["confidence"],
                found["confidence_when_wrong"], found["ece"]["value"],
                found["ece"]["by_chance_high"], found["auroc"]["auroc"], found["auroc"]["low"],
                found["auroc"]["high"],
            )
            for policy, source, found in rows
        ),
        note="ECE in bins of equal mass; by chance: what 95% of perfectly calibrated answers stay "
        "below.",
    )  # fmt: skip
    yield Table(
        title="Brier score",
        columns=(
            "policy", "confidence", "score", "reliability", "resolution", "uncertainty", "within",
        ),
        rows=tuple(
            (
                policy, source, found["brier"]["score"], found["brier"]["reliability"],
                found["brier"]["resolution"], found["brier"]["uncertainty"],
                _without_dust(found["brier"]["within"]),
            )
            for policy, source, found in rows
        ),
        note="Score = reliability - resolution + uncertainty + within (what confidences differ by "
        "inside a bin).",
    )  # fmt: skip
    yield Table(
        title="Letting only confident answers through",
        columns=("policy", "confidence", "AURC", "best", "accuracy at 50%", "at 80%"),
        rows=tuple(
            (
                policy, source, found["aurc"]["value"], found["aurc"]["best"],
                *found["accuracy_at_coverage"].values(),
            )
            for policy, source, found in rows
        ),
        note="AURC: the error averaged over coverage; best: with every right answer first.",
    )  # fmt: skip
    yield Table(
        title="Meanings, and whether the words fit",
        columns=(
            "policy", "groups", "entropy, nats", "its AUROC", "faithfulness", "low", "high",
            "over levels",
        ),
        rows=tuple(
            (
                policy, own["semantic_entropy"]["n_groups"], own["semantic_entropy"]["mean_nats"],
                own["semantic_entropy"]["auroc"]["auroc"], own["faithfulness"]["mean"],
                own["faithfulness"]["mean_low"], own["faithfulness"]["mean_high"],
                own["faithfulness"]["over_levels"],
            )
            for policy, own in policies.items()
            if own["semantic_entropy"]["n_groups"] or own["faithfulness"]["n_tasks"]
        ),
        note="Faithfulness: 1 minus the distance between how sure an answer sounds and how often "
        "its siblings agree.",
    )  # fmt: skip


def _without_dust(value: float | None) -> float | None:
    return value if value is None or abs(value) > _DUST else 0.0
