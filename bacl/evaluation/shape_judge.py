"""What is measured of boxes and of masks, and what it is read off."""

from dataclasses import dataclass

import numpy as np

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.boundary_overlap import boundary_overlap
from bacl.evaluation.box_overlap import PairOverlap, box_overlap
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.groups import Grouping
from bacl.evaluation.judging import Judgement, judge
from bacl.evaluation.mask_overlap import mask_overlap
from bacl.evaluation.measures import Measure
from bacl.evaluation.right_label import RightLabels, right_labels
from bacl.evaluation.rules import Rules
from bacl.evaluation.summary import boundary_summary, label_summary, summary
from bacl.evaluation.truth import GroundTruth

Found = dict[Measure, float]


@dataclass(frozen=True)
class ShapeJudge:
    """Detections of images beside the truth of the same images."""

    table: AnnotationTable
    """That the truth is of, with its masks."""
    truth: GroundTruth
    detections: DetectionColumns
    rules: Rules
    grouping: Grouping

    def boxes(self) -> tuple[Found, Judgement, RightLabels]:
        """Measures, and what they are read off."""
        truth, detections = self.truth, self.detections
        overlap = box_overlap(detections.boxes, truth.boxes, truth.crowd)
        found = self._judged(detections.areas, overlap)
        labels = right_labels(truth, detections, self.rules, found.verdicts)
        shares = label_summary(self.grouping).items()
        right = {measure: share(labels) for measure, share in shares}
        return self._summary(found) | right, found, labels

    def masks(self, boundary: bool) -> tuple[Found, Judgement]:
        """The same of masks.

        Args:
            boundary: whether boundary AP is among the measures.
        """
        detections = self.detections
        overlap = mask_overlap(detections, self.truth, self.table)
        found = self._judged(detections.mask_areas, overlap)
        measured = {each.as_masks(): value for each, value in self._summary(found).items()}
        if boundary:
            outlines = boundary_overlap(detections, self.truth, self.table, overlap)
            by_outline = self._judged(detections.mask_areas, outlines)
            read = boundary_summary(self.grouping).items()
            measured |= {measure: of(by_outline) for measure, of in read}
        return measured, found

    def _judged(self, areas: np.ndarray, overlap: PairOverlap) -> Judgement:
        return judge(self.truth, self.detections, areas, overlap, self.rules, self.grouping)

    def _summary(self, found: Judgement) -> Found:
        read = summary(self.rules, self.grouping)
        return {measure: of(found) for measure, of in read.items()}
