"""What `benchmarks/scale.py` measures, each in a process of its own: a step, or an evaluation."""

import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from rehearsal.evaluation import evaluate
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from training_step import CONF, images_and_objects, optimiser, torchvision_resize

from bacl.assembly.build import build_head
from bacl.heads import BoxGenerator, Head, together
from bacl.indicators import PairwiseIndicator

SIDES = (160, 160)
"""Of an image, in pixels."""
STEPS = 5
"""That are timed, after `WARM_UP`: the second has gradients and momentum of the first."""
WARM_UP = 2
CATEGORIES, OBJECTS = 1203, 12
"""Of an evaluation, and of each of its images."""


class Step(nn.Module):
    """Losses of the classifier stage: a frozen extractor, RPN and boxes that train, BACL heads."""

    def __init__(self, detector: Any, heads: Sequence[Head]) -> None:
        super().__init__()
        self.detector, self.heads = detector, nn.ModuleList(heads)
        self.around = BoxGenerator()
        for part in (detector.backbone, detector.fpn, detector.box_head):
            part.requires_grad_(False).eval()

    def forward(self, images: Tensor, targets: list) -> Tensor:
        """Their sum."""
        with torch.no_grad():
            pyramid = self.detector.pyramid(images)
        extra = {self.around: self.around.around(targets)} if len(self.heads) else {}
        regions = self.detector.training_regions(pyramid, targets, extra)
        heads = dict(enumerate(self.heads))
        parts = together.losses(heads, regions.levels).values() if heads else ()
        return torch.stack([*parts, *regions.losses.values()]).sum()


def composed(detector: str, categories: int, indicator: str) -> DictConfig:
    """A detector with random weights and BACL's head."""
    words = [f"+detector={detector}", "+head=bacl", f"+data.num_classes={categories}", "+seed=0"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(
            overrides=[
                *words,
                f"indicator@head.loss.indicator={indicator}",
                "detector.backbone.weights=null",
            ]
        )


def bacl_heads(config: DictConfig, detector: Any, number: int) -> list[Head]:
    """With indicators as they are late in a training: each page of them has been written to."""
    heads = [build_head(config.head, detector.level_weights).train() for _ in range(number)]
    for head in heads:
        for module in head.modules():
            if isinstance(module, PairwiseIndicator):
                for buffer in module.buffers():
                    buffer.add_(0)
    return heads


def measure_step(point: dict[str, Any]) -> dict[str, float]:
    """CPU seconds of a step, MiB in all, and MiB that the heads add to the detector."""
    if (processes := point.get("processes", 1)) == 1:
        return _step(0, point)
    context = torch.multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    torch.multiprocessing.spawn(_one_of, (processes, point, results), processes)
    found = [results.get() for _ in range(processes)]
    return {name: max(each[name] for each in found) for name in found[0]}


def _one_of(rank: int, processes: int, point: dict[str, Any], results: Any) -> None:
    store = distributed.TCPStore("localhost", point["port"], processes, rank == 0)
    distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=processes, timeout=timedelta(minutes=10)
    )
    results.put(_step(rank, {**point, "images": point["images"] // processes}))
    distributed.barrier()
    distributed.destroy_process_group()


def _step(rank: int, point: dict[str, Any]) -> dict[str, float]:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(rank)
    config = composed(point["detector"], point["categories"], point["indicator"])
    detector = instantiate(config.detector).train()
    batch = images_and_objects(point["categories"], point["images"], sides=SIDES)
    images, targets = torchvision_resize(*_inside(batch), min(SIDES))()
    _times(Step(detector, []), images, targets, WARM_UP)
    alone = peak()
    step: nn.Module = Step(detector, bacl_heads(config, detector, point["heads"]))
    if distributed.is_initialized():
        step = DistributedDataParallel(step, broadcast_buffers=False, gradient_as_bucket_view=True)
    times = _times(step, images, targets, WARM_UP + point.get("steps", STEPS))[WARM_UP:]
    return {"seconds": statistics.median(times), "peak": peak(), "heads_memory": peak() - alone}


def _inside(batch: tuple[list[Tensor], list[dict[str, Tensor]]]) -> Any:
    """With objects that fit into small images."""
    for target in batch[1]:
        target["boxes"] = target["boxes"] * (min(SIDES) / 660)
    return batch


def _times(step: nn.Module, images: Tensor, targets: list, number: int) -> list[float]:
    """CPU seconds of this process in each of so many steps."""
    sgd, times = optimiser(step), []
    for _ in range(number):
        start = time.process_time()
        sgd.zero_grad()
        loss = step(images, targets)
        loss.backward()
        sgd.step()
        times.append(time.process_time() - start)
        if not loss.isfinite():
            raise FloatingPointError(f"the loss is {loss.item()}")
    return times


def measure_evaluation(point: dict[str, Any]) -> dict[str, float]:
    """CPU seconds to take and to judge random detections of many images; MiB that it adds."""
    path = Path(point["folder"]) / f"{point['images']}.json"
    write_truth(path, point["images"])
    return evaluate(path, point["detections"])


def write_truth(path: Path, images: int) -> None:
    """An annotation file of random objects."""
    random = np.random.default_rng(0)
    labels = (random.pareto(0.5, images * OBJECTS) * 3).clip(max=CATEGORIES - 1).astype(int)
    corners, sides = random.random((2, len(labels), 2)) * 50 + 8
    boxes = np.concatenate([corners, sides], axis=1).round(2)
    annotations = [
        {"id": n + 1, "image_id": n // OBJECTS + 1, "category_id": c + 1, "bbox": b, "area": 400.0}
        for n, (c, b) in enumerate(zip(labels.tolist(), boxes.tolist(), strict=True))
    ]
    negative = random.integers(1, CATEGORIES + 1, (images, 10)).tolist()
    records = [
        {"id": n + 1, "file_name": f"{n}.jpg", "height": 128, "width": 128, "neg_category_ids": own}
        | {"not_exhaustive_category_ids": []}
        for n, own in enumerate(negative)
    ]
    groups = np.repeat(["f", "c", "r"], CATEGORIES // 3).tolist()
    categories = [
        {"id": n + 1, "name": f"category {n}", "frequency": group} for n, group in enumerate(groups)
    ]
    content = {"images": records, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content), encoding="utf-8")


def peak() -> float:
    """Of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


MEASURES: dict[str, Callable[[dict[str, Any]], dict[str, float]]] = {
    "step": measure_step,
    "evaluation": measure_evaluation,
}
