"""The recorded program of a detector, for a batch of any number of pictures, of any or one size.

B: images. H, W: height and width of the input.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from bacl.data.batch import STRIDE
from bacl.export.detector import ExportableDetector
from bacl.messages.errors import OptionError, in_one_line

INPUTS = ("images", "sizes")
OUTPUTS = ("boxes", "scores", "labels", "masks")
"""The last one of detectors with masks."""
ANY = (230, 330)
"""Height and width to trace with where they may be any: neither multiples of 32 nor equal."""
IMAGES = 2
"""To trace with: one image would stay one."""

MEND = (
    "name a size that holds every picture after its resize, in multiples of 32, such as "
    "export.image_size=[800,1344]"
)

ImageSize = tuple[int, int] | None
"""(H, W) of a file's input; None: any."""


def checked_size(image_size: Sequence[int] | None) -> ImageSize:
    """(H, W), or None for any.

    Raises:
        OptionError: sides that are no multiples of 32.
    """
    if image_size is None:
        return None
    if len(image_size) != 2 or any(side < STRIDE or side % STRIDE for side in image_size):
        raise OptionError(
            f"image_size={list(image_size)}: expected [height, width] in multiples of {STRIDE}, "
            "or null for any"
        )
    return (image_size[0], image_size[1])


def traced(detector: ExportableDetector, image_size: ImageSize) -> ExportedProgram:
    """The program of `images` (B, 3, H, W) uint8 and `sizes` (B, 2) int64.

    Raises:
        OptionError: the detector computes something that torch can only record for one size.
    """
    if image_size is None and not detector.detector.backbone.any_size:
        raise OptionError(f"this backbone is recorded for one size only; {MEND}")
    sides = {} if image_size else {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    shapes = {0: Dim.DYNAMIC, **sides}, {0: Dim.DYNAMIC}
    try:
        # Without gradients from the start: a program that switches them off and on cannot be
        # loaded again (torch 2.14: wrap_with_set_grad_enabled misses what it needs).
        with torch.no_grad(), warnings.catch_warnings():
            # torchvision 0.29 registers its operator in an older way.
            warnings.filterwarnings("ignore", message="`create_unbacked_symint` is deprecated")
            return torch.export.export(detector, example(image_size), dynamic_shapes=shapes)
    except Exception as error:  # of torch's tracer, which has many kinds of them
        if image_size is not None:
            raise
        raise OptionError(
            f"this detector cannot be recorded for pictures of any size ({in_one_line(error)}); "
            f"{MEND}"
        ) from error


def example(image_size: ImageSize) -> tuple[Tensor, Tensor]:
    """Inputs to trace with: black pictures that fill their canvas."""
    height, width = image_size or ANY
    images = torch.zeros(IMAGES, 3, height, width, dtype=torch.uint8)
    return images, torch.tensor([[height, width]] * IMAGES)


def outputs_of(detector: ExportableDetector) -> tuple[str, ...]:
    """Names of what the detector gives, in order."""
    return OUTPUTS if detector.detector.mask is not None else OUTPUTS[:-1]
