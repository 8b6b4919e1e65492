"""One training step of each stage against torchvision's Faster R-CNN, in one process.

    python benchmarks/training_step.py --repeats 5 --threads 2

Both sides take the same two 640×480 images of ten objects each through torchvision's own resize
to 800×1067, a ResNet-50 FPN detector of 1230 classes, forward, backward and SGD. Ours classifies
with a linear layer and binary cross-entropy; its classifier stage also pools 16 jittered boxes per
object.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from bacl.data.batch import Target

CLASSES = 1230
CONF = Path(__file__).resolve().parents[1] / "conf"
Step = Callable[[], Tensor]


def images_and_objects(count: int = 2, objects: int = 10) -> tuple[list[Tensor], list[dict]]:
    images = [torch.rand(3, 480, 640) for _ in range(count)]
    targets = []
    for _ in range(count):
        corner = torch.rand(objects, 2) * torch.tensor([500.0, 340.0])
        side = 20 + torch.rand(objects, 2) * 120
        labels = torch.randint(CLASSES, (objects,))
        targets.append({"boxes": torch.cat((corner, corner + side), 1), "labels": labels})
    return images, targets


def optimiser(*modules: nn.Module) -> torch.optim.SGD:
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=1e-4)


def torchvision_step(images: list[Tensor], targets: list[dict]) -> Step:
    model = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1
    ).train()
    shifted = [{**target, "labels": target["labels"] + 1} for target in targets]
    sgd = optimiser(model)

    def step() -> Tensor:
        sgd.zero_grad()
        loss = torch.stack(list(model(images, shifted).values())).sum()
        loss.backward()
        sgd.step()
        return loss.detach()

    return step


def our_step(images: list[Tensor], targets: list[dict], classifier_stage: bool) -> Step:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = ["+detector=faster_rcnn_r50", f"+data.num_classes={CLASSES}"]
        config = compose(overrides=[*overrides, "detector.backbone.weights=null"])
    detector = instantiate(config.detector).train()
    predictor = nn.Linear(detector.feature_dim, CLASSES + 1)
    resize = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).transform
    if classifier_stage:
        for part in (detector.backbone, detector.fpn, detector.box_head):
            part.requires_grad_(False).eval()
    sgd = optimiser(detector, predictor)

    def step() -> Tensor:
        sgd.zero_grad()
        batch, resized = resize(images, [dict(target) for target in targets])
        ours = [_target(t, size) for t, size in zip(resized, batch.image_sizes, strict=True)]
        with torch.set_grad_enabled(not classifier_stage):
            pyramid = detector.pyramid(batch.tensors)
        extra = [_jittered(target.boxes) for target in ours] if classifier_stage else None
        regions = detector.training_regions(pyramid, ours, extra)
        truth = F.one_hot(regions.labels, CLASSES + 1).float()
        logits = predictor(regions.features)
        loss = F.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / len(truth)
        loss = loss + torch.stack(list(regions.losses.values())).sum()
        loss.backward()
        sgd.step()
        return loss.detach()

    return step


def _target(record: dict, size: tuple[int, int]) -> Target:
    none = torch.zeros(0, dtype=torch.int64)
    return Target(0, record["boxes"], record["labels"], size, size, none, none)


def _jittered(boxes: Tensor) -> Tensor:
    side = (boxes[:, 2:] - boxes[:, :2]).repeat(16, 2)
    return boxes.repeat(16, 1) + side * (torch.rand(16 * len(boxes), 4) - 0.5) / 6


def median_times(steps: dict[str, Step], repeats: int) -> dict[str, float]:
    """Median seconds per step; the steps take turns, after one warm-up round."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn > 0:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    batch = images_and_objects()
    steps = {
        "torchvision": torchvision_step(*batch),
        "representation stage": our_step(*batch, classifier_stage=False),
        "classifier stage": our_step(*batch, classifier_stage=True),
    }
    times = median_times(steps, arguments.repeats)
    print(f"{'step':<24}{'seconds':>9}{'ratio':>8}")
    for name, seconds in times.items():
        print(f"{name:<24}{seconds:>9.2f}{seconds / times['torchvision']:>8.2f}")


if __name__ == "__main__":
    main()
