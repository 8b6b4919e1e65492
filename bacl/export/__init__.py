"""Trained detectors for programs without this project: one file, from pixels to detections.

Imports: assembly, checkpoints, data, detectors, heads, inference, options, stages.
"""

from bacl.export.detector import ExportableDetector

__all__ = ["ExportableDetector"]
