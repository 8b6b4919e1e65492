"""What both stages share: one detector, a dictionary of classifier heads, one pass for all of them.

B: images.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Len
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric

from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import Batch
from bacl.data.datamodule import data_of
from bacl.detectors.any_detector import Detector
from bacl.detectors.levels import ExtraBoxes
from bacl.files.state_dicts import misfits, several
from bacl.heads import BoxGenerator, Head, together
from bacl.heads.failures import Failures
from bacl.loggers.measurements import Quantity
from bacl.loggers.step_log import log_step
from bacl.losses import FollowsEpochs
from bacl.messages.errors import OptionError
from bacl.options.ranges import Text
from bacl.stages.draws import JITTER, SAMPLING, seed_draws
from bacl.stages.evaluated_heads import EvaluatedHeads
from bacl.stages.freezing import any_trains, frozen_modules, train_only
from bacl.stages.optimizers import optimizers_of
from bacl.stages.parameter_groups import clip_each_group
from bacl.stages.schedule import WarmUpSchedule


class DetectionStage(EvaluatedHeads):
    """Trains a detector with any number of classifier heads on the same RoI features.

    The heads share backbone, proposals, RoI features and box regression. With a frozen extractor
    nothing upstream of a head depends on it, and each trains exactly as it would alone.
    """

    independent_heads = False
    """Whether every stage of this class freezes its extractor, so that jobs may share it."""

    def __init__(
        self,
        detector: Detector,
        heads: Mapping[str, Head],
        schedule: WarmUpSchedule,
        metric: Callable[[AnnotationTable], Metric],
        trainable: Annotated[Sequence[Text], Len(1)],
        seed: int,
    ) -> None:
        """Freeze what does not train.

        Args:
            detector: everything but the classifiers.
            heads: by name; the names appear in logs, tables and checkpoints.
            schedule: optimiser, epochs and learning rate.
            metric: builds one metric per head from the validation annotations.
            trainable: patterns of parameter names that train (`bacl.stages.freezing`).
            seed: of the draws of every training step.

        Raises:
            OptionError: no head, a pattern without parameters, or several heads on an extractor
                that trains.
        """
        if not heads:
            raise OptionError("a stage needs at least one classifier head")
        super().__init__(detector, heads, metric, seed)
        self.schedule = schedule
        self.step_losses: dict[Quantity, Tensor] = {}
        self.failed_heads = Failures()
        """Why these were dropped; in a training step that has failed also what will be."""
        train_only(self, trainable)
        self.extractor_trains = any_trains(*detector.extractor.values())
        if self.extractor_trains and len(heads) > 1:
            raise OptionError(
                f"heads {sorted(heads)} would share an extractor that trains, and each would "
                "change what the others learn from; train one head, or freeze the extractor"
            )
        self.train()  # Lightning trains a model in the mode it finds it in

    def train(self, mode: bool = True) -> "DetectionStage":
        """Training mode for what trains; frozen modules stay in eval mode."""
        super().train(mode)
        for module in frozen_modules(self):
            module.eval()
        return self

    def tolerate_failures(self, wanted: bool = True) -> None:
        """Let heads and variants fail alone, where there are others that can go on."""
        self.failed_heads.tolerated = wanted and len(self.heads) > 1
        self.failed_variants.tolerated = wanted and len(self.variants) > 1

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of the detector's losses and of every head's classification loss."""
        self.failed_heads.place = f"at step {self.global_step}"
        self._seed_step(SAMPLING)  # stochastic depth draws too
        with torch.set_grad_enabled(self.extractor_trains):
            pyramid = self.detector.pyramid(batch.images, batch.padded_sizes)
        extra = self._extra_boxes(batch)
        self._seed_step(SAMPLING)
        regions = self.detector.training_regions(pyramid, batch.targets, extra)
        losses = {Quantity("train", None, part): loss for part, loss in regions.losses.items()}
        found = together.losses(self.live_heads, regions.levels, self.failed_heads)
        for name in self.live_heads:
            # Of one that has just failed; what watches the losses drops it (`FiniteLoss`).
            loss = found.get(name, torch.full((), math.nan, device=self.device))
            losses[Quantity("train", name, "classification")] = loss
        self.step_losses = {quantity: loss.detach() for quantity, loss in losses.items()}
        self._log_losses(len(batch.targets))
        idle = [_nothing(head) for name, head in self.heads.items() if name not in found]
        return torch.stack([*losses.values(), *idle]).sum()

    def _log_losses(self, images: int) -> None:
        log_step(self, self.step_losses, images)

    def on_train_start(self) -> None:
        """Tell the parts of heads that change with the epochs, also within one that goes on."""
        for module in self.heads.modules():
            if isinstance(module, FollowsEpochs):
                module.begin_epoch(self.current_epoch, self.schedule.epochs)

    def on_train_epoch_start(self) -> None:
        """The same at the start of every epoch."""
        self.on_train_start()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep which heads were dropped."""
        checkpoint["dropped_heads"] = sorted(self.dropped)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on without the heads that were dropped before the interruption.

        Raises:
            ValueError: lists by name what is missing, unexpected, of another shape or kind of
                number, or not finite; a dropped head may be.
        """
        dropped = tuple(f"heads.{name}." for name in checkpoint["dropped_heads"])
        problems = misfits(self, checkpoint["state_dict"])
        if problems := [each for each in problems if not each.startswith(dropped)]:
            raise ValueError(several(problems))
        data = data_of(self.trainer)
        if data is not None and type(data).__qualname__ not in checkpoint:
            raise ValueError("it does not say where in the data it ends")
        self.dropped = set(checkpoint["dropped_heads"])

    def _seed_step(self, purpose: int) -> None:
        step = self.trainer.fit_loop.epoch_loop.total_batch_idx
        seed_draws(self._seed, step, purpose, self.device)

    def _extra_boxes(self, batch: Batch) -> dict[Hashable, ExtraBoxes]:
        """Boxes that heads want features of; those that want the same ones share them."""
        wanted = dict.fromkeys(head.extra_boxes for head in self.live_heads.values())
        return {
            generator: self._around(generator, batch)
            for generator in wanted
            if generator is not None
        }

    def _around(self, generator: BoxGenerator, batch: Batch) -> ExtraBoxes:
        self._seed_step(JITTER)  # every generator draws as if it were the only one
        return generator.around(batch.targets)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the detector and every head by itself."""
        if gradient_clip_val:
            clip_each_group(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """One parameter group for the detector and one for each head."""
        return optimizers_of(self, self.schedule)


def _nothing(head: nn.Module) -> Tensor:
    """A zero that depends on a head's weights, whatever they are.

    Processes that reduce gradients together wait for those of every parameter.
    """
    finite = [parameter.nan_to_num(0, 0, 0).sum() for parameter in head.parameters()]
    return 0 * torch.stack(finite).sum()
