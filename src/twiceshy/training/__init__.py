"""A small fast loop: policies, verifiable tasks, rollouts and the trainer.

    from twiceshy.training import Countdown, TinyPolicy, fine_tune, train

Names load on first use. The tasks need numpy only, everything else torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.lazy import lazy_names

if TYPE_CHECKING:
    from twiceshy.training.base import BaseCard as BaseCard
    from twiceshy.training.base import BasePolicy as BasePolicy
    from twiceshy.training.base import base_policies as base_policies
    from twiceshy.training.base import base_policy as base_policy
    from twiceshy.training.checkpoint import load_policy as load_policy
    from twiceshy.training.checkpoint import save_policy as save_policy
    from twiceshy.training.config import ObjectiveConfig as ObjectiveConfig
    from twiceshy.training.config import RunConfig as RunConfig
    from twiceshy.training.config import load_config as load_config
    from twiceshy.training.config import parse_config as parse_config
    from twiceshy.training.config import step_objective as step_objective
    from twiceshy.training.curriculum import Curriculum as Curriculum
    from twiceshy.training.curriculum import UniformPrompts as UniformPrompts
    from twiceshy.training.evaluation import Evaluation as Evaluation
    from twiceshy.training.evaluation import EvaluationConfig as EvaluationConfig
    from twiceshy.training.evaluation import evaluate as evaluate
    from twiceshy.training.gates import FrontierGate as FrontierGate
    from twiceshy.training.gates import FrontierGateConfig as FrontierGateConfig
    from twiceshy.training.gates import NaiveBand as NaiveBand
    from twiceshy.training.gates import NaiveBandConfig as NaiveBandConfig
    from twiceshy.training.gates import NoGate as NoGate
    from twiceshy.training.gates import gate_curriculum as gate_curriculum
    from twiceshy.training.hf import HfConfig as HfConfig
    from twiceshy.training.hf import HfPolicy as HfPolicy
    from twiceshy.training.hf import load_model as load_model
    from twiceshy.training.hf import text_task as text_task
    from twiceshy.training.loop import RlConfig as RlConfig
    from twiceshy.training.loop import StepRecord as StepRecord
    from twiceshy.training.loop import Trained as Trained
    from twiceshy.training.loop import train as train
    from twiceshy.training.policy import Policy as Policy
    from twiceshy.training.policy import PolicyConfig as PolicyConfig
    from twiceshy.training.policy import TinyPolicy as TinyPolicy
    from twiceshy.training.rollouts import Rollouts as Rollouts
    from twiceshy.training.rollouts import roll_out as roll_out
    from twiceshy.training.running import RunResult as RunResult
    from twiceshy.training.running import run_training as run_training
    from twiceshy.training.sft import SftConfig as SftConfig
    from twiceshy.training.sft import fine_tune as fine_tune
    from twiceshy.training.sft import sft_recipe as sft_recipe
    from twiceshy.training.sft import untrained as untrained
    from twiceshy.training.stopping import StopConfig as StopConfig
    from twiceshy.training.tasks import Chain as Chain
    from twiceshy.training.tasks import Change as Change
    from twiceshy.training.tasks import Countdown as Countdown
    from twiceshy.training.tasks import ReasoningGym as ReasoningGym
    from twiceshy.training.tasks import Task as Task
    from twiceshy.training.tasks import TextTask as TextTask
    from twiceshy.training.update import StepObjective as StepObjective
    from twiceshy.training.update import UpdateConfig as UpdateConfig

_HOME = {
    "BaseCard": "base",
    "BasePolicy": "base",
    "base_policies": "base",
    "base_policy": "base",
    "load_policy": "checkpoint",
    "save_policy": "checkpoint",
    "ObjectiveConfig": "config",
    "RunConfig": "config",
    "load_config": "config",
    "parse_config": "config",
    "step_objective": "config",
    "Curriculum": "curriculum",
    "UniformPrompts": "curriculum",
    "Evaluation": "evaluation",
    "EvaluationConfig": "evaluation",
    "evaluate": "evaluation",
    "FrontierGate": "gates",
    "FrontierGateConfig": "gates",
    "NaiveBand": "gates",
    "NaiveBandConfig": "gates",
    "NoGate": "gates",
    "gate_curriculum": "gates",
    "HfConfig": "hf",
    "HfPolicy": "hf",
    "load_model": "hf",
    "text_task": "hf",
    "RlConfig": "loop",
    "StepRecord": "loop",
    "Trained": "loop",
    "train": "loop",
    "Policy": "policy",
    "PolicyConfig": "policy",
    "TinyPolicy": "policy",
    "Rollouts": "rollouts",
    "roll_out": "rollouts",
    "RunResult": "running",
    "run_training": "running",
    "SftConfig": "sft",
    "fine_tune": "sft",
    "sft_recipe": "sft",
    "untrained": "sft",
    "StopConfig": "stopping",
    "Chain": "tasks",
    "Change": "tasks",
    "Countdown": "tasks",
    "ReasoningGym": "tasks",
    "Task": "tasks",
    "TextTask": "tasks",
    "StepObjective": "update",
    "UpdateConfig": "update",
}

__all__ = sorted(_HOME)  # pyrefly: ignore

__getattr__, __dir__ = lazy_names(__name__, _HOME, needs_torch=True)
