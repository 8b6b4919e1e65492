"""Forest R-CNN (Wu et al., ACM MM 2020): trees of parents say what a class's score is worth.

R: rows. C: foreground classes; label C is background. T: trees.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bacl.detectors.full_precision import in_float32
from bacl.indicators import LongTermIndicator
from bacl.losses.class_trees import clustered, read_trees
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.options.marks import NamesFile
from bacl.options.ranges import Classes, File, Parents, Seed


class BoxShapes(Protocol):
    """What is known of the objects: `CategoryStatistics` has it."""

    @property
    def box_shapes(self) -> Any:
        """(C, 2) float64, mean shapes of the classes' boxes."""


class Forest(SoftmaxCrossEntropy):
    """Softmax over the classes, and one over the parents of each of T trees.

    K = C + 1 + sum of (parents + 1): the classes with background, then each tree's parents, of
    which background is the last. The cross-entropies of all are summed. With a_c the mean over
    trees of the probability of the parent of class c, a class scores a_c e^z_c / sum_k a_k e^z_k.

    Trees are those of a file, or, without one, the classes' mean shapes of boxes in clusters: the
    paper's geometric tree, as far as boxes tell it (published: of masks). Of its trees, visual and
    lexical ones are to be given as files (`bacl.losses.class_trees`).

    Args:
        num_classes: C.
        parents: of each tree, T numbers.
        statistics: of the training annotations: shapes of boxes. Unknown ones, which are all alike,
            are not clustered; trees are then a checkpoint's.
        seed: of the clusters; one more for each further tree.
        trees: json file with the parents of the classes in each tree; None for clusters. A
            checkpoint has them, and reads no file.
        indicator: see `ClassificationLoss`.

    Raises:
        OptionError: the file has other trees.
        ValueError: the statistics know other classes.
    """

    tree_parents: Tensor
    """(T, C + 1) int64: of each class its parent in each tree, in [0, parents]."""

    def __init__(
        self,
        num_classes: Classes,
        parents: Parents,
        statistics: BoxShapes,
        seed: Seed,
        trees: NamesFile[File | None] = None,
        indicator: LongTermIndicator | None = None,
    ) -> None:
        super().__init__(num_classes, indicator)
        if len(statistics.box_shapes) != num_classes:
            raise ValueError(
                f"statistics.box_shapes has {len(statistics.box_shapes)} classes, expected "
                f"{num_classes}: take the statistics of the training annotations"
            )
        self.tree_sizes = tuple(count + 1 for count in parents)
        shapes = statistics.box_shapes
        if torch.empty(0).is_meta:  # options are tried without numbers
            shapes = np.zeros_like(shapes)
        found = (
            [clustered(shapes, count, seed + n) for n, count in enumerate(parents)]
            if trees is None
            else read_trees(Path(trees), parents, num_classes)
        )
        background = np.array(parents)[:, None]
        every = np.concatenate((np.stack(list(found)), background), axis=1)
        self.register_buffer("tree_parents", torch.as_tensor(every, dtype=torch.int64))

    @property
    def num_logits(self) -> int:
        """K = C + 1 + sum of (parents + 1)."""
        return self.num_classes + 1 + sum(self.tree_sizes)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of logits (R, K), all cross-entropies summed over rows, divided by R."""
        classes, trees = self._split(logits)
        own = self.tree_parents[:, labels].unbind()
        pairs = [(classes, labels), *zip(trees, own, strict=True)]
        totals = [functional.cross_entropy(z, y, reduction="sum") for z, y in pairs]
        return torch.stack(totals).sum() / max(1, len(labels))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated scores (R, C + 1) of logits (R, K)."""
        classes, trees = self._split(logits)
        return (classes + self.log_factors(trees)).softmax(dim=1)

    def log_factors(self, trees: Sequence[Tensor]) -> Tensor:
        """(R, C + 1): log a_c, up to a constant, of each tree's logits (R, its parents + 1)."""
        pairs = zip(trees, self.tree_parents.unbind(), strict=True)
        return torch.stack([z.log_softmax(dim=1)[:, own] for z, own in pairs]).logsumexp(dim=0)

    def _split(self, logits: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Logits of the classes (R, C + 1), and of each tree's parents."""
        sizes = [self.num_classes + 1, *self.tree_sizes]
        classes, *trees = in_float32(logits).split(sizes, dim=1)
        return classes, trees
