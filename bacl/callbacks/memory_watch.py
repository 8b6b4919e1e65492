"""Says after the first steps what a training takes of its device's memory, and ends what won't fit.

Measured is the peak of a few steps, with the shapes that they happened to have. The largest shape
that the data can give may come hours later, and is estimated (`step_memory`). As that is about
right only, a training is ended if it misses by more than a tenth, and warned of if it might miss.
"""

import gc
import logging
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from bacl.callbacks.roi_memory import RoIMemory
from bacl.callbacks.smaller_batch import TooLargeError, mends
from bacl.callbacks.step_memory import Shape, StepMemory
from bacl.data.datamodule import DetectionDataModule
from bacl.data.largest_batch import largest_sides
from bacl.processes.distributed import gather_objects
from bacl.speed.device_memory import DeviceMemory, memory_of

_LOG = logging.getLogger(__name__)

WARM_UP, MEASURED = 1, 2
"""Steps of the optimiser, the first of which makes its state, and batches after them."""
REFUSED, WARNED = 1.1, 0.95
"""Of the memory there is."""


class MemoryWatch(Callback):
    """Measures the memory of the first steps, once in a training.

    Args:
        refuses: end a training that will not fit; else it is warned of, and goes on.
        processes: that will share a batch, if they are others than the trainer's.
        share: images of a process in the training that is meant, where fewer are measured: then
            only what will not fit, or may not, is told.
        gathered: batches of a step in that training.
    """

    def __init__(
        self,
        refuses: bool = True,
        processes: int | None = None,
        share: int | None = None,
        gathered: int | None = None,
    ) -> None:
        self._refuses = refuses
        self._processes = processes
        self._share, self._gathered = share, gathered
        self._rois: RoIMemory | None = None
        self._memory: DeviceMemory | None = None
        self._first = 0
        self._batches = 0
        self._base = 0
        self._shape: Shape = (0, 0, 0)
        self.found: StepMemory | None = None
        """Once it was measured."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for the device, and let earlier stages go, which their trainers refer to."""
        gc.collect()
        self._memory = memory_of(pl_module.device)
        self._first = trainer.global_step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin to measure after the steps to warm up, of several batches each, perhaps."""
        done = trainer.global_step - self._first
        if self._memory is not None and self._rois is None and done >= WARM_UP:
            self._base = self._memory.start()
            self._rois = RoIMemory(pl_module, self._memory, self._base)

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Look at what the losses took, of the first step that is measured."""
        if self._rois is not None:
            self._rois.losses_are_there()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the shape, and tell what was found after the last batch to measure.

        Raises:
            TooLargeError: on every process, where the largest batch will not fit on one and that
                is refused.
        """
        images = batch.images
        if self._memory is None or self._rois is None or self._batches == MEASURED:
            return
        if not isinstance(images, Tensor) or images.ndim != 4:
            return  # a detector that is given other things than pictures
        self._batches += 1
        shape = images.shape[0], images.shape[2], images.shape[3]
        self._shape = max(self._shape, shape, key=lambda sides: sides[0] * sides[1] * sides[2])
        if self._batches == MEASURED:
            self._tell(trainer, self._memory, self._rois)

    def _tell(self, trainer: Trainer, memory: DeviceMemory, rois: RoIMemory) -> None:
        own = StepMemory(
            self._base, memory.peak(), memory.limit(), self._shape, self._largest(trainer),
            rois.of_images, rois.of_rois,
        )  # fmt: skip
        self.found = worst = max(gather_objects(own), key=lambda each: each.share)
        told = worst.told(memory.name)
        if worst.share <= WARNED:
            if self._share is None:
                _inform(f"memory: {told}")
            return
        fitting = mends(trainer, worst.fitting, self._processes, self._share, self._gathered)
        if worst.share > REFUSED and self._refuses:
            raise TooLargeError(
                f"a step will not fit into memory: {told}. Take {fitting}; or go on all the same "
                "with check_memory=false"
            )
        _warn(f"memory: {told}; it may not fit. What takes less: {fitting}")

    def _largest(self, trainer: Trainer) -> Shape | None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, DetectionDataModule):
            return None
        images = self._share or self._shape[0]
        sides = largest_sides(data.train_set, images)
        return sides and (images, *sides)


@rank_zero_only
def _inform(text: str) -> None:
    _LOG.info("%s", text)


@rank_zero_only
def _warn(text: str) -> None:
    _LOG.warning("%s", text)
