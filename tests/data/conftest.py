import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bacl.data.annotations.table import AnnotationTable


def _rectangle(x: float, y: float, width: float, height: float) -> list[float]:
    """A polygon."""
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def _write_set(folder: Path, sizes: list[tuple[int, int]], boxes: dict[int, list], **image) -> Path:
    """Pictures of (height, width) `sizes`; by image, objects (x, y, width, height, category)."""
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, (height, width) in enumerate(sizes):
        name = f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
        record = {"id": 100 + number, "file_name": name, "height": height, "width": width}
        images.append({**record, **{key: value[number] for key, value in image.items()}})
        for *box, category in boxes.get(number, []):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 100 + number,
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "segmentation": [_rectangle(*box)],
                }
            )
    categories = [{"id": number, "name": f"kind {number}"} for number in (1, 2, 3)]
    file = folder / "annotations.json"
    content = {"images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(content))
    return file


@pytest.fixture
def write_set():
    """Writes pictures and their annotation file, returns the file."""
    return _write_set


@pytest.fixture
def ten_pictures(tmp_path) -> AnnotationTable:
    """Ten pictures, portrait and landscape, each with two objects; images in the file's folder."""
    sizes = [(48, 64) if number % 3 else (64, 48) for number in range(10)]
    boxes = {number: [(2, 4, 20, 30, 1), (25, 8, 20, 24, 1 + number % 3)] for number in range(10)}
    return AnnotationTable.open(_write_set(tmp_path / "ten", sizes, boxes))
