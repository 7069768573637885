"""What is run and what is compared, fixed before the first run.

On-policy, PSR, NSR, W-REINFORCE and ±1 REINFORCE have one expected gradient up to scale, so all of
them walk along one curve in the plane of pass@1 and pass@k, and PSR is the quickest: it is the
reference. The outcome is the difference at *matched* pass@1, never at the end of training.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from twiceshy.training.config import ObjectiveConfig
from twiceshy.training.loop import RlConfig
from twiceshy.training.update import UpdateConfig

Outcome = Literal["pass@1", "pass@8", "pass@64", "distinct", "entropy"]
How = Literal["matched", "equal_rollouts"]

REFERENCE = "psr"
SIGNED = ("psr", "nsr", "w_reinforce", "reinforce")
OTHERS = ("grpo", "dr_grpo", "maxrl", "ngrpo", "pass_at_k")
DEFAULT = "w_reinforce"
"""The library's default when this was planned. It is GRPO since, because of the result."""
SLOW = frozenset({"nsr", "w_reinforce", "reinforce"})
"""Objectives whose walk is slow on a weak base: they may go on for longer."""

ROLLOUTS = 16
K = 64


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A base policy with a way of training: a cell of the experiment.

    Attributes:
        name: What to call it.
        base: Base policy, by name.
        outcome: What is compared at matched pass@1: pass@64, or the number of distinct right
            responses where pass@64 is near 1 from the start.
        objectives: Objectives run in it.
        learning_rate: Adam's.
        n_steps: Batches of rollouts.
        prompts_per_step: Groups a batch.
        n_minibatches: Updates a batch; 1 is strictly on-policy.
        loss: "ppo_clip" has the ratio and its bounds; with one update a batch it has no effect.
        denominator: What the sum over a batch is divided by.
        eval_steps: Steps after which a run is evaluated.
        slow_steps: Further ones for the objectives in `SLOW`.
    """

    name: str
    base: str
    outcome: Outcome = "pass@64"
    objectives: tuple[str, ...]
    learning_rate: float = 3e-5
    n_steps: int = 100
    prompts_per_step: int = 32
    n_minibatches: int = 1
    loss: Literal["reinforce", "ppo_clip"] = "reinforce"
    denominator: Literal["budget", "tokens", "sequences"] = "budget"
    eval_steps: tuple[int, ...] = (10, 20, 40, 70, 100)
    slow_steps: tuple[int, ...] = ()

    def steps(self, objective: str) -> tuple[int, ...]:
        """Return the steps after which a run is evaluated."""
        return self.eval_steps + (self.slow_steps if objective in SLOW else ())

    def rl(self, objective: str) -> RlConfig:
        """Return the loop's settings."""
        return RlConfig(
            n_steps=max(self.steps(objective)) if objective in SLOW else self.n_steps,
            learning_rate=self.learning_rate,
            group_size=ROLLOUTS,
            prompts_per_step=self.prompts_per_step,
            truncated_as="as_judged",
            update=UpdateConfig(n_minibatches=self.n_minibatches),
        )

    def objective(self, name: str) -> ObjectiveConfig:
        """Return the objective's settings; options are the library's defaults."""
        return ObjectiveConfig(name=name, loss=self.loss, denominator=self.denominator)


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison: first − second, paired by seed.

    Attributes:
        question: Number of the question it speaks to, by the list in `QUESTIONS`.
        first: (setting, objective).
        second: (setting, objective).
        outcome: What is compared.
        how: At matched pass@1, or after the same number of rollouts.
        minus: A second pair, whose difference is subtracted: an interaction.
        fixed_beforehand: False for a comparison thought of after seeing results.
    """

    question: int
    first: tuple[str, str]
    second: tuple[str, str]
    outcome: Outcome
    how: How = "matched"
    minus: tuple[tuple[str, str], tuple[str, str]] | None = None
    fixed_beforehand: bool = True

    @property
    def name(self) -> str:
        """Both arms in words."""
        text = f"{self.first[1]} − {self.second[1]} in {self.first[0]}"
        if self.first[0] != self.second[0]:
            text = f"{self.first[1]} in {self.first[0]} − {self.second[1]} in {self.second[0]}"
        return text if self.minus is None else f"({text}) − (the same in {self.minus[0][0]})"


QUESTIONS = {
    1: "Does NSR keep more coverage than PSR at the same pass@1, on-policy?",
    2: "Does it off-policy, with several minibatches a batch and PPO's clip?",
    3: "Does another objective lie above PSR's curve?",
    4: "Is one better than the library's default after the same number of rollouts?",
    5: "Published comparison: after the same number of rollouts, NSR against PSR.",
    6: "Does the denominator matter where lengths differ?",
    7: "Afterthought: does another objective lie above PSR's curve of pass@8?",
}


Phase = tuple[tuple[str, tuple[str, ...]], ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole experiment.

    Attributes:
        settings: All settings; every objective of each is run.
        phases: What is run first, as settings' names with objectives. The rest comes after it.
        n_seeds: Seeds of prompts and draws.
        seed_block: The phases are gone through for this many seeds, then for as many more, so that
            an early stop leaves fewer seeds and no empty phase.
        n_prompts: Held-out prompts, the same for all runs of a base policy.
        n_samples: Responses each, drawn anew for each seed and alike for all arms of a seed.
        contrasts: What is compared.
    """

    settings: tuple[Setting, ...]
    phases: tuple[Phase, ...] = ()
    n_seeds: int
    seed_block: int = 4
    n_prompts: int
    n_samples: int
    contrasts: tuple[Contrast, ...]

    def setting(self, name: str) -> Setting:
        """Return a setting by name."""
        return next(setting for setting in self.settings if setting.name == name)


