"""Distillation losses, as pure functions on the batch of `twiceshy.objectives`.

`match` compares whole distributions (GKD, SDFT, SDPO, OPSD), `fused_match` does so without holding
(M, V), and `sampled` uses the teacher's opinion of the sampled tokens (on-policy distillation,
verifier sign with teacher magnitude, SGSD). It needs torch, which loads with the first name used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.lazy import lazy_names

if TYPE_CHECKING:
    from twiceshy.distillation.losses.divergences import divergence as divergence
    from twiceshy.distillation.losses.divergences import forward_kl as forward_kl
    from twiceshy.distillation.losses.divergences import reverse_kl as reverse_kl
    from twiceshy.distillation.losses.fused import TeacherHead as TeacherHead
    from twiceshy.distillation.losses.fused import fused_match as fused_match
    from twiceshy.distillation.losses.matching import Matched as Matched
    from twiceshy.distillation.losses.matching import importance as importance
    from twiceshy.distillation.losses.matching import match as match
    from twiceshy.distillation.losses.matching import on_policy_rows as on_policy_rows
    from twiceshy.distillation.losses.sampled import check_one_tokenizer as check_one_tokenizer
    from twiceshy.distillation.losses.sampled import teacher_gap as teacher_gap
    from twiceshy.distillation.losses.sampled import trusted_teacher as trusted_teacher
    from twiceshy.distillation.losses.sampled import verifier_signed as verifier_signed
    from twiceshy.distillation.losses.support import Support as Support
    from twiceshy.distillation.losses.support import on_support as on_support
    from twiceshy.distillation.losses.support import top_support as top_support
    from twiceshy.distillation.losses.teachers import fixed_copy as fixed_copy
    from twiceshy.distillation.losses.teachers import move as move

_HOME = {
    "divergence": "divergences",
    "forward_kl": "divergences",
    "reverse_kl": "divergences",
    "TeacherHead": "fused",
    "fused_match": "fused",
    "Matched": "matching",
    "importance": "matching",
    "match": "matching",
    "on_policy_rows": "matching",
    "check_one_tokenizer": "sampled",
    "teacher_gap": "sampled",
    "trusted_teacher": "sampled",
    "verifier_signed": "sampled",
    "Support": "support",
    "on_support": "support",
    "top_support": "support",
    "fixed_copy": "teachers",
    "move": "teachers",
}

__all__ = sorted(_HOME)  # pyrefly: ignore

__getattr__, __dir__ = lazy_names(__name__, _HOME, needs_torch=True)
