"""The object memory of RIO (Chang et al., ICML 2021): rare classes that occur are shown again."""

import torch
from torch import Tensor

from bacl.detectors.levels import TrainingLevel
from bacl.heads.added_features import AddedFeatures
from bacl.heads.class_memory import ClassMemory, features_of_all
from bacl.indicators import Counts, LongTermIndicator, counts_of
from bacl.options.ranges import Classes, FeatureDim, Rows, Whole
from bacl.processes.class_sums import rows_per_class


class ObjectMemory(AddedFeatures):
    """Adds the latest features of every class of few images that occurs in a step.

    Then the step's own foreground features of such classes are remembered: a feature is not shown
    twice in one step. Nothing is drawn.

    Decided here: all processes share the memory (published: each has one), and a checkpoint keeps
    it (published: lost); features feed the classification alone, where the published code replays
    their boxes to the box regression, too, since a head changes nothing upstream. Sampled RoIs of
    all images are looked at, whatever their number in each.

    Args:
        num_classes: C.
        feature_dim: D.
        statistics: of the training annotations: counts of images.
        few: images of a class, at most, that is remembered.
        size: features that are remembered of each class.
        recent: features of a class, at most, that are added in a step.

    Raises:
        ValueError: the statistics count other classes.
    """

    few: Tensor
    """(C,) bool."""

    def __init__(
        self,
        num_classes: Classes,
        feature_dim: FeatureDim,
        statistics: Counts,
        few: Whole,
        size: Rows,
        recent: Rows,
    ) -> None:
        super().__init__()
        self.recent = recent
        self.register_buffer("few", counts_of(statistics, "image_counts", num_classes) <= few)
        self.memory = ClassMemory(num_classes, size, feature_dim)

    @torch.no_grad()
    def added(
        self, level: TrainingLevel, indicator: LongTermIndicator | None
    ) -> tuple[Tensor, Tensor]:
        """Show what is remembered, then remember: see `AddedFeatures`."""
        found = self.latest(level.labels)
        own = self._remembered(level.labels).nonzero().squeeze(1)
        self.memory.push(*features_of_all(level.features.detach()[own], level.labels[own]))
        return found

    def latest(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, D) and labels (n,) for a step with rows of labels (R,) in [0, C]."""
        occurs = (rows_per_class(labels, len(self.few)) > 0) & self.few
        shown = torch.where(occurs, self.memory.filled().clamp(max=self.recent), 0)
        ages = torch.arange(self.recent, device=labels.device)
        classes, ages = (ages < shown.unsqueeze(1)).nonzero().unbind(dim=1)
        return self.memory.latest(classes, ages), classes

    def _remembered(self, labels: Tensor) -> Tensor:
        """(R,) bool: rows of the classes that are remembered, background never."""
        every = torch.cat((self.few, self.few.new_zeros(1)))
        return every[labels]
