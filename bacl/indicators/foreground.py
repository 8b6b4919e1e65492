"""The foreground rows of a step, and their classes, found without waiting for the device.

H: heads that are computed together, one or more; their foreground rows are the same, but the rows
that each has added have classes of its own. C: foreground classes; label C is background.
P: foreground rows. U: places, one at least for each class that occurs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from bacl.indicators.stacked import numbers
from bacl.processes.class_sums import class_totals
from bacl.processes.distributed import num_processes


@dataclass(slots=True, eq=False)
class Foreground:
    """Rows of one process that have a class, sorted into places by it.

    Many rows share few classes: what depends on the class alone is made for each place.
    """

    rows: Tensor
    """(P,) int64: which rows of the step they are."""
    labels: Tensor
    """(H, P) int64 in [0, C)."""
    counts: Tensor
    """(H, C) int64: rows of each class."""
    classes: Tensor
    """(H, U) int64: of the places, ascending; places that no class needs have class 0."""
    places: Tensor
    """(H, P) int64 in [0, U): each row's."""

    @classmethod
    def among(cls, labels: Tensor, num_classes: int) -> "Foreground":
        """Those among labels (R,) int64 in [0, C], H = 1; the host waits for their number."""
        rows = (labels < num_classes).nonzero().squeeze(1)
        return cls.of(rows, labels[rows].unsqueeze(0), num_classes, len(rows))

    @classmethod
    def of(cls, rows: Tensor, labels: Tensor, num_classes: int, at_most: int) -> "Foreground":
        """The same of rows that are known.

        Args:
            rows: (P,) int64.
            labels: (H, P) int64 in [0, C), theirs.
            num_classes: C.
            at_most: as many different labels has a head, or fewer.
        """
        counts = labels.new_zeros(len(labels), num_classes)
        counts.scatter_add_(1, labels, torch.ones_like(labels))
        # The number of different labels is not known here: so many places as there can be.
        size = min(at_most, num_classes)
        occurs = counts > 0
        place = occurs.cumsum(dim=1).mul_(occurs)  # from 1 on; 0 is where all others go
        every = numbers(num_classes, labels.device).expand_as(place)
        classes = labels.new_zeros(len(labels), size + 1).scatter_(1, place, every)
        return cls(rows, labels, counts, classes[:, 1:], place.gather(1, labels).sub_(1))

    def of_head(self, number: int) -> "Foreground":
        """Of one of the heads, H = 1."""
        own = slice(number, number + 1)
        parts = self.labels[own], self.counts[own], self.classes[own], self.places[own]
        return Foreground(self.rows, *parts)

    def totals(self, values: Tensor, counts: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Classes (U,) of each head, and sums (U, X) float64 of their rows over all processes.

        A class stands there twice only where it is no place's own, with zeros. Every process calls
        it together, also one without rows.

        Args:
            values: (H, P, X) of any floating type, summed in float64.
            counts: (H, C) int64, `counts` of all processes.
        """
        if num_processes() > 1:  # other classes occur there, as many as only the device knows
            rows = zip(values, self.labels, counts, strict=True)
            return [(sums.classes, sums.totals) for sums in (class_totals(*own) for own in rows)]
        heads, places = self.classes.shape
        totals = values.new_zeros((heads, places, values.shape[2]), dtype=torch.float64)
        own = numbers(heads, values.device).unsqueeze(1).expand_as(self.places)
        # index_put_ sums in a fixed order on CUDA too, unlike index_add_: runs repeat bit for bit.
        totals.index_put_((own, self.places), values.double(), accumulate=True)
        return list(zip(self.classes, totals, strict=True))
