"""Temperature scaling (Guo et al., ICML 2017) with a temperature for each group of categories."""

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from annotated_types import Len
from torch import Tensor

from bacl.detectors.levels import Level
from bacl.heads.calibration import TrainingStatistics
from bacl.heads.calibrations.counted import Counted, CountedCalibration
from bacl.messages.errors import OptionError
from bacl.options.ranges import Ascending, Classes, Count, Positive


class GroupTemperature(CountedCalibration):
    """The loss's scores of z / T, with T of the category's group; background's logit as it is.

    Args:
        num_classes: C.
        statistics: of the training annotations.
        of: what the groups go by, "images" or "instances".
        boundaries: the first group has at most the first of these counts, and so on; the last has
            more than the last.
        temperatures: of each group, one more than there are boundaries; 1 changes nothing, more
            makes scores of a softmax less certain.

    Raises:
        OptionError: not one temperature for each group.
    """

    changes_logits = True
    reads = ("image_counts", "instance_counts")
    temperature: Tensor
    """(C,)."""

    def __init__(
        self,
        num_classes: Classes,
        statistics: TrainingStatistics,
        of: Counted,
        boundaries: Annotated[Sequence[Count], Ascending],
        temperatures: Annotated[Sequence[Positive], Len(1)],
    ) -> None:
        super().__init__(num_classes)
        if len(temperatures) != len(boundaries) + 1:
            raise OptionError(
                f"temperatures={list(temperatures)}: expected {len(boundaries) + 1}, one for each "
                f"group that the boundaries {list(boundaries)} make"
            )
        self.of: Counted = of
        self.boundaries = tuple(boundaries)
        self.temperatures = tuple(temperatures)
        self.take(statistics)

    def numbers(self, statistics: TrainingStatistics) -> dict[str, Tensor]:
        """See `CountedCalibration`."""
        counts = self.counts(statistics, self.of)
        edges = torch.tensor(self.boundaries, dtype=counts.dtype)
        group = (counts.unsqueeze(1) > edges).sum(dim=1)
        return {"temperature": torch.tensor(self.temperatures).double()[group]}

    def forward(
        self, logits: Tensor, probabilities: Callable[[Tensor], Tensor], level: Level
    ) -> Tensor:
        """See `Calibration`."""
        foreground, others = logits[:, : self.num_classes], logits[:, self.num_classes :]
        return probabilities(torch.cat((foreground / self.temperature, others), dim=1))
