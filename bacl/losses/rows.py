"""What a loss may look at beside logits and labels.

R: rows, those of the sampled RoIs first, then those that were added. D: width of an RoI feature.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from bacl.detectors.levels import TrainingLevel


@dataclass(slots=True, eq=False)
class Rows:
    """The rows of one training step, for losses that say `reads_rows`."""

    features: Tensor
    """(R, D), what the predictor made logits of."""
    predictor: nn.Module
    """Made the logits; a loss may read its weights, and changes nothing of it."""
    level: TrainingLevel
    """Of the sampled RoIs: its rows are the first of R."""
    added: int
    """How many of the last rows were added to those of the sampled RoIs; R where only added ones
    are judged."""

    def own_boxes(self, num_classes: int) -> Tensor:
        """(P,) int64: the level's rows whose box is an object's own, one at most for each object.

        Args:
            num_classes: C, the label of background.
        """

        def found() -> Tensor:
            own = self.level.rois.added & (self.level.labels < num_classes)
            return own.nonzero().squeeze(1)

        return self.level.once((Rows, num_classes), found)
