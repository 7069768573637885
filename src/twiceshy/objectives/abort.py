"""When to stop a run: rules that read a few counts and return an alarm or nothing.

Training on negatives fails by drifting: into malformed text, into over-long text, into improbable
tokens, or by losing what was right. Each rule returns None when all is well *or when there is
nothing to judge* (n = 0). An alarm of severity "alarm" means stop; "warning" means look.
"""

from __future__ import annotations

from collections.abc import Sequence

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm


def malformed_alarm(
    n_malformed: int, n: int, *, warn_at: float = 0.1, stop_at: float = 0.3
) -> Alarm | None:
    """Return an alarm when too many attempts cannot be parsed.

    Source: TOPR (2503.14286) reports malformed output as the way naive negatives end. Limits: ours.

    Example:
        >>> malformed_alarm(4, 10).severity
        'alarm'
        >>> malformed_alarm(0, 0) is None
        True
    """
    return _share_alarm(
        "malformed attempts", n_malformed, n, warn_at=warn_at, stop_at=stop_at, source="ours"
    )


def rare_token_alarm(
    n_rare: int, n: int, *, warn_at: float = 0.01, stop_at: float = 0.05
) -> Alarm | None:
    """Return an alarm when too many sampled tokens have a probability below 1e-4.

    The counts are "rare_sum" and "n_tokens" of `metrics.sign_sums`.

    Example:
        >>> rare_token_alarm(2, 100).severity
        'warning'
    """
    return _share_alarm("rare tokens", n_rare, n, warn_at=warn_at, stop_at=stop_at, source="ours")


def length_alarm(
    median: float | None, *, at_start: float | None, low: float = 0.5, high: float = 2.0
) -> Alarm | None:
    """Return an alarm when the median length leaves [low, high] times that at the start.

    Source: negatives lengthen (A3PO, 2512.21625), lucky successes shorten (2605.28388). Limits:
    ours.

    Example:
        >>> length_alarm(30.0, at_start=10.0).value
        3.0
        >>> length_alarm(None, at_start=10.0) is None
        True
    """
    if median is None or at_start is None or at_start <= 0:
        return None
    ratio = median / at_start
    if low <= ratio <= high:
        return None
    limit = low if ratio < low else high
    return Alarm(
        name="median length",
        severity="alarm",
        message=f"median length went from {at_start:g} to {median:g} tokens ({ratio:.2f} times)",
        value=ratio,
        threshold=limit,
        source="ours",
    )


def likelihood_alarm(change: float | None, *, warn_at: float = 0.05) -> Alarm | None:
    """Return a warning when right attempts lose likelihood, in nats a token since sampling.

    The change is "right/logp_change" of `metrics.summarised`.

    Source: lazy likelihood displacement (Deng et al., 2505.18830); LLDS (2512.04220) finds it ahead
    of collapse. Limit: ours.

    Example:
        >>> likelihood_alarm(-0.2).severity
        'warning'
    """
    if change is None or change >= -warn_at:
        return None
    return Alarm(
        name="likelihood of right attempts",
        severity="warning",
        message=f"right attempts lost {-change:.3f} nats a token; consider guards.llds",
        value=change,
        threshold=-warn_at,
        source="2505.18830; limit ours",
    )


def accuracy_alarm(
    history: Sequence[float], *, patience: int = 3, drop: float = 0.02
) -> Alarm | None:
    """Return an alarm when the last `patience` held-out accuracies all lie `drop` below the best.

    Source: accuracy under NSR decays after hundreds of steps (Zhu et al., 2506.01347, limitations).

    Args:
        history: Held-out accuracies, oldest first, 0 to 1.
        patience: How many evaluations in a row, at least 1.
        drop: How far below the best so far.

    Example:
        >>> accuracy_alarm([0.5, 0.6, 0.5, 0.5, 0.4]).threshold
        0.58
        >>> accuracy_alarm([0.5, 0.6]) is None
        True
    """
    if patience < 1 or not 0 <= drop <= 1:
        raise BadInput("patience >= 1 and a drop from 0 to 1", got=f"{patience}, {drop:g}")
    if len(history) <= patience:
        return None
    limit = max(history[:-patience]) - drop
    if any(accuracy >= limit for accuracy in history[-patience:]):
        return None
    return Alarm(
        name="held-out accuracy",
        severity="alarm",
        message=f"{patience} evaluations in a row below {limit:.3f} (best {limit + drop:.3f})",
        value=history[-1],
        threshold=limit,
        source="2506.01347, limitations; limits ours",
    )


def _share_alarm(
    name: str, count: int, n: int, *, warn_at: float, stop_at: float, source: str
) -> Alarm | None:
    if not 0 <= count <= n or not 0 <= warn_at <= stop_at <= 1:
        raise BadInput("0 <= count <= n and 0 <= warn_at <= stop_at <= 1", where=name)
    if n == 0 or count / n <= warn_at:
        return None
    share = count / n
    stop = share > stop_at
    return Alarm(
        name=name,
        severity="alarm" if stop else "warning",
        message=f"{name}: {count} of {n} ({share:.1%})",
        value=share,
        threshold=stop_at if stop else warn_at,
        source=source,
    )
