"""What both stages share: one detector, a dictionary of classifier heads, one pass for all of them.

B: images.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Len
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric

from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import Batch, Detections
from bacl.data.datamodule import data_of
from bacl.detectors.any_detector import Detector
from bacl.detectors.levels import ExtraBoxes
from bacl.files.state_dicts import misfits, several
from bacl.heads import BoxGenerator, Head, together
from bacl.heads.failures import Failures
from bacl.loggers.measurements import Quantity, named
from bacl.loggers.step_log import log_step
from bacl.losses import FollowsEpochs
from bacl.messages.errors import OptionError
from bacl.options.ranges import Text
from bacl.stages.detection import Variant, detect
from bacl.stages.draws import JITTER, SAMPLING, seed_draws
from bacl.stages.freezing import any_trains, frozen_modules, train_only
from bacl.stages.gathering import gather, waiting
from bacl.stages.modules import Modules
from bacl.stages.parameter_groups import clip_each_group, parameter_groups
from bacl.stages.schedule import WarmUpSchedule


class DetectionStage(LightningModule):
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
        super().__init__()
        if not heads:
            raise OptionError("a stage needs at least one classifier head")
        self.detector = detector
        self.heads = Modules[Head](dict(heads))
        self.schedule = schedule
        self.metrics = Modules[Metric]()
        self.step_losses: dict[Quantity, Tensor] = {}
        self.dropped: set[str] = set()
        """Heads that diverged or failed beside others, which go on without them."""
        self.failed_heads = Failures()
        """Why these were dropped; in a training step that has failed also what will be."""
        self.failed_variants = Failures()
        """What could not be evaluated, beside others."""
        self._variants: Mapping[str, Variant] = {}
        self._build_metric = metric
        self._seed = seed
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

    def setup(self, stage: str) -> None:
        """One metric per variant, over the validation images that it will be given."""
        self.judge_on(data_of(self.trainer).val_table)

    def judge_on(
        self, table: AnnotationTable, metric: Callable[[AnnotationTable], Metric] | None = None
    ) -> None:
        """Start new metrics, which judge the images of a table that the variants will be given.

        Args:
            table: the truth.
            metric: builds the metric of a variant; None takes the stage's.
        """
        build = metric or self._build_metric
        self.metrics = Modules[Metric]({name: build(table) for name in self.variants})
        for each in self.metrics.values():
            each.seen_only = True

    @property
    def variants(self) -> Mapping[str, Variant]:
        """What is evaluated, by name: the live heads as they are, unless others were set."""
        chosen = self._variants or {name: Variant(name) for name in self.live_heads}
        return {
            name: each
            for name, each in chosen.items()
            if each.head not in self.dropped and name not in self.failed_variants
        }

    @variants.setter
    def variants(self, variants: Mapping[str, Variant]) -> None:
        self._variants = variants
        calibrations = [each.calibration for each in variants.values() if each.calibration]
        self.calibrations = nn.ModuleList(calibrations).to(self.device)  # and move with the stage

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

    @property
    def live_heads(self) -> dict[str, Head]:
        """The heads that have not been dropped, by name."""
        return {name: head for name, head in self.heads.items() if name not in self.dropped}

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

    def detect(self, batch: Batch) -> dict[str, list[Detections]]:
        """Every variant's detections, per image, in pixels of the original files."""
        return detect(self.detector, self.live_heads, batch, self.variants, self.failed_variants)

    def on_validation_start(self) -> None:
        """Let calibrations observe what they gather, before they score, once all is trained."""
        failures = self.failed_variants
        failures.place = "when its calibration looked at training images"
        pairs = waiting(self.live_heads, self.variants, failures)
        if pairs and self.trainer.state.fn == TrainerFn.VALIDATING:
            batches = data_of(self.trainer).observed_dataloader()
            gather(self.detector, pairs, batches, self.device, self._seed, failures)
        failures.place = "in the evaluation"

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect every variant's detections; backbone, proposals and boxes are computed once."""
        image_ids = [target.image_id for target in batch.targets]
        for name, detections in self.detect(batch).items():
            with self.failed_variants.of_this_process([name]):
                self.metrics[name].update(detections, image_ids)

    def on_validation_epoch_end(self) -> None:
        """Log what every variant's metric says of all images."""
        self.failed_variants.agree()
        for name in self.variants:
            metric, values = self.metrics[name], {}
            with self.failed_variants.of([name]):
                values = metric.compute()
            values = {} if name in self.failed_variants else values
            found = {Quantity("val", name, part): value for part, value in values.items()}
            if not self.trainer.sanity_checking:  # one batch, that errors come before the training
                self.log_dict(named(found), sync_dist=True)  # equal on all processes
            if self.trainer.state.fn == TrainerFn.FITTING:
                metric.reset()  # it holds all detections
        self.failed_variants.tell("not evaluated any more; the others are")
        if self.trainer.state.fn == TrainerFn.FITTING:
            self.failed_variants.let_go()  # the training goes on

    def on_validation_epoch_start(self) -> None:
        """Start from empty metrics; after the epoch they keep their per-category values."""
        for metric in self.metrics.values():
            metric.reset()

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
        groups = parameter_groups(
            {"detector": self.detector, **{f"heads.{n}": h for n, h in self.heads.items()}}
        )
        trainer = self.trainer
        images = data_of(trainer).batch_size * trainer.accumulate_grad_batches
        fused = _may_fuse(self.device, trainer.precision_plugin)
        optimizer = self.schedule.build_optimizer(groups, images, fused)
        steps_per_epoch = int(trainer.estimated_stepping_batches) // max(1, self.schedule.epochs)
        scheduler = self.schedule.build_scheduler(optimizer, max(1, steps_per_epoch))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def _may_fuse(device: torch.device, precision: Any) -> bool:
    """Whether an optimiser may take a step in one operator: on a GPU, without scaled gradients.

    On a CPU it would round in another way. Beside a scaler of gradients (16-mixed) it would undo
    their scale itself, and so after they have been clipped.
    """
    return device.type == "cuda" and getattr(precision, "scaler", None) is None


def _nothing(head: nn.Module) -> Tensor:
    """A zero that depends on a head's weights, whatever they are.

    Processes that reduce gradients together wait for those of every parameter.
    """
    finite = [parameter.nan_to_num(0, 0, 0).sum() for parameter in head.parameters()]
    return 0 * torch.stack(finite).sum()
