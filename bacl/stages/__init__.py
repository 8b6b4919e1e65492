"""The two stages of BACL as LightningModules; plain modules do the work.

Imports: data, detectors, heads, loggers, losses, options.
"""

from bacl.stages.classifier_stage import ClassifierStage
from bacl.stages.representation_stage import RepresentationStage
from bacl.stages.schedule import CosineSchedule, Schedule, WarmUpSchedule
from bacl.stages.stage import DetectionStage

__all__ = [
    "ClassifierStage",
    "CosineSchedule",
    "DetectionStage",
    "RepresentationStage",
    "Schedule",
    "WarmUpSchedule",
]
