"""How far apart two sides' distributions of structure are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twiceshy.evidence.imitation.sides import Side, Sides
from twiceshy.evidence.imitation.style import STRUCTURE

_N_BINS = 10


class StructureDistance(NamedTuple):
    """Jensen-Shannon distances to the teacher, in [0, 1]; None without answers."""

    feature: str
    base: float | None
    student: float | None
    resample: float | None
    """What a second draw of the teacher has: nothing can be expected to be nearer."""


def structure_distances(sides: Sides) -> tuple[StructureDistance, ...]:
    """Return the distance of each side from the teacher, feature by feature.

    Counts are per 1,000 words (or tokens, see `Sides.in_tokens`), except the length itself. Bins
    are the teacher's deciles, equal values together; the distance is the square root of the
    divergence to base 2.
    """
    values = {side: _values(sides, side) for side in sides.looks}
    return tuple(
        StructureDistance(
            feature,
            *(
                _distance(values.get(side), values["teacher"], column=column)
                for side in ("base", "student", "resample")
            ),
        )
        for column, feature in enumerate(STRUCTURE)
    )


def _values(sides: Sides, side: Side) -> NDArray[np.float64]:
    rows = [look.structure for task in sides.tasks for look in sides.of(side)[task] if look.n_words]
    counts = np.array(rows, dtype=float).reshape(len(rows), len(STRUCTURE))
    counts[:, 1:] *= 1000 / np.maximum(counts[:, :1], 1)
    return counts


def _distance(
    own: NDArray[np.float64] | None, teacher: NDArray[np.float64], *, column: int
) -> float | None:
    if own is None or not len(own) or not len(teacher):
        return None
    from scipy.spatial.distance import jensenshannon

    edges = np.unique(np.quantile(teacher[:, column], np.arange(1, _N_BINS) / _N_BINS))
    inner = np.unique(np.concatenate([edges, np.nextafter(edges, np.inf)]))
    shares = [
        np.bincount(np.searchsorted(inner, side[:, column], side="right"), minlength=inner.size + 1)
        for side in (own, teacher)
    ]
    found = float(jensenshannon(shares[0] / len(own), shares[1] / len(teacher), base=2))
    return 0.0 if np.isnan(found) else found
