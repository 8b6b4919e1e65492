"""Classifier learning stage (Sec. III-C to III-E, Algorithm 1)."""

from contextlib import AbstractContextManager

import torch

from bacl.stages.stage import DetectionStage


class ClassifierStage(DetectionStage):
    """Classifier heads, box regression and RPN train on a frozen feature extractor."""

    def extraction(self) -> AbstractContextManager[object]:
        """Backbone and FPN are frozen: their features need no graph."""
        return torch.no_grad()
