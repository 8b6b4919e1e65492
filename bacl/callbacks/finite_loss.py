"""Stops a run at the first loss that is not a finite number, and keeps what led to it."""

import math
from pathlib import Path
from typing import Any, NoReturn, cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from bacl.callbacks.step_file import StepFile, told_rates
from bacl.loggers.measurements import Quantity
from bacl.messages.errors import UserError
from bacl.processes.agreement import Agreement
from bacl.processes.distributed import gather_objects
from bacl.processes.peers import lost_connection
from bacl.stages import DetectionStage
from bacl.stages.failed_heads import write_failed_heads


class NonFiniteLossError(UserError, RuntimeError):
    """A training loss is NaN or infinite."""


class DivergedError(UserError, RuntimeError):
    """The weights have become so large that the features are no longer finite."""


CLIPPING = "clip gradients (trainer.gradient_clip_val)"
_NOTHING_TO_LEARN = (
    NonFiniteLossError,
    KeyboardInterrupt,
    SystemExit,  # as when it was told to end
    torch.OutOfMemoryError,
    # After it the device computes nothing more; older torch has no class for it.
    getattr(torch, "AcceleratorError", ()),
)
"""Errors after which a look at the features would tell nothing, or fail."""


class FiniteLoss(Callback):
    """Checks `pl_module.step_losses` before every backward pass, with one wait for the device.

    The module must set `step_losses: dict[Quantity, Tensor]` in each training step. All processes
    agree on the check and stop together: one that stopped alone would leave the others waiting in
    the gradient reduction.

    The process whose loss is not finite keeps what led to it in a `StepFile`.

    Where the module's `failed_heads` are tolerated, a head whose loss is not finite, or that has
    none since it raised an error, is left out from then on (`dropped`), as long as another one
    remains: nothing else depends on it. failed_heads.json beside the checkpoints says why.

    Where a step fails before it has losses, `diagnosis` tells whether training has diverged.
    """

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self.diagnosis: DivergedError | None = None
        """After a failed step: what to raise from its own error, if the features are to blame."""
        self._step = StepFile()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch for the case that its loss is not finite."""
        self._step.batch = batch

    def on_train_batch_end(self, *args: Any) -> None:
        """Let go of the batch."""
        self._step.batch = None

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Check the losses of this step.

        The parts are checked instead of `loss`, which is their sum, except that half-precision
        training scales it: there it may overflow, and the scaler deals with that.

        Raises:
            NonFiniteLossError: on every process with the same message, if a loss of any process is
                not finite.
            Exception: what the last head's loss raised.
        """
        losses = cast(DetectionStage, pl_module).step_losses
        values = torch.stack([value.float() for value in losses.values()])
        wrong = self._agreement.reach(values * 0)  # NaN for what is not finite
        lost = [each for each, total in zip(losses, wrong, strict=True) if total]
        if not lost or self._goes_on_without(trainer, pl_module, lost):
            return
        self._stop(trainer, pl_module, {str(each): float(value) for each, value in losses.items()})

    def _goes_on_without(
        self, trainer: Trainer, pl_module: LightningModule, lost: list[Quantity]
    ) -> bool:
        """Drop the heads that these losses are of, where that is wanted and leaves one."""
        stage = cast(DetectionStage, pl_module)
        failures = stage.failed_heads
        if not failures.tolerated:
            return False
        guilty = {each.head for each in lost if each.head}
        if not all(each.head for each in lost) or guilty >= stage.live_heads.keys():
            failures.raise_first(guilty)
            return False
        for head in sorted(guilty):
            failures.note(head, f"its loss was no longer finite {self._place(trainer)}")
        failures.agree()
        stage.dropped |= guilty
        write_failed_heads(Path(trainer.default_root_dir), failures.reasons)
        failures.tell("left out; the others go on without it")
        failures.let_go()
        return True

    def _place(self, trainer: Trainer) -> str:
        return (
            f"at step {trainer.global_step} of epoch {trainer.current_epoch}, learning rate "
            f"{told_rates(trainer)}, images {self._step.image_ids}"
        )

    def _stop(
        self, trainer: Trainer, pl_module: LightningModule, losses: dict[str, float]
    ) -> NoReturn:
        wrong = [f"{name} is {v}" for name, v in losses.items() if not math.isfinite(v)]
        path = self._step.path(trainer)
        message = self._explain(trainer, wrong, path) if wrong else ""
        messages = [text for text in gather_objects(message) if text]
        try:
            if wrong:
                self._step.save(trainer, pl_module, losses)
        finally:
            # The first process to raise ends the others: wait until each has written its file.
            gather_objects(None)
        raise NonFiniteLossError("\n".join(map(str, messages)))

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Set `diagnosis` where a step failed because its features are not finite any more.

        Features that overflow make the step fail on the way to its losses, with an error that
        tells nothing (a box of NaN pixels). Looking costs nothing until then. Raises nothing:
        Lightning has yet to close its loggers and workers.
        """
        if self._step.batch is None or isinstance(exception, _NOTHING_TO_LEARN):
            return
        if lost_connection(exception):
            return
        if not isinstance(exception, FloatingPointError) and self._features_are_finite(pl_module):
            return
        path = self._step.path(trainer)
        self._step.save(trainer, pl_module, {})
        self.diagnosis = DivergedError(
            f"the network's outputs are not finite at step {trainer.global_step}, learning rate "
            f"{told_rates(trainer)}: training has diverged. Lower the learning rate, lengthen the "
            f"warm-up or {CLIPPING}. Batch and weights are in {path}"
        )

    def _features_are_finite(self, pl_module: LightningModule) -> bool:
        batch = self._step.batch
        assert batch is not None
        with torch.no_grad():
            detector = cast(DetectionStage, pl_module).detector
            pyramid = detector.pyramid(batch.images, batch.padded_sizes)
        return all(bool(level.isfinite().all()) for level in pyramid)

    def _explain(self, trainer: Trainer, wrong: list[str], path: Path) -> str:
        return (
            f"{', '.join(wrong)} {self._place(trainer)}. Batch, losses and weights are in "
            f"{path}. Look at these images' annotations; if they are right, lower the learning "
            f"rate, lengthen the warm-up or {CLIPPING}."
        )
