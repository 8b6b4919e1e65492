"""What every backbone shares: four feature maps, frozen stages, fixed batch norms."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bacl.detectors.folding import FoldedNorms, Pair, fold_for_good
from bacl.detectors.kept_folds import KeptFolds
from bacl.detectors.scaled_parameters import ScaledParameters


class Backbone(nn.Module, ABC):
    """Images to feature maps for a pyramid: of strides 4, 8, 16 and 32, computed stage by stage.

    A subclass builds its layers and then calls `freeze`. Frozen stages run without a graph and stay
    in eval mode, also after `train()`.

    Attributes:
        channels: of the feature maps, finest first.
        strides: of the same, in pixels of the images.
        first_map: the stage whose map is the first of them; each later stage gives one, too.
        each_alone: every position looks at the whole input. Each picture then has to be computed
            by itself, or its features would depend on those that it shares a batch with.
        pairs: convolutions of each stage and the batch norms behind them, where `run_stage` runs
            them together.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...] = (4, 8, 16, 32)
    first_map: int = 0
    each_alone: bool = False
    pairs: Sequence[Sequence[Pair]] = ()
    frozen_stages: int = 0
    norm_eval: bool = False
    keeps_zeros: bool = False
    """Whether a picture may lie on a larger canvas (`bacl.detectors.zeros_beyond`)."""
    any_size: bool = True
    """Whether a program of it can be recorded for images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self._folds = KeptFolds()
        self._keeps_folds = True

    def make_traceable(self) -> None:
        """Compute the same in a way that can be recorded, where it is not computed so anyway."""

    @abstractmethod
    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """The modules of the four stages in order of execution; the first holds the stem too."""

    @abstractmethod
    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """Feature map of stage `index` for the one before it (the images for stage 0)."""

    def freeze(self, frozen_stages: int, norm_eval: bool) -> None:
        """Fix what does not learn.

        Args:
            frozen_stages: stages without gradient; 0 for none, 1 for stem and first stage.
            norm_eval: every batch norm keeps its statistics; its weight and bias still learn.

        Raises:
            ValueError: there are no `frozen_stages` stages.
        """
        if not 0 <= frozen_stages <= len(self.stages()):
            raise ValueError(
                f"frozen_stages must lie in [0, {len(self.stages())}], got {frozen_stages}"
            )
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        for module in self._frozen_modules():
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        """Training mode, but for frozen stages and, with `norm_eval`, every batch norm."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def folded(self, index: int) -> FoldedNorms:
        """The convolutions of stage `index`, with its fixed batch norms folded in.

        In a program that reads the weights anew each time (`folding_anew`) by a part of it.
        """
        kept, pairs = self._folds, self.pairs[index]
        return kept.of(index, pairs) if self._keeps_folds else FoldedNorms(pairs)

    def folded_layers(self) -> list[nn.Module]:
        """Convolutions whose weights are folded now, and cast with that."""
        return [conv for pairs in self.pairs for conv, norm in pairs if not norm.training]

    @contextmanager
    def folding_anew(self) -> Iterator[None]:
        """Within it nothing that was folded before is used, and nothing is kept."""
        self._keeps_folds = False
        try:
            yield
        finally:
            self._keeps_folds = True

    def scaled_parameters(self) -> Sequence[ScaledParameters]:
        """What trains otherwise than the rest of the detector."""
        return ()

    def fold_norms(self) -> None:
        """Fold batch norms into the convolutions before them, for good and with fixed statistics.

        A backbone that keeps no `pairs` stays as it is; low-rank updates are added likewise.
        """
        for pairs in self.pairs:
            fold_for_good(self, pairs)
        self.pairs = [()] * len(self.pairs)
        self._folds = KeptFolds()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, channels_i, H / stride_i, W / stride_i) of images (B, 3, H, W), mostly four.

        Channels lie last in memory, which convolutions on CPUs and tensor cores prefer.
        """
        x = images.contiguous(memory_format=torch.channels_last)
        features = []
        for index in range(self.first_map + len(self.channels)):
            learns = torch.is_grad_enabled() and index >= self.frozen_stages
            with torch.set_grad_enabled(learns):
                x = self.run_stage(index, x)
            features.append(x)
        return tuple(features[self.first_map :])

    def _frozen_modules(self) -> list[nn.Module]:
        return [module for stage in self.stages()[: self.frozen_stages] for module in stage]