MAIN = Setting(
    name="countdown-weak",
    base="countdown-weak",
    objectives=(*SIGNED, *OTHERS),
    slow_steps=(150, 200),
)
OFF_POLICY = Setting(
    name="countdown-weak, 4 updates a batch",
    base="countdown-weak",
    objectives=("psr", "nsr", "w_reinforce", "reinforce", "grpo", "maxrl"),
    n_minibatches=4,
    loss="ppo_clip",
    eval_steps=(5, 10, 20, 40, 70, 100),
)
SMALL_BATCHES = Setting(
    name="countdown-weak, 4 small batches",
    base="countdown-weak",
    objectives=("psr", "nsr", "w_reinforce", "grpo"),
    prompts_per_step=8,
    n_steps=400,
    eval_steps=(20, 40, 80, 160, 280, 400),
)
OFF_POLICY_FAST = Setting(
    name="countdown-weak, 4 updates a batch, rate 1e-4",
    base="countdown-weak",
    learning_rate=1e-4,
    objectives=("psr", "nsr", "w_reinforce"),
    n_minibatches=4,
    loss="ppo_clip",
    n_steps=40,
    eval_steps=(3, 6, 12, 20, 40),
)
UNCLIPPED_FAST = Setting(
    name="countdown-weak, 4 updates a batch, rate 1e-4, no ratio",
    base="countdown-weak",
    learning_rate=1e-4,
    objectives=("psr", "nsr"),
    n_minibatches=4,
    n_steps=40,
    eval_steps=(3, 6, 12, 20, 40),
)
SMALL_BATCHES_FAST = Setting(
    name="countdown-weak, 4 small batches, rate 1e-4",
    base="countdown-weak",
    learning_rate=1e-4,
    objectives=("psr", "nsr", "w_reinforce"),
    prompts_per_step=8,
    n_steps=160,
    eval_steps=(12, 24, 48, 80, 160),
)
_WIDE = ("psr", "nsr", "w_reinforce", "grpo", "maxrl", "pass_at_k")
STRONG = Setting(name="countdown-strong", base="countdown-strong", objectives=_WIDE)
CHANGE_WEAK = Setting(
    name="change-weak",
    base="change-weak",
    outcome="distinct",
    objectives=_WIDE,
    learning_rate=1e-4,
    n_steps=80,
    eval_steps=(10, 20, 40, 80),
)
CHANGE_STRONG = msgspec.structs.replace(CHANGE_WEAK, name="change-strong", base="change-strong")


def _lengths() -> tuple[Setting, ...]:
    return tuple(
        Setting(
            name=f"chain, per {kind}",
            base="chain",
            outcome="entropy",
            objectives=("psr", "nsr"),
            learning_rate=1e-4,
            n_steps=50,
            eval_steps=(5, 15, 50),
            denominator=denominator,
        )
        for kind, denominator in (
            ("budget", "budget"),
            ("token", "tokens"),
            ("sequence", "sequences"),
        )
    )


