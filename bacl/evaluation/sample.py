"""What a variant found in some of the images, and what is there: all that can be judged of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from bacl.evaluation.box_overlap import box_overlap
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.finding_verdicts import find_verdicts
from bacl.evaluation.groups import Grouping
from bacl.evaluation.judging import Judgement, judge
from bacl.evaluation.reliability import Reliability, reliabilities
from bacl.evaluation.right_label import RightLabels, right_labels
from bacl.evaluation.rules import Rules
from bacl.evaluation.summary import label_summary, summary
from bacl.evaluation.thresholds.scored import Scored
from bacl.evaluation.truth import GroundTruth

Numbers = tuple[Mapping[str, float], Mapping[str, Reliability]]
"""What is measured of boxes, and whether scores are probabilities."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Of the images that `detections` lists, with and without any."""

    all_truth: GroundTruth
    """Of these and other images."""
    detections: DetectionColumns
    rules: Rules
    grouping: Grouping
    whole: "Sample | None" = None
    """That these images are a part of: which objects have their right label is known from it."""
    known_labels: RightLabels | None = None
    """Which objects have their right label, where that was found before."""
    known_numbers: Numbers | None = None
    """What was found before."""
    names: Sequence[str] = ()
    """Of the categories, by label, where they are known."""

    @classmethod
    def of(cls, found: Evaluation, rules: Rules, names: Sequence[str] = ()) -> Self:
        """Of all images that were judged, whose detections an evaluation kept.

        What it found of them is not looked for again.
        """
        numbers = None
        if found.unrounded and found.reliabilities is not None:
            boxes = [each.name for each in found.measures if not each.of_masks]
            numbers = {name: found.unrounded[name] for name in boxes}, found.reliabilities
        columns, labels = found.detections, found.right_labels
        return cls(found.truth, columns, rules, found.grouping, None, labels, numbers, names)

    @property
    def image_ids(self) -> np.ndarray:
        """(I,) int64."""
        return self.detections.image_ids

    def only(self, image_ids: np.ndarray) -> Self:
        """Of these of its images, (n,) int64."""
        own = self.detections.only(np.isin(self.image_ids, image_ids))
        return replace(self, detections=own, whole=self, known_labels=None, known_numbers=None)

    @cached_property
    def truth(self) -> GroundTruth:
        """The objects of its images."""
        return self.all_truth.only(self.image_ids)

    @cached_property
    def right_labels(self) -> RightLabels:
        """Which objects have their right label; it is a matter of each image by itself."""
        if self.whole is not None:
            return self.whole.right_labels.only(self.truth.judged_images)
        return self.known_labels or right_labels(self.truth, self.detections, self.rules)

    def judgement(self) -> Judgement:
        """Of boxes, by the benchmark's rules.

        Judged anew with every call: it is as large as the detections, and there are many samples.
        """
        truth, own = self.truth, self.detections
        boxes = box_overlap(own.boxes, truth.boxes, truth.crowd)
        return judge(truth, own, own.areas, boxes, self.rules, self.grouping)

    def scored(self) -> Scored:
        """Its judged detections, for thresholds of scores; judged anew with every call."""
        truth, own = self.truth, self.detections
        boxes = box_overlap(own.boxes, truth.boxes, truth.crowd)
        return Scored.of(find_verdicts(truth, own, own.areas, boxes, self.rules), truth)

    @property
    def measures(self) -> Mapping[str, float]:
        """Of boxes, by the names of results.json, in [0, 1]; -1 where there are no objects."""
        return self._numbers[0]

    @property
    def reliabilities(self) -> Mapping[str, Reliability]:
        """Whether scores are probabilities: of all categories ("all"), of each group by its key."""
        return self._numbers[1]

    @cached_property
    def _numbers(self) -> Numbers:
        if self.known_numbers is not None:
            return self.known_numbers
        found, read = self.judgement(), summary(self.rules, self.grouping)
        labels = label_summary(self.grouping)
        values = {measure.name: float(of(found)) for measure, of in read.items()}
        values |= {each.name: float(of(self.right_labels)) for each, of in labels.items()}
        scored = Scored.of(found.verdicts, self.truth)
        return values, reliabilities(scored, self.grouping)
