"""What verl's entry point loads: registration, and nothing else.

verl loads this at the end of `import verl` in every process and logs an error in it at DEBUG only.
So an error is told here first, as a warning in the log, and then raised.
"""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


def register() -> None:
    """Register all estimators and losses with verl; twice is once.

    Raises:
        ValueError: If another has taken a name.
    """
    from verl.trainer.ppo import core_algos

    from twiceshy.errors import BadInput
    from twiceshy.integrations.verl.estimators import ESTIMATORS, estimate, estimator
    from twiceshy.integrations.verl.losses import topr_loss

    for name in ESTIMATORS:
        taken = core_algos.ADV_ESTIMATOR_REGISTRY.get(name)
        if getattr(taken, "func", None) is not estimate:  # another's: verl refuses
            core_algos.register_adv_est(name)(estimator(name))
    taken = core_algos.POLICY_LOSS_REGISTRY.get("twiceshy_topr", topr_loss)
    if taken is not topr_loss:  # verl would overwrite it without a word
        raise BadInput("a free name twiceshy_topr", got=repr(taken), where="POLICY_LOSS_REGISTRY")
    core_algos.register_policy_loss("twiceshy_topr")(topr_loss)


try:
    register()
except Exception as error:
    _log.warning("twiceshy could not register with verl: %s: %s", type(error).__name__, error)
    raise
