"""Which prompts a step trains on, and which groups it learns from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from twiceshy.training.streams import generator


class Curriculum(Protocol):
    """Chooses prompts before they are tried and may set groups aside afterwards.

    Decide from earlier visits: a rule that looks at the group it gates selects luck.
    """

    @property
    def name(self) -> str:
        """Name and options; part of a run's identity."""
        ...

    def choose(self, n: int, *, step: int, seed: int) -> NDArray[np.int64]:
        """Return n rows of the pool to try at this step, shape (n,)."""
        ...

    def observe(
        self, chosen: NDArray[np.int64], labels: NDArray[np.int8], *, step: int
    ) -> NDArray[np.bool_]:
        """Take note of a step's labels (P, G); return which groups to learn from, shape (P,)."""
        ...

    def state(self) -> bytes:
        """Return everything it has taken note of."""
        ...

    def restore(self, state: bytes) -> None:
        """Go back to what `state` returned."""
        ...


@runtime_checkable
class KnowsLuck(Protocol):
    """A curriculum that can say how likely a success is undeserved."""

    def luck(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return, from earlier visits, P(a success at each row is undeserved), shape (P,)."""
        ...


class UniformPrompts:
    """Every prompt of the pool equally often, every group learned from.

    A pass over the pool in random order, then another: a step never has a prompt twice unless it
    is larger than what is left of the pass.
    """

    def __init__(self, n_pool: int) -> None:
        self.n_pool = n_pool

    @property
    def name(self) -> str:
        """Return the class's name: there are no options."""
        return type(self).__qualname__

    def choose(self, n: int, *, step: int, seed: int) -> NDArray[np.int64]:
        """Return the next n rows of the endless shuffled passes."""
        places = np.arange(step * n, (step + 1) * n)
        rounds, within = places // self.n_pool, places % self.n_pool
        orders = {
            r: generator(seed, "order", r).permutation(self.n_pool) for r in set(rounds.tolist())
        }
        return np.array(
            [orders[r][i] for r, i in zip(rounds.tolist(), within.tolist(), strict=True)]
        )

    def observe(
        self, chosen: NDArray[np.int64], labels: NDArray[np.int8], *, step: int
    ) -> NDArray[np.bool_]:
        """Return that every group counts."""
        del labels, step
        return np.ones(len(chosen), dtype=np.bool_)

    def state(self) -> bytes:
        """Return nothing: the step says it all."""
        return b""

    def restore(self, state: bytes) -> None:
        """Do nothing."""
