"""Trained detectors for programs without this project: one file, from pixels to detections.

Imports: data, detectors, heads.
"""

from bacl.export.detector import ExportableDetector

__all__ = ["ExportableDetector"]