def _contrasts(settings: tuple[Setting, ...]) -> list[Contrast]:
    found = [_nsr(1, s) for s in settings if s.n_minibatches == 1 and "chain" not in s.name]
    found += [_nsr(2, s) for s in settings if s.n_minibatches > 1]
    for off, on in (
        (OFF_POLICY, SMALL_BATCHES),
        (OFF_POLICY_FAST, SMALL_BATCHES_FAST),
        (OFF_POLICY_FAST, UNCLIPPED_FAST),
    ):
        found += _interactions(off, on) if off in settings and on in settings else []
    for setting in settings:
        rest = [o for o in setting.objectives if o not in ("psr", "nsr")]
        found += [_against(3, setting, o, REFERENCE, setting.outcome) for o in rest]
    for setting in settings:
        if setting in (MAIN, STRONG, CHANGE_WEAK, CHANGE_STRONG):
            for objective in ("grpo", "maxrl"):
                for outcome in ("pass@1", setting.outcome):
                    found.append(
                        _against(4, setting, objective, DEFAULT, outcome, "equal_rollouts")
                    )
            for outcome in ("pass@1", setting.outcome):
                found.append(_against(5, setting, "nsr", REFERENCE, outcome, "equal_rollouts"))
    return [*found, *_length_contrasts(settings), *_afterthoughts(settings)]


def _interactions(off: Setting, on: Setting) -> list[Contrast]:
    """Return how NSR against PSR depends on the way of training, and NSR against itself."""
    pair = ((on.name, "nsr"), (on.name, REFERENCE))
    found = [msgspec.structs.replace(_nsr(2, off), minus=pair)]
    for outcome in ("pass@1", off.outcome):
        itself = Contrast(
            question=2,
            first=(off.name, "nsr"),
            second=(on.name, "nsr"),
            outcome=outcome,
            how="equal_rollouts",
        )
        against = _against(2, off, "nsr", REFERENCE, outcome, "equal_rollouts")
        found += [itself, msgspec.structs.replace(against, minus=pair)]
    return found


def _nsr(question: int, setting: Setting) -> Contrast:
    return _against(question, setting, "nsr", REFERENCE, setting.outcome)


def _against(
    question: int, setting: Setting, first: str, second: str, outcome: Outcome, how: How = "matched"
) -> Contrast:
    return Contrast(
        question=question,
        first=(setting.name, first),
        second=(setting.name, second),
        outcome=outcome,
        how=how,
    )


def _afterthoughts(settings: tuple[Setting, ...]) -> list[Contrast]:
    """Return comparisons thought of after the first seeds: pass@8 varies less than pass@64."""
    return [
        msgspec.structs.replace(
            _against(7, setting, objective, REFERENCE, "pass@8"), fixed_beforehand=False
        )
        for setting in settings
        if setting in (MAIN, OFF_POLICY, STRONG, CHANGE_WEAK, CHANGE_STRONG)
        for objective in ("nsr", "grpo", "maxrl")
    ]


def _length_contrasts(settings: tuple[Setting, ...]) -> list[Contrast]:
    chains = [setting for setting in settings if setting.base == "chain"]
    return [
        Contrast(
            question=6,
            first=(other.name, objective),
            second=(chains[0].name, objective),
            outcome="pass@1",
            how="equal_rollouts",
        )
        for other in chains[1:]
        for objective in other.objectives
    ]


def full_plan() -> Plan:
    """Return the experiment as reported."""
    fast = (OFF_POLICY_FAST, SMALL_BATCHES_FAST, UNCLIPPED_FAST)
    elsewhere = (STRONG, CHANGE_WEAK, CHANGE_STRONG)
    settings = (MAIN, OFF_POLICY, SMALL_BATCHES, *fast, *elsewhere, *_lengths())
    core, both = ("psr", "nsr", "grpo", "maxrl"), ("psr", "nsr")
    first = (
        (MAIN.name, (*core, "w_reinforce")),
        (OFF_POLICY_FAST.name, both),
        (SMALL_BATCHES_FAST.name, both),
    )
    second = (
        *((setting.name, core) for setting in elsewhere),
        (OFF_POLICY.name, core),
        (MAIN.name, MAIN.objectives),
        (SMALL_BATCHES.name, both),
        (UNCLIPPED_FAST.name, both),
    )
    return Plan(
        settings=settings,
        phases=(first, second),
        n_seeds=8,
        n_prompts=250,
        n_samples=K,
        contrasts=tuple(_contrasts(settings)),
    )


def quick_plan() -> Plan:
    """Return a small version: three objectives, three seeds, one way of training."""
    setting = msgspec.structs.replace(
        MAIN,
        objectives=("psr", "nsr", "grpo"),
        n_steps=40,
        eval_steps=(5, 10, 20, 40),
        slow_steps=(100,),
    )
    contrasts = (
        _nsr(1, setting),
        _against(3, setting, "grpo", REFERENCE, setting.outcome),
        *(
            _against(5, setting, "nsr", REFERENCE, o, "equal_rollouts")
            for o in ("pass@1", "pass@64")
        ),
    )
    return Plan(settings=(setting,), n_seeds=3, n_prompts=150, n_samples=K, contrasts=contrasts)
