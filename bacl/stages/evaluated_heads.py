"""A detector with heads, and the evaluation of their variants, whatever of them trains.

B: images.
"""

from collections.abc import Callable, Mapping

from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn
from torchmetrics import Metric

from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import Batch, Detections
from bacl.data.datamodule import data_of
from bacl.detectors.any_detector import Detector
from bacl.heads import Head
from bacl.heads.failures import Failures
from bacl.loggers.measurements import Quantity, named
from bacl.stages.detection import Variant, detect
from bacl.stages.gathering import gather, waiting
from bacl.stages.modules import Modules


class EvaluatedHeads(LightningModule):
    """Heads of one detector, each variant of which has a metric of its own.

    Args:
        detector: everything but the classifiers.
        heads: by name.
        metric: builds one metric per variant from the validation annotations.
        seed: of what is drawn where calibrations look at training images.
    """

    def __init__(
        self,
        detector: Detector,
        heads: Mapping[str, Head],
        metric: Callable[[AnnotationTable], Metric],
        seed: int,
    ) -> None:
        super().__init__()
        self.detector = detector
        self.heads = Modules[Head](dict(heads))
        self.metrics = Modules[Metric]()
        self.dropped: set[str] = set()
        """Heads that diverged or failed beside others, which go on without them."""
        self.failed_variants = Failures()
        """What could not be evaluated, beside others."""
        self._variants: Mapping[str, Variant] = {}
        self._build_metric = metric
        self._seed = seed

    @property
    def live_heads(self) -> dict[str, Head]:
        """The heads that have not been dropped, by name."""
        return {name: head for name, head in self.heads.items() if name not in self.dropped}

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
            if self._logs:
                self.log_dict(named(found), sync_dist=True)  # equal on all processes
            if self.trainer.state.fn == TrainerFn.FITTING:
                metric.reset()  # it holds all detections
        self.failed_variants.tell("not evaluated any more; the others are")
        if self.trainer.state.fn == TrainerFn.FITTING:
            self.failed_variants.let_go()  # the training goes on

    @property
    def _logs(self) -> bool:
        """Whether what is logged is written, or looked at within a training.

        A sanity check is of one batch, that errors come before the training.
        """
        trainer = self.trainer
        read = trainer.state.fn == TrainerFn.FITTING or bool(trainer.loggers)
        return read and not trainer.sanity_checking

    def on_validation_epoch_start(self) -> None:
        """Start from empty metrics; after the epoch they keep their per-category values."""
        for metric in self.metrics.values():
            metric.reset()
