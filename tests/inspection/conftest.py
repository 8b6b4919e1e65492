"""A small clean data set on the disk, faults that are planted into it, and its inspection."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.frames import frames_of
from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.data.categories import check_categories
from bacl.data.dataset import DetectionDataset
from bacl.data.selection import Choice
from bacl.inspection.anchor_reach import AnchorShapes
from bacl.inspection.inspected import Inspected, InspectedSplit
from bacl.inspection.picture_pass import look_at_pictures

WIDTH, HEIGHT = 96, 80
ROOT = np.sqrt([0.5, 1.0, 2.0])
ANCHORS = AnchorShapes(
    np.array([8 * stride * np.stack((1 / ROOT, ROOT), axis=1) for stride in (2, 4, 8)]),
    np.array([2, 4, 8]),
)


def picture(seed: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Soft patches of colour, other ones for each seed."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


@dataclass
class Files:
    """Both splits before they are written: annotation files, pictures, and what is asked for."""

    folder: Path
    train: dict[str, Any] = field(default_factory=dict)
    val: dict[str, Any] = field(default_factory=dict)
    leave_out: frozenset[str] = frozenset()
    masks: bool = True
    pastes: bool = False

    def __post_init__(self) -> None:
        categories = [{"id": number, "name": f"kind {number}"} for number in (1, 2, 3)]
        for seed, split in enumerate((self.train, self.val)):
            split |= {"images": [], "annotations": [], "categories": [dict(c) for c in categories]}
            for number in range(10 if seed == 0 else 4):
                self.add(split, 100 * seed + number)

    def path(self, split: dict[str, Any], place: int) -> Path:
        """The picture file of an image, by its place."""
        part = "train" if split is self.train else "val"
        return self.folder / part / split["images"][place]["file_name"]

    def add(
        self,
        split: dict[str, Any],
        seed: int,
        size: tuple[int, int] = (WIDTH, HEIGHT),
        boxes: list[list[float]] | None = None,
    ) -> Path:
        """Add a picture with three objects, or with `boxes` [x, y, width, height, category]."""
        identifier = len(split["images"]) + 1
        name = f"{identifier}.png"
        record = {"id": identifier, "file_name": name, "width": size[0], "height": size[1]}
        split["images"].append(record)
        draws = np.random.default_rng(1000 + seed)
        for category in (1, 2, 3) if boxes is None else ():
            x, y = draws.uniform(1, (size[0] - 32, size[1] - 32)).round(1).tolist()
            self.annotate(split, identifier, [x, y, 20.0 + category, 24.0], category)
        for *box, category in boxes or ():
            self.annotate(split, identifier, box, category)
        path = self.path(split, -1)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed, size).save(path, compress_level=1)
        return path

    def annotate(
        self, split: dict[str, Any], image: int, box: list[float], category: int, **more: Any
    ) -> dict[str, Any]:
        """Add an object with a triangle for a mask."""
        x, y, width, height = box
        record = {
            "id": len(split["annotations"]) + 1,
            "image_id": image,
            "category_id": category,
            "bbox": box,
            "area": width * height / 2,
            "iscrowd": 0,
            "segmentation": [[x, y, x + width, y, x + width / 2, y + height]],
        }
        split["annotations"].append(record | more)
        return split["annotations"][-1]

    def inspected(self) -> Inspected:
        """What the checks look at."""
        tables = {}
        for name, split in (("train", self.train), ("val", self.val)):
            file = self.folder / f"{name}.json"
            file.write_text(json.dumps(split))
            tables[name] = AnnotationTable.open(file)
        tables["val"] = check_categories(tables["train"], tables["val"])
        splits = {name: self._split(name, table) for name, table in tables.items()}
        resize = ResizeShortSide([HEIGHT], 4 * WIDTH)
        names = {"train": "representation, classifier", "val": "evaluation"}
        views = [
            split.view(names[name], frames_of(resize, split.table.image_sizes))
            for name, split in splits.items()
        ]
        return Inspected(*splits.values(), views, ANCHORS, self.masks, self.pastes)

    def _split(self, name: str, table: AnnotationTable) -> InspectedSplit:
        images = DetectionDataset(
            table,
            self.folder / name,
            ResizeShortSide([HEIGHT], 4 * WIDTH),
            keep_empty=name == "val",
            choice=Choice(leave_out=self.leave_out),
        )
        rows = images.records[~images.selection.named[images.records]]
        return InspectedSplit.of(name, images, look_at_pictures(images.files, rows, 0, name))


@pytest.fixture
def files(tmp_path) -> Files:
    """A clean set."""
    return Files(tmp_path)
