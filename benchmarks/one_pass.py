"""Many classifier heads in one pass against as many trainings, in one process.

    python benchmarks/one_pass.py --repeats 5 --threads 2

A step is the classifier stage's of `benchmarks/training_step.py` (frozen R-50-FPN extractor, RPN,
box regression, jittered boxes, BACL heads) on two images of 800×1333 and 1230 classes, forward,
backward and SGD, with 1, 8 and 40 heads of different α. Forty trainings of one head are
extrapolated from five, each with a head of another α. Numbers of heads take turns; the peak memory
is the process's after its first steps with so many heads, fewest first.

The last lines compare the heads' products alone: a loop over the heads, as it is trained, with one
batched product of stacked weights.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor
from torch.func import functional_call, stack_module_state
from training_step import autocast, composed, images_and_objects, optimiser, torchvision_resize

from bacl.assembly.build import build_head
from bacl.data.batch import Target
from bacl.detectors.faster_rcnn import FasterRCNN
from bacl.heads import BoxGenerator, Head, together

HEADS = (1, 8, 40)
SEPARATE = 5
WARM_UP = 2  # steps; the second one has gradients and momentum of the first in memory
SIDES = (480, 800)  # resized to 800×1333


def bacl_head(config: DictConfig, number: int) -> Head:
    node = config.head.copy()
    node.loss.alpha = number / max(HEADS)
    return build_head(node, {"first": 1.0}).train()


def classifier_step(
    detector: FasterRCNN,
    heads: Sequence[Head],
    images: Tensor,
    targets: list[Target],
    bf16: bool = False,
) -> Callable[[], Tensor]:
    boxes = BoxGenerator()
    sgd = optimiser(detector, *heads)

    def step() -> Tensor:
        sgd.zero_grad()
        with autocast(bf16):
            with torch.no_grad():
                pyramid = detector.pyramid(images)
            regions = detector.training_regions(pyramid, targets, {boxes: boxes.around(targets)})
            parts = together.losses(dict(enumerate(heads)), regions.levels).values()
            loss = torch.stack([*parts, *regions.losses.values()]).sum()
        loss.backward()
        sgd.step()
        return loss.detach()

    return step


def seconds(step: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    loss = step()
    if not loss.isfinite():
        raise FloatingPointError(f"the loss is {loss.item()}")
    return time.perf_counter() - start


def peak_memory() -> float:
    """Of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def training(classes: int, repeats: int) -> None:
    config = composed("bacl", classes)
    detector: FasterRCNN = instantiate(config.detector).train()
    for part in (detector.backbone, detector.fpn, detector.box_head):
        part.requires_grad_(False).eval()
    batch = images_and_objects(classes, sides=SIDES)
    images, targets = torchvision_resize(*batch, 800)()
    heads: list[Head] = []
    steps, memory = [], []
    for count in HEADS:
        heads += [bacl_head(config, number + 1) for number in range(len(heads), count)]
        steps.append(classifier_step(detector, heads[:count], images, targets))
        for _ in range(WARM_UP):
            seconds(steps[-1])
        memory.append(peak_memory())
    for head in heads[:SEPARATE]:
        steps.append(classifier_step(detector, [head], images, targets))
        seconds(steps[-1])
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats):
        for record, step in zip(times, steps, strict=True):
            record.append(seconds(step))
    medians = [statistics.median(record) for record in times]
    together, alone = medians[: len(HEADS)], medians[len(HEADS) :]
    one = together[0]
    print(f"{'one pass':<28}{'s/step':>8}{'ratio':>8}{'peak MiB':>10}")
    for count, median, peak in zip(HEADS, together, memory, strict=True):
        print(f"{count:>3} heads{'':<19}{median:>8.2f}{median / one:>8.2f}{peak:>10.0f}")
    separate = max(HEADS) * statistics.fmean(alone)
    print(f"{'40 trainings (from five)':<28}{separate:>8.2f}{separate / one:>8.2f}")
    print(f"one pass of 40 heads is {separate / together[-1]:.1f} times faster")


def products(rows: int, width: int, outputs: int, repeats: int) -> None:
    """Forward and backward of 40 predictors on the same rows: a loop and one batched product."""
    layers = [torch.nn.Linear(width, outputs) for _ in range(max(HEADS))]
    features, signs = torch.rand(rows, width), torch.rand(rows, outputs)
    template = layers[0]
    stacked, buffers = stack_module_state(layers)

    def loop() -> Tensor:
        loss = torch.stack([(layer(features) * signs).sum() for layer in layers]).sum()
        loss.backward()
        return loss.detach()

    def batched() -> Tensor:
        def call(parameters: dict[str, Tensor], own: dict[str, Tensor]) -> Tensor:
            return functional_call(template, (parameters, own), (features,))

        loss = (torch.vmap(call)(stacked, buffers) * signs).sum()
        loss.backward()
        return loss.detach()

    times: dict[str, list[float]] = {"loop": [], "batched": []}
    for _ in range(repeats + 1):
        times["loop"].append(seconds(loop))
        times["batched"].append(seconds(batched))
    medians = {name: 1e3 * statistics.median(values[1:]) for name, values in times.items()}
    shape = f"{rows}×{width}→{outputs}"
    print(f"{shape:<28}loop {medians['loop']:.0f} ms, batched {medians['batched']:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--classes", type=int, default=1230)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    training(arguments.classes, arguments.repeats)
    print("products of 40 heads alone, forward and backward:")
    products(1120, 1024, arguments.classes + 1, arguments.repeats)
    products(512, 256, 71, arguments.repeats)


if __name__ == "__main__":
    main()
