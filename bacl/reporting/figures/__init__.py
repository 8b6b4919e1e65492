"""The figures of one run: pure functions of arrays that each write one PNG and return its path."""

from bacl.reporting.figures.confusion_matrix import draw_confusion
from bacl.reporting.figures.cutouts import Cutout, draw_cutouts
from bacl.reporting.figures.detection_grid import DetectionSample, draw_detection_grid
from bacl.reporting.figures.error_bars import draw_errors
from bacl.reporting.figures.losses import draw_losses, has_losses
from bacl.reporting.figures.picture_drawing import drawn
from bacl.reporting.figures.precision_by_count import draw_ap_by_count
from bacl.reporting.figures.prediction_panels import draw_predictions
from bacl.reporting.figures.reliability_curves import draw_reliability
from bacl.reporting.figures.shift_curves import draw_shift_curves
from bacl.reporting.figures.thresholds_by_count import draw_thresholds
from bacl.reporting.figures.validation_curves import draw_validations, validation_panels
from bacl.reporting.figures.weight_norms import draw_weight_norms

__all__ = [
    "Cutout",
    "DetectionSample",
    "draw_ap_by_count",
    "draw_confusion",
    "draw_cutouts",
    "draw_detection_grid",
    "draw_errors",
    "draw_losses",
    "draw_predictions",
    "draw_reliability",
    "draw_shift_curves",
    "draw_thresholds",
    "draw_validations",
    "draw_weight_norms",
    "drawn",
    "has_losses",
    "validation_panels",
]
