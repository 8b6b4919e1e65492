"""Plain vision transformers of timm, for a pyramid of their last map (ViTDet, ECCV 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bacl.detectors.adaptation import Adaptation
from bacl.detectors.backbone import Backbone
from bacl.detectors.scaled_parameters import ScaledParameters
from bacl.detectors.timm_models import create_model, normalisation
from bacl.detectors.vit_options import STRIDE, completed
from bacl.options.ranges import Named, Text, Weights


class PlainViT(Backbone):
    """A transformer of one resolution: DINOv2, DINOv3, SigLIP 2, EVA-02, CLIP, MAE, SAM and others.

    Its last map, of stride 16, is normalised by the model's own last norm, where it has one before
    its pooling. Position embeddings are resized to every picture, or rotary; a patch embedding of
    other strides is resampled to 16 (`vit_options`). Pictures come normalised as ImageNet's and
    are given the mean and deviation that the model was pretrained with. Attention is global, and
    every picture is computed by itself, without the padding of others.

    Args:
        name: timm's name of the model, which may have the tag of its weights.
        weights: a file (see `read_weights`) of the whole model, or "timm" for what timm downloads;
            None for random weights.
        adaptation: what of it trains.
        options: what else timm's model takes, but for `timm_models.SOURCES`.

    Raises:
        ImportError: timm is not installed.
        ValueError: there is no such model, it is no plain ViT, is tied to one size of pictures, or
            takes no such option.
        WeightsError: its weights cannot be had, are damaged, or belong to another model.
    """

    each_alone = True
    strides = (STRIDE,)
    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        name: Text,
        weights: Weights,
        adaptation: Adaptation,
        options: Named | None = None,
    ) -> None:
        super().__init__()
        all_options, width = completed(name, options or {})
        self.channels = (width,)
        self.adaptation = adaptation
        self.model: Any = create_model(name, weights, all_options, num_classes=0)
        self._last = self.model.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
        scale, shift = normalisation(self.model)
        self._renormalised = any(value != 1 for value in scale) or any(shift)
        for own, values in (("scale", scale), ("shift", shift)):
            self.register_buffer(own, torch.tensor(values).view(3, 1, 1), persistent=False)
        adaptation.adapt(self.model)
        trains = any(parameter.requires_grad for parameter in self.model.parameters())
        self.freeze(0 if trains else 1, norm_eval=False)

    def stages(self) -> Sequence[Sequence[nn.Module]]:
        """The whole of it."""
        return ((self.model,),)

    def run_stage(self, index: int, x: Tensor) -> Tensor:
        """The map of images."""
        return self.forward(x)[0]

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """One map (B, D, H / 16, W / 16) of images (B, 3, H, W), sides multiples of 16."""
        x = images * self.scale + self.shift if self._renormalised else images
        maps = self.model.forward_intermediates(
            x, indices=self._last, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return (maps[-1],)

    def scaled_parameters(self) -> Sequence[ScaledParameters]:
        """As the adaptation says."""
        return self.adaptation.scaled_parameters(self.model)

    def fold_norms(self) -> None:
        """Merge what the adaptation added into what it was added to, for good."""
        self.adaptation.merge(self.model)
