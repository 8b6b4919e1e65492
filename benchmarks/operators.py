"""Operators that a training step dispatches, and how often the host waits: what a GPU waits for.

    python benchmarks/operators.py --images 2 --precision bf16

On a GPU a step of this size takes as long as Python needs to launch it, and what Python launches
can be counted without one. Counted is what is left on a GPU: RoIAlign is torchvision's there, and
an optimiser's step is fused. Views and what only makes a handle are left out; an operator over a
list of tensors is one, as it is there. Non-maximum suppression, which waits too, stands apart.
The steps are those of `benchmarks/training_step.py` and `one_pass.py` (R-50-FPN), on
small images: their size hardly changes the numbers. Inference is from images to 300 detections
of each, in pixels of the files.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import one_pass
import torch
import torchvision
import training_step
from counting import Operators
from hydra.utils import instantiate
from torch import Tensor

from bacl.data.batch import Batch
from bacl.detectors import class_suppression, proposals, ranking, roi_pooling
from bacl.heads import Head, together
from bacl.stages.detection import detect

CLASSES = 60
SIDE = 96
HEADS = (2, 9)
AS_ON_A_CPU: tuple[tuple[Any, str], ...] = (
    (together, "ALONE_ON"),
    (proposals, "ALONE_ON"),
    (ranking, "ALONE_ON"),
    (class_suppression, "ON_HOST"),
)
"""Modules that compute otherwise on a CPU than on a GPU, and what says so there."""


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """RoIAlign is torchvision's, SGD is fused, heads and levels are computed together."""
    own = roi_pooling.roi_align, training_step.optimiser, one_pass.optimiser
    otherwise = [getattr(*each) for each in AS_ON_A_CPU]

    def align(features: Tensor, rois: Tensor, side: int, scale: float, ratio: int) -> Tensor:
        return torchvision.ops.roi_align(features, rois, side, scale, ratio, aligned=True)

    roi_pooling.roi_align = align
    training_step.optimiser = one_pass.optimiser = partial(own[1], fused=True)
    for module, name in AS_ON_A_CPU:
        setattr(module, name, ())
    try:
        yield
    finally:
        roi_pooling.roi_align, training_step.optimiser, one_pass.optimiser = own
        for (module, name), devices in zip(AS_ON_A_CPU, otherwise, strict=True):
            setattr(module, name, devices)


def counted(step: Callable[[], Any]) -> Operators:
    """What a step's second run asks for, forward, backward and optimiser."""
    step()
    with Operators() as seen:
        step()
    return seen


def peer(images: int = 2, bf16: bool = False) -> Callable[[], Any]:
    """The step of torchvision's detector, its resize included."""
    batch = training_step.images_and_objects(CLASSES, images, sides=(SIDE, 128))
    return training_step.torchvision_step(*batch, CLASSES, SIDE, bf16)


def steps(images: int = 2, bf16: bool = False) -> dict[str, Callable[[], Any]]:
    """Our steps, ready to run, of pictures that have been resized."""
    torch.manual_seed(0)
    batch = training_step.images_and_objects(CLASSES, images, sides=(SIDE, 128))
    resized = training_step.torchvision_resize(*batch, SIDE)()

    def single(head: str, frozen: bool) -> Callable[[], Tensor]:
        config = training_step.composed(head, CLASSES)
        return training_step.our_step(lambda: resized, config, frozen, bf16)

    return {
        "representation stage": single("bce_objectness", False),
        "classifier stage": single("bacl", True),
        **dict(zip(map(of_heads, HEADS), many(*resized, bf16), strict=True)),
    }


def inference(images: int = 2, bf16: bool = False) -> Callable[[], Any]:
    """From images to detections, 300 of each, with one BACL head."""
    torch.manual_seed(0)
    config = training_step.composed("bacl", CLASSES)
    detector = instantiate(config.detector).eval().requires_grad_(False)
    batch = training_step.images_and_objects(CLASSES, images, sides=(SIDE, 128))
    resized = Batch(*training_step.torchvision_resize(*batch, SIDE)())
    heads = {"bacl": one_pass.bacl_head(config, 1).eval()}

    def step() -> Any:
        with training_step.autocast(bf16):
            return detect(detector, heads, resized)

    return step


def of_heads(number: int) -> str:
    """The name of the step with so many heads."""
    return f"classifier stage, {number} heads"


def many(images: Tensor, targets: list[Any], bf16: bool) -> Iterator[Callable[[], Tensor]]:
    """Steps of several heads, all of whose classes have been seen."""
    config = training_step.composed("bacl", CLASSES)
    detector = instantiate(config.detector).train()
    for part in (detector.backbone, detector.fpn, detector.box_head):
        part.requires_grad_(False).eval()
    for count in HEADS:
        heads = [one_pass.bacl_head(config, number + 1) for number in range(count)]
        know_all_classes(heads)
        yield one_pass.classifier_step(detector, heads, images, targets, bf16)


def know_all_classes(heads: list[Head]) -> None:
    """As after some hundred steps: from there on the host does not wait for what was drawn."""
    for head in heads:
        for classifier in head.classifiers:
            classifier.hallucination.seen.fill_(True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2, help="of a step")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32")
    arguments = parser.parse_args()
    chosen = arguments.images, arguments.precision == "bf16"
    with as_on_a_gpu():
        every = {"torchvision": peer(*chosen), **steps(*chosen), "inference": inference(*chosen)}
        found = {name: counted(step) for name, step in every.items()}
    print(f"{'step':28}{'operators':>10}{'waits':>7}{'suppressions':>14}")
    for name, seen in found.items():
        suppressions = seen.waits.pop("nms", 0)
        print(f"{name:28}{seen.launched.total():>10}{seen.waits.total():>7}{suppressions:>14}")
    few, more = (found[of_heads(number)].launched.total() for number in HEADS)
    print(f"{'each further head':28}{(more - few) / (HEADS[1] - HEADS[0]):>10.0f}")


if __name__ == "__main__":
    main()
