"""Into weights: advantages, losses, token credit, guards and the fused head, as pure functions.

    from twiceshy.objectives import denominator_of, labels_of, ppo_clip, w_reinforce

    labels = labels_of(outcomes, truncated=truncated)                # +1, −1, 0 = abstain
    advantages = w_reinforce(labels, group)                          # (N,)
    loss = ppo_clip(logp, old_logp=old, advantages=advantages, mask=mask,
                    denominator=denominator_of(mask))                # whole batch's denominator
    loss.value.backward()                                            # or loss.coefficients

It needs torch (`pip install "twiceshy[torch]"`), which loads with the first name used. The function
`fused_head` has its module's name and is imported from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.lazy import lazy_names

if TYPE_CHECKING:
    from twiceshy.objectives.abort import accuracy_alarm as accuracy_alarm
    from twiceshy.objectives.abort import length_alarm as length_alarm
    from twiceshy.objectives.abort import likelihood_alarm as likelihood_alarm
    from twiceshy.objectives.abort import malformed_alarm as malformed_alarm
    from twiceshy.objectives.abort import rare_token_alarm as rare_token_alarm
    from twiceshy.objectives.advantages import nsr as nsr
    from twiceshy.objectives.advantages import psr as psr
    from twiceshy.objectives.advantages import reinforce as reinforce
    from twiceshy.objectives.advantages import signed_reinforce as signed_reinforce
    from twiceshy.objectives.advantages import w_reinforce as w_reinforce
    from twiceshy.objectives.all_wrong import AllWrong as AllWrong
    from twiceshy.objectives.all_wrong import treat_all_wrong as treat_all_wrong
    from twiceshy.objectives.credit import TokenCredit as TokenCredit
    from twiceshy.objectives.credit import apply_credit as apply_credit
    from twiceshy.objectives.credit import probability_band as probability_band
    from twiceshy.objectives.credit import rarest as rarest
    from twiceshy.objectives.credit import top_entropy as top_entropy
    from twiceshy.objectives.credit import uniform as uniform
    from twiceshy.objectives.denominator import Denominator as Denominator
    from twiceshy.objectives.denominator import DenominatorKind as DenominatorKind
    from twiceshy.objectives.denominator import denominator_of as denominator_of
    from twiceshy.objectives.fused_coefficients import HeadTask as HeadTask
    from twiceshy.objectives.fused_coefficients import head_task as head_task
    from twiceshy.objectives.fused_head import HeadRows as HeadRows
    from twiceshy.objectives.fused_head import fused_head_loss as fused_head_loss
    from twiceshy.objectives.fused_head import selected_logp as selected_logp
    from twiceshy.objectives.group_advantages import asymre as asymre
    from twiceshy.objectives.group_advantages import dr_grpo as dr_grpo
    from twiceshy.objectives.group_advantages import grpo as grpo
    from twiceshy.objectives.group_advantages import maxrl as maxrl
    from twiceshy.objectives.group_advantages import ngrpo as ngrpo
    from twiceshy.objectives.group_advantages import pass_at_k as pass_at_k
    from twiceshy.objectives.group_advantages import rloo as rloo
    from twiceshy.objectives.group_advantages import sign_balanced as sign_balanced
    from twiceshy.objectives.groups import GroupStates as GroupStates
    from twiceshy.objectives.groups import group_states as group_states
    from twiceshy.objectives.guards import added as added
    from twiceshy.objectives.guards import drift_mask as drift_mask
    from twiceshy.objectives.guards import floor_mask as floor_mask
    from twiceshy.objectives.guards import llds as llds
    from twiceshy.objectives.guards import sampler_weights as sampler_weights
    from twiceshy.objectives.labels import labels_of as labels_of
    from twiceshy.objectives.labels import verified_labels as verified_labels
    from twiceshy.objectives.loss_types import Loss as Loss
    from twiceshy.objectives.losses import cispo as cispo
    from twiceshy.objectives.losses import gspo as gspo
    from twiceshy.objectives.losses import ppo_clip as ppo_clip
    from twiceshy.objectives.losses import topr as topr
    from twiceshy.objectives.luck import discount_luck as discount_luck
    from twiceshy.objectives.luck import luck_capped as luck_capped
    from twiceshy.objectives.metrics import merged as merged
    from twiceshy.objectives.metrics import sign_sums as sign_sums
    from twiceshy.objectives.metrics import summarised as summarised
    from twiceshy.objectives.nthr import nthr_weights as nthr_weights
    from twiceshy.objectives.nthr import token_residual as token_residual
    from twiceshy.objectives.offline import kto as kto
    from twiceshy.objectives.offline import npo as npo
    from twiceshy.objectives.offline import unlikelihood as unlikelihood
    from twiceshy.objectives.registry import CREDITS as CREDITS
    from twiceshy.objectives.registry import LOSSES as LOSSES
    from twiceshy.objectives.registry import OBJECTIVES as OBJECTIVES
    from twiceshy.objectives.registry import Objective as Objective
    from twiceshy.objectives.registry import bind_credit as bind_credit
    from twiceshy.objectives.registry import bind_loss as bind_loss
    from twiceshy.objectives.registry import bind_objective as bind_objective
    from twiceshy.objectives.registry import find_objective as find_objective
    from twiceshy.objectives.schedules import by_accuracy as by_accuracy
    from twiceshy.objectives.schedules import cosine as cosine
    from twiceshy.objectives.schedules import linear as linear
    from twiceshy.objectives.schedules import switch as switch

_HOME = {
    "accuracy_alarm": "abort",
    "length_alarm": "abort",
    "likelihood_alarm": "abort",
    "malformed_alarm": "abort",
    "rare_token_alarm": "abort",
    "nsr": "advantages",
    "psr": "advantages",
    "reinforce": "advantages",
    "signed_reinforce": "advantages",
    "w_reinforce": "advantages",
    "AllWrong": "all_wrong",
    "treat_all_wrong": "all_wrong",
    "TokenCredit": "credit",
    "apply_credit": "credit",
    "probability_band": "credit",
    "rarest": "credit",
    "top_entropy": "credit",
    "uniform": "credit",
    "Denominator": "denominator",
    "DenominatorKind": "denominator",
    "denominator_of": "denominator",
    "HeadTask": "fused_coefficients",
    "head_task": "fused_coefficients",
    "HeadRows": "fused_head",
    "fused_head_loss": "fused_head",
    "selected_logp": "fused_head",
    "asymre": "group_advantages",
    "dr_grpo": "group_advantages",
    "grpo": "group_advantages",
    "maxrl": "group_advantages",
    "ngrpo": "group_advantages",
    "pass_at_k": "group_advantages",
    "rloo": "group_advantages",
    "sign_balanced": "group_advantages",
    "GroupStates": "groups",
    "group_states": "groups",
    "added": "guards",
    "drift_mask": "guards",
    "floor_mask": "guards",
    "llds": "guards",
    "sampler_weights": "guards",
    "labels_of": "labels",
    "verified_labels": "labels",
    "Loss": "loss_types",
    "cispo": "losses",
    "gspo": "losses",
    "ppo_clip": "losses",
    "topr": "losses",
    "discount_luck": "luck",
    "luck_capped": "luck",
    "merged": "metrics",
    "sign_sums": "metrics",
    "summarised": "metrics",
    "nthr_weights": "nthr",
    "token_residual": "nthr",
    "kto": "offline",
    "npo": "offline",
    "unlikelihood": "offline",
    "CREDITS": "registry",
    "LOSSES": "registry",
    "OBJECTIVES": "registry",
    "Objective": "registry",
    "bind_credit": "registry",
    "bind_loss": "registry",
    "bind_objective": "registry",
    "find_objective": "registry",
    "by_accuracy": "schedules",
    "cosine": "schedules",
    "linear": "schedules",
    "switch": "schedules",
}

__all__ = sorted(_HOME)  # pyrefly: ignore

__getattr__, __dir__ = lazy_names(__name__, _HOME, needs_torch=True)
