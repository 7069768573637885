"""verl, learning from verified outcomes with any advantage of this package. No fork, no subclass.

Installed beside verl, the entry point `verl.plugins` makes every process of a run register the
estimators `twiceshy_nsr`, `twiceshy_w_reinforce`, … and the loss `twiceshy_topr`:

    algorithm.adv_estimator=twiceshy_w_reinforce +algorithm.twiceshy.lambda_pos=0.1

verl hides an entry point that fails, so `twiceshy doctor verl` proves that it did not. The reward
manager is `pkg://twiceshy.integrations.verl.reward_manager`, the sampler
`pkg://twiceshy.integrations.verl.sampler`; both import verl and are not named here.

Importing this checks verl's version and loads nothing heavy; names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.integrations.verl.versions import NEWEST as NEWEST
from twiceshy.integrations.verl.versions import OLDEST as OLDEST
from twiceshy.integrations.verl.versions import check_version
from twiceshy.lazy import lazy_names

if TYPE_CHECKING:
    from twiceshy.integrations.verl.doctor import examine as examine
    from twiceshy.integrations.verl.estimators import ESTIMATORS as ESTIMATORS
    from twiceshy.integrations.verl.estimators import estimate as estimate
    from twiceshy.integrations.verl.launch import check_overrides as check_overrides
    from twiceshy.integrations.verl.scoring import scored as scored

_HOME = {
    "examine": "doctor",
    "ESTIMATORS": "estimators",
    "estimate": "estimators",
    "check_overrides": "launch",
    "scored": "scoring",
}

__all__ = sorted(["NEWEST", "OLDEST", "check_version", *_HOME])  # pyrefly: ignore

__getattr__, __dir__ = lazy_names(__name__, _HOME, needs_torch=True)

check_version()
