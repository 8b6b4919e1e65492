"""CPU time of the pictures that are fed to a training, one thread, and what of them travels.

Run: python benchmarks/feeding.py [--annotations FILE --images FOLDER] [--count 60]

For copy-paste, scale jitter (both on a canvas of 1280 pixels) and a resize with mirror, with boxes
only and with masks: milliseconds of a picture in the process that loads it (reading, augmentation,
its part of a batch of two), those of its mask targets in the process that trains (64 RoIs around
its objects), and the bytes of its target that go from one to the other. Without arguments the
pictures are the built-in generator's, of 640 pixels with 8 to 16 objects.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torchvision.transforms import v2

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.scale_jitter import ScaleJitter
from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.data.batch import Batch, Target
from bacl.data.builtin.data_set import build
from bacl.data.collate import collate
from bacl.data.dataset import DetectionDataset
from bacl.detectors.mask_targets import mask_targets

ROIS = 64
SIDE = 28
PIPELINES = {
    "copy-paste": lambda: CopyPaste(1280, (0.8, 1.25), 0.5, 99, 10, 300),
    "scale jitter": lambda: ScaleJitter(1280, (0.1, 2.0), 0.5),
    "resize, mirror": lambda: v2.Compose(
        [ResizeShortSide([640, 672, 704, 736, 768, 800], 1333), v2.RandomHorizontalFlip(0.5)]
    ),
}


class Cost(NamedTuple):
    """Of a picture."""

    loading: float
    """Seconds in the process that loads it."""
    learning: float
    """Seconds of its mask targets."""
    travelling: float
    """Bytes of its target."""
    objects: float


def measure(table: AnnotationTable, images: Path, pipeline: nn.Module, masks: bool, count: int):
    data = DetectionDataset(table, images, pipeline, load_masks=masks)
    loading = learning = 0.0
    travelling = objects = 0
    for first in range(0, count, 2):
        began = time.process_time()
        batch = collate([data[(i % len(data), i)] for i in (first, first + 1)])
        loaded = time.process_time()
        loading += loaded - began
        if masks:
            targets_of(batch)
            learning += time.process_time() - loaded
        travelling += sum(bytes_of(target) for target in batch.targets)
        objects += sum(len(target.boxes) for target in batch.targets)
    return Cost(loading / count, learning / count, travelling / count, objects / count)


def targets_of(batch: Batch) -> None:
    """What the mask branch learns of RoIs that are objects' boxes, moved by a tenth of a side."""
    generator = torch.Generator().manual_seed(0)
    boxes, objects = [], []
    for target in batch.targets:
        own = torch.randint(len(target.boxes), (ROIS,), generator=generator)
        sides = (target.boxes[:, 2:] - target.boxes[:, :2])[own].repeat(1, 2)
        moved = 0.1 * sides * (2 * torch.rand(ROIS, 4, generator=generator) - 1)
        boxes.append(target.boxes[own] + moved)
        objects.append(own)
    mask_targets(boxes, objects, batch.targets, SIDE)


def bytes_of(target: Target) -> int:
    return sum(tensor.nbytes for tensor in tensors_of(target))


def tensors_of(record: object) -> Iterator[torch.Tensor]:
    for name in getattr(record, "__slots__", ()):
        value = getattr(record, name)
        if isinstance(value, torch.Tensor):
            yield value
        else:
            yield from tensors_of(value)


def generated(folder: str) -> tuple[Path, Path]:
    """Annotations and images of the built-in data."""
    paths = build(folder, 60, 60, 4, 640, (8, 16), seed=0, object_size=(24, 220))
    return paths.train_annotations, paths.train_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=Path, help="a COCO or LVIS json with masks")
    parser.add_argument("--images", type=Path, help="the folder with its pictures")
    parser.add_argument("--count", type=int, default=60, help="pictures of each kind")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        own = given.annotations and (given.annotations, given.images)
        annotations, images = own or generated(f"{folder}/data")
        table = AnnotationTable.open(annotations, cache=Path(folder) / "cache")
        print(
            f"{'CPU ms of a picture':22}{'objects':>9}{'loading':>9}{'targets':>9}{'KiB sent':>11}"
        )
        for name, pipeline in PIPELINES.items():
            for masks in (False, True):
                measure(table, images, pipeline(), masks, 4)
                cost = measure(table, images, pipeline(), masks, given.count)
                print(
                    f"{name + (', masks' if masks else ''):22}{cost.objects:9.1f}"
                    f"{1e3 * cost.loading:9.1f}{1e3 * cost.learning:9.1f}"
                    f"{cost.travelling / 1024:11,.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
