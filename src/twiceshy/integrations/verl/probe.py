"""What one process of a verl run knows of this package, told as a dict.

It imports verl and nothing of the plug-in: what is registered, verl's own entry point registered.
Run as a program it prints the dict as JSON on its last line.
"""

from __future__ import annotations

import json
import platform
import socket
import sys
from importlib import import_module
from typing import Any

EXPECTED = [[0.0, 0.5], [-1.0, 0.0], [0.0, 0.0]]
"""Advantages of a success, a failure and one not judged, with lambda_pos = 0.5."""


def probe() -> dict[str, Any]:
    """Return versions, which names are missing, and what a registered estimator answers.

    Returns:
        `host`, `python`, `twiceshy`, `verl`; `missing`, the names verl does not know; `advantages`,
        as lists, None where nothing could be asked; `error`, why registration failed, or None.
    """
    import verl
    from verl.trainer.ppo import core_algos

    import twiceshy
    from twiceshy.integrations.verl.estimators import ESTIMATORS
    from twiceshy.integrations.verl.losses import LOSSES

    known = {*core_algos.ADV_ESTIMATOR_REGISTRY, *core_algos.POLICY_LOSS_REGISTRY}
    missing = [name for name in (*ESTIMATORS, *LOSSES) if name not in known]
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "twiceshy": twiceshy.__version__,
        "verl": verl.__version__,
        "missing": missing,
        "advantages": None if missing else _asked(core_algos),
        "error": _why() if missing else None,
    }


def _asked(core_algos: Any) -> list[list[float]]:
    """Return what verl's registry gives for three rows, by verl's own way of calling."""
    import numpy as np
    import torch
    from omegaconf import OmegaConf

    from twiceshy.integrations.verl.scoring import SCORES, Outcome

    rewards = torch.zeros(3, 2)
    rewards[0, 1], rewards[1, 0] = SCORES[Outcome.SUCCESS], SCORES[Outcome.FAILURE]
    rewards[2, 1] = SCORES[Outcome.BROKEN]
    advantages, _ = core_algos.get_adv_estimator_fn("twiceshy_w_reinforce")(
        token_level_rewards=rewards,
        response_mask=torch.tensor([[0, 1], [1, 0], [1, 1]]),
        index=np.array(["task"] * 3, dtype=object),
        config=OmegaConf.create({"twiceshy": {"lambda_pos": 0.5}}),
    )
    return advantages.tolist()


def _why() -> str | None:
    """Return the error that verl hid when it loaded the plug-in; None if there is none."""
    try:
        import_module("twiceshy.integrations.verl.plugin")
    except Exception as error:  # noqa: BLE001 - the point is to find out what it is
        return f"{type(error).__name__}: {error}"
    return None


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe()) + "\n")
