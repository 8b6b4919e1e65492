"""Trained detectors for programs without this project: one file, from pixels to detections.

Imports: heads, detectors, data.
"""

from bacl.export.detector import ExportableDetector

__all__ = ["ExportableDetector"]
