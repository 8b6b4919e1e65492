"""Milliseconds of one classifier head's step, for each of its parts.

    python benchmarks/losses.py [--device cuda] [--threads 1] [--repeats 20]

Rows of one GPU in the classifier stage of BACL on LVIS: 1024 RoIs, a quarter of them foreground,
and 96 hallucinated features; 1231 logits, features of width 1024, 20 objects of 16 jittered boxes.
Losses are timed forward and backward. "plain" is the same mathematics written down directly.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from bacl.detectors.levels import ExtraFeatures, TrainingLevel
from bacl.detectors.matching import SampledRoIs
from bacl.heads import BoxGenerator, Classifier, FeatureHallucination
from bacl.heads.hallucination import jittered_moments
from bacl.indicators import ConfusionMatrix
from bacl.losses import FCBL, BinaryCrossEntropyWithObjectness, SoftmaxCrossEntropy

CLASSES, ROIS, FOREGROUND, DIM, OBJECTS = 1230, 1120, 256 + 96, 1024, 20
# Foreground RoIs gather on few classes: the objects' own and those hallucinated.
CLASSES_IN_STEP = OBJECTS + 8


def median_ms(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def step_labels(device: torch.device) -> Tensor:
    labels = torch.full((ROIS,), CLASSES)
    classes = torch.randperm(CLASSES)[:CLASSES_IN_STEP]
    labels[torch.randperm(ROIS)[:FOREGROUND]] = classes[
        torch.randint(CLASSES_IN_STEP, (FOREGROUND,))
    ]
    return labels.to(device)


def with_backward(
    loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor
) -> Callable[[], None]:
    leaf = logits.clone().requires_grad_()

    def call() -> None:
        leaf.grad = None
        loss(leaf, labels).backward()

    return call


def plain_bce(logits: Tensor, labels: Tensor) -> Tensor:
    targets = functional.one_hot(labels, CLASSES + 1).to(logits.dtype)
    total = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return total / len(labels)


def plain_fcbl(
    matrix: Tensor, alpha: float, threshold: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """Eq. 6-9 on whole (R, C + 1) tensors, background rows masked."""

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        targets = functional.one_hot(labels, CLASSES + 1).to(logits.dtype)
        foreground = (labels < CLASSES).unsqueeze(1)
        own = labels.clamp(max=CLASSES - 1)
        ratio = matrix[own].clamp(min=1e-3) / matrix[:, own].t().clamp(min=1e-3)
        margin = functional.pad(alpha * ratio.log() * foreground, (0, 1))
        scores = logits.detach().sigmoid()
        scores = scores * (1 - scores[:, -1:])
        kept = (scores >= scores.gather(1, own[:, None])) | (scores >= threshold) | ~foreground
        kept[:, -1] = True
        losses = functional.binary_cross_entropy_with_logits(
            logits + margin, targets, reduction="none"
        )
        return (losses * kept).sum() / len(labels)

    return loss


def plain_hallucination(features: Tensor, labels: Tensor) -> Callable[[], None]:
    """Eq. 11-13 with a loop over classes."""
    prototypes = torch.zeros(CLASSES, DIM, device=features.device)
    variances = torch.zeros(CLASSES, DIM, device=features.device)
    strength = torch.rand(CLASSES, device=features.device)

    def call() -> None:
        for category in labels.unique():
            rows = features[labels == category]
            prototypes[category] = 0.9 * prototypes[category] + 0.1 * rows.mean(0)
            variances[category] = 0.9 * variances[category] + 0.1 * rows.var(0)
        for category in ((1 - strength) / (1 - strength).sum()).multinomial(8, replacement=True):
            noise = torch.randn(12, DIM, device=features.device)
            prototypes[category] + noise * variances[category].sqrt()

    return call


def cases(device: torch.device) -> dict[str, Callable[[], object]]:
    logits = torch.randn(ROIS, CLASSES + 1, device=device)
    labels = step_labels(device)
    indicator = ConfusionMatrix(CLASSES).to(device)
    indicator.observe(logits, labels)
    fcbl = FCBL(CLASSES, 0.001, indicator, alpha=0.85, threshold=0.7).to(device)
    objects = torch.randint(CLASSES, (OBJECTS,), device=device)
    jittered = torch.rand(16 * OBJECTS, DIM, device=device)
    jittered_labels = objects.repeat_interleave(16)
    hallucination = FeatureHallucination(CLASSES, DIM, 8, 12, 0.9, seed=0).to(device)
    hallucination.seen.fill_(True)
    strength = torch.rand(CLASSES, device=device)
    features = torch.rand(1024, DIM, device=device)
    head = Classifier(DIM, fcbl, hallucination).to(device)
    rois = labels[:1024]
    objectness = BinaryCrossEntropyWithObjectness(CLASSES, 0.001)

    extra = ExtraFeatures(jittered, jittered_labels)
    boxes, none = [torch.zeros(len(rois), 4)], torch.full_like(rois, -1)
    positives = [(rois < CLASSES).nonzero().squeeze(1)]
    sampled = SampledRoIs(boxes, rois, none, boxes[0], none, positives)
    target: Any = SimpleNamespace(boxes=boxes[0][:CLASSES_IN_STEP])

    def head_step() -> None:
        level = TrainingLevel(
            features, boxes, lambda: features, torch.nn.Identity(), torch.nn.Identity(), list,
            sampled, [target], {BoxGenerator(): extra},
        )  # fmt: skip
        head.loss(level).backward()

    def hallucinate() -> None:
        hallucination.follow(jittered_moments(extra, CLASSES))
        hallucination.generate(strength)

    return {
        "cross-entropy": with_backward(SoftmaxCrossEntropy(CLASSES), logits, labels),
        "binary_cross_entropy_with_logits": with_backward(plain_bce, logits, labels),
        "BCE with objectness": with_backward(objectness, logits, labels),
        "FCBL, plain": with_backward(plain_fcbl(indicator.matrix(), 0.85, 0.7), logits, labels),
        "FCBL": with_backward(fcbl, logits, labels),
        "confusion matrix: observe": lambda: indicator.observe(logits, labels),
        "hallucination, plain: observe + generate": plain_hallucination(jittered, jittered_labels),
        "hallucination: observe + generate": hallucinate,
        "head, whole step": head_step,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    table = Table("part", "median ms", title=f"{ROIS} rows x {CLASSES + 1} logits, D = {DIM}")
    for name, call in cases(device).items():
        table.add_row(name, f"{median_ms(call, device, arguments.repeats):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
