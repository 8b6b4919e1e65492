"""Classifier learning stage (Sec. III-C to III-E, Algorithm 1)."""

from typing import Any

from bacl.messages.errors import OptionError
from bacl.stages.stage import DetectionStage


class ClassifierStage(DetectionStage):
    """Classifier heads, box regression and RPN train on a frozen feature extractor."""

    independent_heads = True

    def __init__(self, *args: Any, **options: Any) -> None:
        """As `DetectionStage`.

        Raises:
            OptionError: a pattern of `trainable` reaches into the feature extractor.
        """
        super().__init__(*args, **options)
        if self.extractor_trains:
            raise OptionError(
                "trainable: the classifier stage freezes backbone, FPN and RoI feature extractor; "
                "train them with the representation stage"
            )
