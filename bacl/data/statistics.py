"""What losses, samplers and indicators need to know of the training categories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
import torch
from annotated_types import Len
from torch import Tensor

from bacl.data.annotations.table import AnnotationTable
from bacl.options.ranges import File


@dataclass(frozen=True)
class CategoryStatistics:
    """Counts per category of one annotation file, by label in [0, C)."""

    names: list[str]
    frequency: np.ndarray
    """(C,) '<U1' in r (up to 10 training images), c (up to 100), f."""
    image_counts: Tensor
    """(C,) int64: images with at least one object of the category."""
    instance_counts: Tensor
    """(C,) int64: objects of the category."""
    num_images: int
    """Images of the file, those without objects included."""
    num_annotated: int | None = None
    """Images with at least one annotation; None in what a checkpoint says."""
    fractal_dimensions: Tensor | None = None
    """(C,) float64, at least 1: how far the objects of the category spread over the pictures
    (`bacl.data.annotations.fractal_dimension`); None where an earlier version counted."""
    box_shapes: np.ndarray | None = None
    """(C, 2) float64: mean shapes of the category's boxes (`bacl.data.annotations.box_shapes`);
    None in what a checkpoint says."""

    @property
    def num_categories(self) -> int:
        """C."""
        return len(self.names)

    @classmethod
    def load(cls, annotations: File, cache: File | None = None) -> Self:
        """Statistics of an annotation file (see `AnnotationTable.open` for the arguments)."""
        return cls.of(AnnotationTable.open(annotations, cache))

    @classmethod
    def of(cls, table: AnnotationTable) -> Self:
        """Statistics of an open table."""
        return cls(
            names=list(table.category_names),
            frequency=table.frequency,
            image_counts=torch.from_numpy(table.image_counts),
            instance_counts=torch.from_numpy(table.instance_counts),
            num_images=table.num_images,
            num_annotated=int(np.count_nonzero(np.diff(table.offsets))),
            fractal_dimensions=torch.from_numpy(table.fractal_dimensions),
            box_shapes=table.box_shapes,
        )

    def plain(self) -> dict[str, Any]:
        """Groups, counts and dimensions as plain lists, for a checkpoint."""
        plain = {
            "frequency": self.frequency.tolist(),
            "image_counts": self.image_counts.tolist(),
            "instance_counts": self.instance_counts.tolist(),
            "num_images": self.num_images,
        }
        if self.fractal_dimensions is not None:
            plain["fractal_dimensions"] = self.fractal_dimensions.tolist()
        return plain

    @classmethod
    def of_plain(cls, names: Sequence[str], plain: Mapping[str, Any]) -> Self:
        """Statistics from what `plain` gave."""
        dimensions = plain.get("fractal_dimensions")
        return cls(
            names=list(names),
            frequency=np.array(plain["frequency"], dtype="<U1"),
            image_counts=torch.tensor(plain["image_counts"], dtype=torch.int64),
            instance_counts=torch.tensor(plain["instance_counts"], dtype=torch.int64),
            num_images=plain["num_images"],
            fractal_dimensions=dimensions and torch.tensor(dimensions, dtype=torch.float64),
        )

    @classmethod
    def unknown(cls, names: Annotated[list[str], Len(1)]) -> Self:
        """Every category once in one image: for a model whose true counts are loaded into it."""
        ones = torch.ones(len(names), dtype=torch.int64)
        return cls(
            names=list(names),
            frequency=np.full(len(names), "r"),
            image_counts=ones,
            instance_counts=ones.clone(),
            num_images=1,
            num_annotated=1,
            fractal_dimensions=ones.double(),
            box_shapes=np.zeros((len(names), 2)),
        )
