"""One training step of each stage against torchvision's Faster R-CNN, in one process.

    python benchmarks/training_step.py --repeats 5 --threads 2

All take the same two 640×480 images of ten objects each through torchvision's own resize to
800×1067, a ResNet-50 FPN detector of 1230 classes, forward, backward and SGD. The stages are those
of conf/: the representation stage trains everything with the BCE* head, the classifier stage
trains RPN, box regression and the BACL head (FCBL, confusion matrix, feature hallucination from 16
jittered boxes per object) on a frozen extractor.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from bacl.assembly.build import build_head
from bacl.data.batch import Target, padded_sides
from bacl.detectors.faster_rcnn import FasterRCNN
from bacl.stages.parameter_groups import parameter_groups

CONF = Path(__file__).resolve().parents[1] / "conf"
Step = Callable[[], Tensor]
Objects = list[dict[str, Tensor]]
Resize = Callable[[], tuple[Tensor, list[Target]]]


def images_and_objects(
    classes: int, count: int = 2, objects: int = 10, sides: tuple[int, int] = (480, 640)
) -> tuple[list[Tensor], Objects]:
    images = [torch.rand(3, *sides) for _ in range(count)]
    targets = []
    for _ in range(count):
        corner = torch.rand(objects, 2) * torch.tensor([500.0, 340.0])
        side = 20 + torch.rand(objects, 2) * 120
        labels = torch.randint(classes, (objects,))
        targets.append({"boxes": torch.cat((corner, corner + side), 1), "labels": labels})
    return images, targets


def optimiser(*modules: nn.Module, fused: bool = False) -> torch.optim.Optimizer:
    """As a stage makes it from conf/schedule/1x.yaml, with a group for each module.

    On a GPU it is fused.
    """
    # A rate that changes nothing: random weights under fixed batch norms diverge in a few steps.
    rate = ["schedule.learning_rate=1e-9", "schedule.reference_batch=null"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        schedule = instantiate(compose(overrides=["+schedule=1x", *rate]).schedule)
    groups = parameter_groups({str(number): part for number, part in enumerate(modules)})
    return schedule.build_optimizer(groups, 2, fused)


def torchvision_step(
    images: list[Tensor], targets: Objects, classes: int, side: int, bf16: bool = False
) -> Step:
    model = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=classes + 1, min_size=side
    ).train()
    shifted = [{**target, "labels": target["labels"] + 1} for target in targets]
    sgd = optimiser(model)

    def step() -> Tensor:
        sgd.zero_grad()
        with autocast(bf16):
            loss = torch.stack(list(model(images, shifted).values())).sum()
        loss.backward()
        sgd.step()
        return loss.detach()

    return step


def autocast(bf16: bool) -> torch.autocast:
    """As a trainer of precision bf16-mixed has it around a step's forward pass."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16)


def composed(head: str, classes: int) -> DictConfig:
    """The paper's detector and one of conf/head's, with random weights."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        options = ["+detector=faster_rcnn_r50", f"+head={head}", f"+data.num_classes={classes}"]
        return compose(overrides=[*options, "+seed=0", "detector.backbone.weights=null"])


def our_step(
    resize: Resize, config: DictConfig, classifier_stage: bool, bf16: bool = False
) -> Step:
    detector: FasterRCNN = instantiate(config.detector).train()
    head = build_head(config.head, detector.level_weights).train()
    if classifier_stage:
        for part in (detector.backbone, detector.fpn, detector.box_head):
            part.requires_grad_(False).eval()
    sgd = optimiser(detector, head)

    def step() -> Tensor:
        sgd.zero_grad()
        images, targets = resize()
        with autocast(bf16):
            with torch.set_grad_enabled(not classifier_stage):
                pyramid = detector.pyramid(images)
            asked = head.extra_boxes
            extra = {} if asked is None else {asked: asked.around(targets)}
            regions = detector.training_regions(pyramid, targets, extra)
            loss = head.loss(regions.levels) + torch.stack(list(regions.losses.values())).sum()
        loss.backward()
        sgd.step()
        return loss.detach()

    return step


def torchvision_resize(images: list[Tensor], targets: Objects, side: int) -> Resize:
    """Normalisation, resize and padding of torchvision's detector, a part of our steps too."""
    transform = GeneralizedRCNNTransform(side, 1333, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])

    def resize() -> tuple[Tensor, list[Target]]:
        batch, resized = transform(images, [dict(target) for target in targets])
        pairs = zip(resized, batch.image_sizes, strict=True)
        return batch.tensors, [_target(record, size) for record, size in pairs]

    return resize


def _target(record: dict[str, Tensor], size: tuple[int, int]) -> Target:
    none = torch.zeros(0, dtype=torch.int64)
    boxes, labels = record["boxes"], record["labels"]
    return Target(0, boxes, labels, size, padded_sides(*size), size, none, none)


def median_times(steps: dict[str, Step], repeats: int) -> dict[str, float]:
    """Median seconds per step; the steps take turns, after one warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            loss = step()
            if turn > 0:
                times[name].append(time.perf_counter() - start)
            if not loss.isfinite():
                raise FloatingPointError(f"{name}: the loss is {loss.item()}")
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--classes", type=int, default=1230)
    parser.add_argument("--side", type=int, default=800, help="the images' shorter side, resized")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    classes, side = arguments.classes, arguments.side
    batch = images_and_objects(classes)
    resize = torchvision_resize(*batch, side)
    steps = {
        "torchvision": torchvision_step(*batch, classes, side),
        "representation stage": our_step(resize, composed("bce_objectness", classes), False),
        "classifier stage": our_step(resize, composed("bacl", classes), True),
    }
    times = median_times(steps, arguments.repeats)
    print(f"{'step':<24}{'seconds':>9}{'ratio':>8}")
    for name, seconds in times.items():
        print(f"{name:<24}{seconds:>9.2f}{seconds / times['torchvision']:>8.2f}")


if __name__ == "__main__":
    main()
