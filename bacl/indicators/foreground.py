"""The foreground rows of a step, and their classes, found without waiting for the device.

C: foreground classes; label C is background. P: foreground rows. U: places, one at least for each
class that occurs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from bacl.processes.class_sums import ClassSums, class_totals, rows_per_class
from bacl.processes.distributed import num_processes


@dataclass(slots=True, eq=False)
class Foreground:
    """Rows of one process that have a class, sorted into places by it.

    Many rows share few classes: what depends on the class alone is made for each place.
    """

    rows: Tensor
    """(P,) int64: which rows of the step they are."""
    labels: Tensor
    """(P,) int64 in [0, C)."""
    counts: Tensor
    """(C,) int64: rows of each class."""
    classes: Tensor
    """(U,) int64, ascending: of the places; places that no class needs have the last one."""
    places: Tensor
    """(P,) int64 in [0, U): each row's."""

    @classmethod
    def among(cls, labels: Tensor, num_classes: int) -> "Foreground":
        """The foreground rows of labels (R,) int64 in [0, C]; the host waits for their number."""
        rows = (labels < num_classes).nonzero().squeeze(1)
        return cls.of(rows, labels[rows], num_classes, len(rows))

    @classmethod
    def of(cls, rows: Tensor, labels: Tensor, num_classes: int, at_most: int) -> "Foreground":
        """The same of rows that are known.

        Args:
            rows: (P,) int64.
            labels: (P,) int64 in [0, C), theirs.
            num_classes: C.
            at_most: as many different labels, or fewer.
        """
        counts = rows_per_class(labels, num_classes)
        # The number of different labels is not known here: so many places as there can be.
        size = min(at_most, num_classes)
        classes = counts.nonzero_static(size=size, fill_value=num_classes).squeeze(1)
        place = counts.new_empty(num_classes + 1)
        place[classes] = torch.arange(size, device=counts.device)
        return cls(rows, labels, counts, classes.clamp(max=num_classes - 1), place[labels])

    def totals(self, values: Tensor, counts: Tensor) -> ClassSums:
        """Sums per class over all processes, each class at most once but for empty places.

        Every process calls it together, also one without rows.

        Args:
            values: (P, X) of any floating type, summed in float64.
            counts: (C,) int64, `counts` summed over all processes.
        """
        if num_processes() > 1:  # other classes occur there, as many as only the device knows
            return class_totals(values, self.labels, counts)
        totals = values.new_zeros((len(self.classes), values.shape[1]), dtype=torch.float64)
        # index_put_ sums in a fixed order on CUDA too, unlike index_add_: runs repeat bit for bit.
        totals.index_put_((self.places,), values.double(), accumulate=True)
        return ClassSums(self.classes, counts[self.classes], totals)
