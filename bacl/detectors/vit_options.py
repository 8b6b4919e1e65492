"""The options with which a plain ViT of timm takes pictures of every size, at stride 16.

Found by building the model without numbers (on torch's meta device) and asking it for the map of a
picture of another shape than it was made for.
"""

from collections.abc import Mapping
from typing import Any

import torch

from bacl.detectors.timm_models import create_model, takes

STRIDE = 16
"""Of the map that the simple feature pyramid is made of."""
ANY_SIZE = {"dynamic_img_size": True}
"""With it, timm resizes position embeddings to each picture."""


def completed(name: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The options with those that the model needs, and the channels of its map.

    Where the patches are no 16 pixels wide (DINOv2: 14), the model is built with patches of 16 for
    a picture of as many, so that position embeddings stay what they are. timm then resamples the
    pretrained patch embedding as FlexiViT does (Beyer et al., CVPR 2023): the tokens are about
    those of the picture shrunk by 14/16, at no cost.

    Args:
        name: timm's.
        options: those that were typed, which count before any others.

    Raises:
        ValueError: the model is no plain ViT, is tied to one size, takes no such option, or has
            another stride that cannot be changed.
    """
    asked = dict(options)
    if takes(name, ANY_SIZE):
        asked = ANY_SIZE | asked
    model = _without_numbers(name, asked)
    if not hasattr(model, "forward_intermediates") or not hasattr(model, "blocks"):
        raise ValueError(
            f"timm model {name} is no plain ViT: detector=faster_rcnn_timm takes models with maps "
            "of several strides"
        )
    stride = model.feature_info[-1]["reduction"]
    if stride != STRIDE and "patch_size" not in asked:
        grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
        sixteen: dict[str, Any] = {"patch_size": STRIDE}
        if grid is not None:
            sixteen |= {"img_size": (grid[0] * STRIDE, grid[1] * STRIDE)}
        if takes(name, sixteen):
            asked = sixteen | asked
            model = _without_numbers(name, asked)
            stride = model.feature_info[-1]["reduction"]
    if stride != STRIDE:
        raise ValueError(f"timm model {name} has stride {stride}, and a pyramid needs {STRIDE}")
    return asked, _channels(name, model)


def _without_numbers(name: str, options: Mapping[str, Any]) -> Any:
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return create_model(name, None, options, num_classes=0).eval()


@torch.no_grad()
def _channels(name: str, model: Any) -> int:
    """Channels of the map of a picture of 6 × 4 patches."""
    last = model.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
    image = torch.empty(1, 3, 6 * STRIDE, 4 * STRIDE, device="meta")
    try:
        maps = model.forward_intermediates(
            image, indices=last, norm=True, output_fmt="NCHW", intermediates_only=True
        )
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"timm model {name} is tied to one size of pictures ({error}), and timm has no option "
            "that frees it; choose one with resizable or rotary positions, such as "
            "vit_small_patch14_reg4_dinov2"
        ) from error
    _, channels, *sides = maps[-1].shape
    if sides != [6, 4]:
        raise ValueError(f"timm model {name} gives a map of {sides} for 6 × 4 patches of {STRIDE}")
    return int(channels)
