"""Annotation table at LVIS v1 size: time and memory to build, to open again, and per worker.

    python benchmarks/table.py                # 1.27 M annotations, about 1.1 GB of json
    python benchmarks/table.py --annotations 100000

Writes a random LVIS-like json with polygons to a temporary folder and measures in fresh processes.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bacl.data.annotations.table import AnnotationTable

IMAGES, CATEGORIES, WORKERS = 100_170, 1203, 4


def write_annotations(path: Path, number: int) -> None:
    """A random file of `number` annotations with as much text per annotation as LVIS v1 has."""
    random = np.random.default_rng(0)
    images = min(IMAGES, number)
    pool = [_segmentation(random) for _ in range(2000)]
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "licenses": [], "annotations": [')
        for identifier in range(1, number + 1):
            x, y, width, height = (random.random(4) * 200 + 2).round(2).tolist()
            record = (
                f'{{"area": {width * height / 2:.2f}, "id": {identifier}, '
                f'"segmentation": {pool[identifier % 2000]}, '
                f'"image_id": {random.integers(images) + 1}, '
                f'"bbox": [{x}, {y}, {width}, {height}], '
                f'"category_id": {min(int(random.pareto(0.5) * 3), CATEGORIES - 1) + 1}}}'
            )
            file.write((", " if identifier > 1 else "") + record)
        file.write('], "images": ')
        json.dump([_image(random, identifier) for identifier in range(1, images + 1)], file)
        file.write(', "categories": ')
        json.dump([{"id": c, "name": f"category_{c}"} for c in range(1, CATEGORIES + 1)], file)
        file.write("}")


def _segmentation(random: np.random.Generator) -> str:
    polygons = [random.random(int(points)) * 400 for points in 2 * random.integers(10, 90, size=1)]
    return json.dumps([polygon.round(2).tolist() for polygon in polygons])


def _image(random: np.random.Generator, identifier: int) -> dict[str, object]:
    return {
        "id": identifier,
        "coco_url": f"http://images.cocodataset.org/train2017/{identifier:012}.jpg",
        "height": 480,
        "width": 640,
        "neg_category_ids": random.integers(1, CATEGORIES + 1, size=10).tolist(),
        "not_exhaustive_category_ids": [],
    }


def open_once(path: Path) -> None:
    """Print seconds to open the table and the peak memory of this process above its start."""
    before = _memory("VmRSS:", "status")
    start = time.perf_counter()
    table = AnnotationTable.open(path)
    seconds = time.perf_counter() - start
    peak = _memory("VmHWM:", "status")
    print(f"{seconds:8.2f} s, {peak - before:.0f} MB above the {before:.0f} MB of Python and torch")
    print(f"         {table.summary()}")


def read_everything(table: AnnotationTable) -> tuple[float, float]:
    """Read every box, label and polygon; growth of this process's own and of its mapped MB."""
    own, mapped = _memory("Anonymous:"), _memory("Rss:")
    for column in (table.boxes, table.labels, table.areas, table.trainable, table.annotation_ids):
        column.sum()
    for row in range(table.num_annotations):
        for polygon in table.polygons(row):
            polygon.sum()
    return _memory("Anonymous:") - own, _memory("Rss:") - mapped


def _memory(field: str, file: str = "smaps_rollup") -> float:
    lines = Path(f"/proc/self/{file}").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def measure_workers(path: Path) -> None:
    """Print what each of several worker processes holds after reading the whole table."""
    table = AnnotationTable.open(path)
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        grown = pool.map(read_everything, [table] * WORKERS, chunksize=1)
    size = sum(file.stat().st_size for file in table.folder.iterdir()) / 2**20
    print(f"table on disk {size:.0f} MB; each of {WORKERS} workers after reading all of it:")
    for own, mapped in grown:
        print(f"         {own:.1f} MB of its own, {mapped:.0f} MB mapped and shared")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=int, default=1_270_141)
    parser.add_argument("--open", type=Path, help="only open this file's table and report")
    arguments = parser.parse_args()
    if arguments.open:
        open_once(arguments.open)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.json"
        write_annotations(path, arguments.annotations)
        print(f"{arguments.annotations} annotations, {path.stat().st_size / 2**20:.0f} MB of json")
        for label in ("first open (builds)", "second open", "opened after a touch"):
            if label == "opened after a touch":
                path.touch()
            print(label)
            subprocess.run([sys.executable, __file__, "--open", str(path)], check=True)
        measure_workers(path)


if __name__ == "__main__":
    main()
