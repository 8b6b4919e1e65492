"""The two stages of BACL as LightningModules; plain modules do the work.

Imports: heads, detectors, data, options.
"""

from bacl.stages.classifier import ClassifierStage
from bacl.stages.representation import RepresentationStage
from bacl.stages.schedule import Schedule
from bacl.stages.stage import DetectionStage

__all__ = ["ClassifierStage", "DetectionStage", "RepresentationStage", "Schedule"]
