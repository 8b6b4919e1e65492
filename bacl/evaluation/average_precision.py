"""Average precision of boxes and masks: what the metrics of all benchmarks share."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import Detections
from bacl.evaluation.collected_detections import CollectedDetections
from bacl.evaluation.column_checks import check_boxes, check_masks
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.groups import Grouping
from bacl.evaluation.judging import Judgement
from bacl.evaluation.measures import MASKS, Measure
from bacl.evaluation.right_label import RightLabels
from bacl.evaluation.rules import Rules
from bacl.evaluation.shape_judge import ShapeJudge
from bacl.evaluation.summary import boundary_summary, label_summary, summary
from bacl.evaluation.truth import GroundTruth
from bacl.evaluation.verdicts import Verdicts
from bacl.messages.errors import OptionError

_log = logging.getLogger(__name__)


class AveragePrecision(CollectedDetections):
    """AP and AR of boxes and, on demand, of masks by the rules of a benchmark.

    Measures are those of all categories and of groups of them. Precision is read at 101 recalls,
    IoU thresholds are 0.50:0.05:0.95, areas are the annotations'. Masks follow the same rules with
    the IoU of masks; a detected mask's area is its own (the official packages take the box's where
    a results file has both).
    A crowd region may be found any number of times, by detections that lie within it: they count
    neither as right nor as wrong. What is flagged `ignore` excuses one detection.

    All images of the table count, unless `seen_only`: an object of an image that `update` never saw
    is missed. An image given twice (two processes, a padded sampler) is counted once, with its
    first detections. Where there are objects but no detections AP is 0; a group without objects
    has -1.

    Results of all processes are gathered by `compute`, which every process must call.
    """

    higher_is_better = True

    def __init__(
        self,
        table: AnnotationTable,
        rules: Rules,
        grouping: Grouping,
        masks: bool = False,
        boundary: bool = False,
        **kwargs: Any,
    ) -> None:
        """Evaluate against `table`.

        Args:
            table: ground truth.
            rules: of the benchmark.
            grouping: the categories in groups; the AP of group "r" is called "APr".
            masks: evaluate masks too; every detection must have one.
            boundary: boundary AP of masks too, see `boundary_overlap`; decodes those that overlap.
            **kwargs: see `torchmetrics.Metric`.

        Raises:
            OptionError: boundaries of no masks.
        """
        super().__init__(**kwargs)
        if boundary and not masks:
            raise OptionError("metric.boundary=true: is of masks, which masks=true evaluates")
        self.table = table
        self.rules = rules
        self.grouping = grouping
        self.masks = masks
        self.boundary = boundary
        self.seen_only = False
        """Judge the images that `update` was given, and no others: an evaluation of a part. A
        results file does not list images without detections, so there all must count."""
        self.num_images = table.num_images
        """Images that the last `compute` judged."""
        self.judgement: Judgement | None = None
        self.mask_judgement: Judgement | None = None
        self.right_labels: RightLabels | None = None
        self.unrounded: dict[str, float] = {}
        """What the last `compute` gave, in double precision."""
        self._known_images = np.sort(table.image_ids)

    def update(
        self,
        detections: Sequence[Detections] | DetectionColumns,
        image_ids: Sequence[int] | None = None,
    ) -> None:
        """Add images.

        Args:
            detections: one per image, possibly empty: boxes xyxy in pixels of the original file.
                Or the columns that `results_json.load_results` read, which know their images.
            image_ids: the annotation file's image ids, in the same order.

        Raises:
            ValueError: for an image id that the table does not hold, a score or coordinate that is
                not finite, a label outside [0, C) or, where masks are evaluated, a detection
                without mask or a mask of another size than its image.
        """
        if not isinstance(detections, DetectionColumns):
            detections = DetectionColumns.from_detections(detections, image_ids)
        check_boxes(detections, self._known_images, self.table.num_categories)
        if self.masks:
            check_masks(detections, self._image_sizes(detections.image_ids))
        else:
            detections = detections.without_masks()
        self.judgement = self.mask_judgement = self.right_labels = None
        self.collect(detections)

    def compute(self) -> dict[str, Tensor]:
        """Scalars AP, AP50, AP75, APs, APm, APl, AP of each group, AR@300, ARs@300 and so on.

        The names of the recalls carry `max_detections`. After them those that are of no benchmark:
        AP at the limit of detections that fits the number of categories, such as "AP@20" and
        "AP@20_r", where that is lower; AP of all categories' detections in one ranking, "AP_pool";
        AP of the best 10,000 detections of each category, "AP_fixed"; the share of objects with
        their right label, "right_label". -1 where no category has an object. Those of masks are
        segm/AP and so on; of the right label there is one. Boundary AP is "segm/AP_boundary", with
        groups.
        """
        began = time.perf_counter()
        detections = self.columns()
        truth = self._truth(detections)
        judge = ShapeJudge(self.table, truth, detections, self.rules, self.grouping)
        found, self.judgement, self.right_labels = judge.boxes()
        if self.masks:
            of_masks, self.mask_judgement = judge.masks(self.boundary)
            found |= of_masks
        self.unrounded = {measure.name: float(value) for measure, value in found.items()}
        seconds = time.perf_counter() - began
        _log.debug("AP of %d detections took %.2f s", len(detections.scores), seconds)
        return {
            measure.name: torch.tensor(value, dtype=torch.float32, device=self.device)
            for measure, value in found.items()
        }

    @property
    def measures(self) -> list[Measure]:
        """What `compute` gives, in that order."""
        curves = list(summary(self.rules, self.grouping))
        masks = [measure.as_masks() for measure in curves] if self.masks else []
        outlines = boundary_summary(self.grouping) if self.boundary else ()
        return [*curves, *label_summary(self.grouping), *masks, *outlines]

    def per_category(self) -> dict[str, np.ndarray]:
        """Figures of each category, after `compute`.

        Returns:
            (C,) arrays: "AP", "AP50" and "recall" (mean over IoU thresholds), -1 for categories
            without objects; "num_ground_truth", objects that count; "num_detections",
            detections among the best of their images. With masks "segm/AP" and so on.

        Raises:
            RuntimeError: if nothing was computed since the last update.
        """
        if self.judgement is None:
            raise RuntimeError("per_category() reports what compute() found: call compute() first")
        of_masks = self.mask_judgement.curves.per_category() if self.mask_judgement else {}
        return {
            **self.judgement.curves.per_category(),
            **{f"{MASKS}{name}": values for name, values in of_masks.items()},
            "num_ground_truth": self.judgement.num_objects,
            "num_detections": self.judgement.num_detections,
        }

    @property
    def verdicts(self) -> Verdicts:
        """Of all boxes, after `compute`; rows are those of `detections()`.

        Raises:
            RuntimeError: if nothing was computed since the last update.
        """
        if self.judgement is None:
            raise RuntimeError("verdicts are what compute() found: call compute() first")
        return self.judgement.verdicts

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self.forget_judgement()

    def forget_judgement(self) -> None:
        """Forget what `compute` found, which is larger than the detections of many images."""
        self.judgement = self.mask_judgement = self.right_labels = None

    @property
    def part(self) -> str:
        """What the last `compute` judged, where that were not all images; otherwise empty."""
        whole = self.table.num_images
        return f"{self.num_images:,} of {whole:,} images" if self.num_images < whole else ""

    def _image_sizes(self, image_ids: np.ndarray) -> np.ndarray:
        """(I, 2) height and width of known images."""
        order = np.argsort(self.table.image_ids, kind="stable")
        return self.table.image_sizes[order[np.searchsorted(self._known_images, image_ids)]]

    def _truth(self, detections: DetectionColumns) -> GroundTruth:
        truth = GroundTruth.from_table(self.table, self.rules)
        self.num_images = self.table.num_images
        if self.seen_only and len(detections.image_ids) < self.num_images:
            self.num_images = len(detections.image_ids)
            truth = truth.only(detections.image_ids)
        return truth
