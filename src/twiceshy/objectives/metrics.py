"""What to log, split by sign: sums and counts first, so that micro-batches add up exactly.

    sums = merged([sign_sums(...), sign_sums(...)])      # one a micro-batch
    for name, value in summarised(sums).items(): ...     # means; None where n = 0

Keys are "group/name". "…_sum" is divided by the group's "n_tokens" (or, for "…_rows_sum", by
"n_rows"), "…_max" is a maximum, "n_…" a count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from twiceshy.objectives.checks import checked_logp, checked_mask, require_shape
from twiceshy.objectives.labels import verified_labels

RARE_LOGP = -9.21
"""Log-probability below which a token counts as rare, in nats: probability 1e-4."""

_TOTALS = ("loss_sum", "gradient_sum")


def sign_sums(
    logp: Tensor,
    *,
    old_logp: Tensor,
    labels: Tensor,
    mask: Tensor,
    coefficients: Tensor | None = None,
    entropy: Tensor | None = None,
    all_wrong: Tensor | None = None,
    truncated: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return what happened to right, wrong, all-wrong-group and abstaining attempts, apart.

    "…/kl_sum" estimates KL(then ‖ now) from the tokens drawn then, as ratio − 1 − log ratio
    (Schulman's k3). "right/logp_change_sum" is the alarm of lazy likelihood displacement:
    successes that get less likely while failures are punished (Deng et al., 2505.18830). It is
    logged for all right attempts, also where their advantage is 0, as under NSR.

    Args:
        logp: Log-probs now, (N, T), nats.
        old_logp: Log-probs when sampled, (N, T).
        labels: +1, −1 or 0, (N,), before any masking by sign.
        mask: Response tokens, bool (N, T).
        coefficients: The loss's, (N, T): their absolute sum tells the share of the gradient.
        entropy: Entropy at each token, (N, T), nats.
        all_wrong: Rows of all-wrong groups, bool (N,), from `group_states` of the whole batch.
        truncated: Rows cut at a length limit, bool (N,).

    Returns:
        Sums and counts, as in the module's text.
    """
    sign = verified_labels(labels)
    require_shape(sign, like=checked_mask(mask)[:, 0], where="labels")
    now = checked_logp(logp, mask=mask).detach()
    then = checked_logp(old_logp, mask=mask, where="old_logp").detach()
    columns = _columns(now, then, coefficients=coefficients, entropy=entropy)
    nobody = torch.zeros_like(mask[:, 0])
    strata = {
        "right": sign > 0,
        "wrong": sign < 0,
        "all_wrong": nobody if all_wrong is None else all_wrong & (sign < 0),
        "abstained": sign == 0,
    }
    sums: dict[str, Tensor] = {}
    for name, rows in strata.items():
        on = rows[:, None] & mask
        cut = nobody if truncated is None else truncated & rows
        sums |= {f"{name}/n_rows": rows.sum(), f"{name}/n_tokens": on.sum()}
        sums |= {f"{name}/length_rows_sum": on.sum(), f"{name}/truncated_rows_sum": cut.sum()}
        sums |= {f"{name}/{column}": _sum_on(on, values) for column, values in columns.items()}
        sums[f"{name}/ratio_max"] = (on * (now - then).clamp(max=20.0).exp()).max()
    return sums


def merged(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the metrics of a whole batch from those of its micro-batches.

    Example:
        >>> one = {"right/n_rows": torch.tensor(1), "right/ratio_max": torch.tensor(2.0)}
        >>> two = {"right/n_rows": torch.tensor(2), "right/ratio_max": torch.tensor(1.5)}
        >>> [float(value) for value in merged([one, two]).values()]
        [3.0, 2.0]
    """
    together: dict[str, Tensor] = {}
    for part in parts:
        for name, value in part.items():
            seen = together.get(name)
            if seen is None:
                together[name] = value
            else:
                largest = name.endswith("_max")
                together[name] = torch.maximum(seen, value) if largest else seen + value
    return together


def summarised(sums: Mapping[str, Tensor]) -> dict[str, float | None]:
    """Return means, maxima and counts as plain numbers; None where a mean has n = 0.

    "loss_sum" and "gradient_sum" stay totals: they are divided by the global denominator already.

    Example:
        >>> sums = {"wrong/n_tokens": torch.tensor(4), "wrong/entropy_sum": torch.tensor(2.0)}
        >>> summarised(sums)
        {'wrong/n_tokens': 4.0, 'wrong/entropy': 0.5}
    """
    return dict(_summary(name, sums) for name in sums)


def _sum_on(on: Tensor, values: Tensor) -> Tensor:
    return torch.where(on, values, torch.zeros_like(values)).sum()


def _columns(
    now: Tensor, then: Tensor, *, coefficients: Tensor | None, entropy: Tensor | None
) -> dict[str, Tensor]:
    change = now - then
    columns = {
        "logp_sum": now,
        "old_logp_sum": then,
        "logp_change_sum": change,
        "ratio_sum": change.clamp(max=20.0).exp(),
        "kl_sum": change.clamp(max=20.0).exp() - 1 - change,
        "rare_sum": (now < RARE_LOGP) * 1.0,
    }
    if coefficients is not None:
        columns["gradient_sum"] = coefficients.detach().abs()
    if entropy is not None:
        columns["entropy_sum"] = entropy.detach()
    return columns


def _summary(name: str, sums: Mapping[str, Tensor]) -> tuple[str, float | None]:
    group, _, column = name.partition("/")
    if not column.endswith("_sum") or column in _TOTALS:
        return name.removesuffix("_sum"), float(sums[name])
    per_row = column.endswith("_rows_sum")
    n = float(sums[f"{group}/{'n_rows' if per_row else 'n_tokens'}"])
    short = column.removesuffix("_rows_sum" if per_row else "_sum")
    return f"{group}/{short}", float(sums[name]) / n if n else None
