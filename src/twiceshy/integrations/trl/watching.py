"""A callback that sees a student lose its doubt while TRL distils it: SDFT and SDPO."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from accelerate.utils import broadcast_object_list, gather_object
from transformers import TrainerCallback

from twiceshy.attempts import Attempt
from twiceshy.attempts.lexicons import Lexicon
from twiceshy.attempts.markers import lexicon as lexicon_of
from twiceshy.distillation.check.during import Base, Metrics, Watch, base_of
from twiceshy.distillation.check.features import Trace
from twiceshy.errors import BadInput
from twiceshy.evidence.report import Alarm
from twiceshy.files import write_whole
from twiceshy.integrations.trl.completions import (
    Batch,
    Tokens,
    tokens_of,
    traces_of_base,
    traces_of_batch,
)
from twiceshy.integrations.trl.measuring import PREFIX
from twiceshy.training.loop import StepRecord


class _Row(NamedTuple):
    trace: Trace
    n_teacher_prompt: int | None


class CollapseWatch(TrainerCallback):
    """Writes length, marker density and fork rate of the student's completions, batch by batch.

    Each batch of completions adds a line, as `StepMetrics` does at each log: `step` (updates that
    are done), `metrics` (an undefined one is null), `alarms`. Signals compare the last `window`
    batches with a frozen base: one is a note, two a warning, three an alarm. The newest numbers go
    into the trainer's own logs as well, each name after "twiceshy/".

    For `trl.experimental.sdft.SDFTTrainer` and `trl.experimental.sdpo.SDPOTrainer`, by the event
    `on_self_distillation_batch_prepared`. That brings no logits, so forks cost one more pass of
    the student over each batch, without gradients. Nor does it bring the teacher's logits or
    weights: of the teacher only the length of its prompt is told, and how many completions had
    something to show to it. Batches of an evaluation are not looked at.

    Args:
        path: The file; lines are added to it. Its folder is made. Beside it the frozen base is
            kept (`.base.json` in place of the ending), for a training that is resumed.
        base: Attempts of the base model; None takes the first batches.
        n_base: Batches that make the base. All but the first may come from a student that has
            moved a little.
        window: Batches that are compared with it.
        language: Of the completions, or a lexicon; None tells it from the words of the base.
        tokenizer: To decode with; None: the trainer's `processing_class`.
        forks: Whether to spend the pass. Without it there are two signals and never an alarm.
        stop: Whether an alarm ends the training.
        seed: Of the bootstraps.

    Raises:
        BadInput: If there is no lexicon of the language, or a number is below 1.

    Example:
        trainer = SDFTTrainer(..., callbacks=[CollapseWatch("run/student.jsonl", stop=True)])
    """

    def __init__(
        self,
        path: str | Path,
        *,
        base: Iterable[Attempt] | None = None,
        n_base: int = 4,
        window: int = 4,
        language: str | Lexicon | None = None,
        tokenizer: Any = None,
        forks: bool = True,
        stop: bool = False,
        seed: int = 0,
    ) -> None:
        self.path, self.tokenizer = Path(path), tokenizer
        self.forks, self.stop = forks, stop
        self.base = None if base is None else tuple(base)
        self.language = None if language is None else lexicon_of(language)
        self._options = {"n_base": n_base, "window": window, "seed": seed}
        self._watch = Watch(language=self.language, **self._options)
        self._pending: Metrics = {}
        self._dispatched = self._warned = False

    def on_train_begin(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        processing_class: Any = None,
        **_: Any,
    ) -> None:
        """Check what the trainer does, and make or find the base.

        Raises:
            BadInput: If completions are the teacher's, nothing decodes them, or a resumed training
                has no base.
        """
        del control
        _require_own_completions(args)
        tokens = self._tokens(processing_class, model=model)
        self._dispatched = self._warned = False
        if not state.is_world_process_zero:
            return
        base = None
        if self.base is not None:
            limit = getattr(args, "max_completion_length", None)
            traces = traces_of_base(self.base, tokens=tokens, limit=limit)
            base = base_of(traces, language=self.language)
        elif state.global_step > 0:
            base = self._kept_base(state.global_step)
        else:
            self._base_path.unlink(missing_ok=True)
        self._watch = Watch(base=base, language=self.language, **self._options)

    def on_self_distillation_batch_prepared(
        self,
        *,
        args: Any,
        state: Any,
        control: Any,
        model: Any,
        processing_class: Any,
        prompt_ids: Any,
        completion_ids: Any,
        teacher_attention_mask: Any,
        self_distillation_mask: Any = None,
        **_: Any,
    ) -> None:
        """Look at one batch of completions, of all processes."""
        self._dispatched = True
        if not model.training:
            return
        tokens = self._tokens(processing_class, model=model)
        batch = Batch(prompt_ids, completion_ids, teacher_attention_mask, self_distillation_mask)
        traces = traces_of_batch(
            batch,
            tokens=tokens,
            model=model,
            micro_batch=args.per_device_train_batch_size,
            entropies=self.forks,
        )
        rows = map(_Row, traces, batch.teacher_prompt_lengths())
        every: list[_Row] = gather_object(list(rows))
        ends = self._see(every, step=state.global_step) if state.is_world_process_zero else False
        if self.stop and broadcast_object_list([ends])[0]:
            control.should_training_stop = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Warn once when the trainer has no such event."""
        del args, control
        if not self._dispatched and state.is_world_process_zero:
            self._dispatched = True
            warnings.warn(
                "CollapseWatch sees nothing: the trainer dispatched no "
                "on_self_distillation_batch_prepared. SDFTTrainer and SDPOTrainer of TRL 1.16 do.",
                UserWarning,
                stacklevel=2,
            )

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Add the newest batch to the trainer's log line, for callbacks that come later too."""
        del args, control
        if not self._pending or any(name.startswith("eval_") for name in logs or {}):
            return
        told = {f"{PREFIX}{name}": value for name, value in self._pending.items()}
        self._pending = {}
        for line in (logs, state.log_history[-1] if state.log_history else None):
            if line is not None:
                line.update(told)

    def _see(self, rows: list[_Row], *, step: int) -> bool:
        """Write the line of a batch; return whether it sounds the alarm."""
        had_base = self._watch.base is not None
        seen = self._watch.see([row.trace for row in rows])
        metrics = seen.metrics | _of_teacher(rows)
        self._pending = metrics
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            record = StepRecord(step=step, metrics=metrics, alarms=seen.alarms)
            file.write(msgspec.json.encode(record) + b"\n")
        if self._watch.base is not None and not had_base:
            write_whole(self._base_path, msgspec.json.encode(self._watch.base))
        return self._sounds(seen.alarms)

    def _sounds(self, alarms: tuple[Alarm, ...]) -> bool:
        sounding = [alarm for alarm in alarms if alarm.severity == "alarm"]
        if sounding and not self._warned:
            told = " ".join(alarm.message for alarm in sounding)
            warnings.warn(f"The student loses its doubt: {told}", UserWarning, stacklevel=2)
        self._warned = bool(sounding)
        return bool(sounding)

    def _tokens(self, processing_class: Any, *, model: Any) -> Tokens:
        tokenizer = self.tokenizer if self.tokenizer is not None else processing_class
        if tokenizer is None:
            raise BadInput("a tokenizer", got="none", where="CollapseWatch", fix="Give tokenizer=.")
        return tokens_of(tokenizer, model=model)

    @property
    def _base_path(self) -> Path:
        return self.path.with_suffix(".base.json")

    def _kept_base(self, step: int) -> Base:
        if not self._base_path.exists():
            raise BadInput(
                "the base that was frozen when the training began",
                got=f"no such file, at step {step}",
                where=str(self._base_path),
                fix="Give attempts of the base model as base=, or begin at step 0.",
            )
        try:
            return msgspec.json.decode(self._base_path.read_bytes(), type=Base)
        except msgspec.DecodeError as error:
            raise BadInput("a frozen base", got=str(error), where=str(self._base_path)) from error


def _require_own_completions(args: Any) -> None:
    if getattr(args, "generate_from_teacher", False):
        raise BadInput(
            "completions of the student",
            got="generate_from_teacher=True: they are the teacher's",
            where="CollapseWatch",
            fix="Leave the callback out, and compare the student afterwards with collapse_alarm.",
        )


def _of_teacher(rows: list[_Row]) -> Metrics:
    told = [row.n_teacher_prompt for row in rows if row.n_teacher_prompt is not None]
    return {
        "teacher/n_taught": float(len(told)),
        "teacher/prompt_length": sum(told) / len(told) if told else None,
    }
