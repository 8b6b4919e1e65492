"""The contract of what a classifier adds to the rows of a training step.

C: foreground classes. D: width of an RoI feature. R: rows of a step, added ones included.
K: logits of the loss.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from bacl.detectors.levels import TrainingLevel
from bacl.heads.box_generator import BoxGenerator
from bacl.indicators import LongTermIndicator
from bacl.losses.rows import Rows


class AddedFeatures(nn.Module, ABC):
    """Rows that a classifier adds to those of the sampled RoIs in every training step.

    What it remembers is in buffers or extra state, its draws are its own: a resumed run continues
    exactly, and a head beside others trains as alone.
    """

    box_generator: BoxGenerator | None = None
    """What makes the boxes whose features it finds in `TrainingLevel.extra`."""
    reads_indicator = False
    """Whether it needs the loss's long-term indicator."""
    weight: float | None = None
    """Of the added rows' own loss beside that of the sampled RoIs; None: one loss over all rows."""
    classes_of_step: int | None = None
    """How many classes the rows of a step have at most; None where that may be any number."""

    @property
    def class_draws(self) -> Tensor | None:
        """(C,) int64, rows that were drawn of each class in this process, to be looked at.

        None where that is not counted.
        """
        return None

    @abstractmethod
    def added(
        self, level: TrainingLevel, indicator: LongTermIndicator | None
    ) -> tuple[Tensor, Tensor]:
        """Features (n, D) and labels (n,) int64 in [0, C), after it has taken the step in.

        Every process calls it in every training step, also one without foreground rows.
        """

    @property
    def kin(self) -> Hashable | None:
        """Those of equal kin add their rows together where that is faster; None: it is not.

        One that has kin takes in nothing by `observe`.
        """
        return None

    @classmethod
    def added_together(
        cls,
        modules: Sequence[Self],
        level: TrainingLevel,
        indicators: Sequence[LongTermIndicator],
    ) -> list[tuple[Tensor, Tensor]]:
        """`added` of H modules of equal kin and of their losses' indicators, of one class.

        Each ends bit for bit as alone.
        """
        raise NotImplementedError(f"{cls.__name__} has no kin")

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor, rows: Rows) -> None:
        """Take in what the classifier made of the step, after its loss; every process calls it.

        Args:
            logits: (R, K), detached.
            labels: (R,) int64 in [0, C].
            rows: what the logits were made of.
        """
