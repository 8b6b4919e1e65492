"""CPU seconds and peak memory of three LVIS evaluations of the same detections, one thread.

    python benchmarks/lvis_ap.py [--images 1000] [--detections 300] [--categories 1203]

Compares this project's evaluation with the official `lvis` package and, where it is installed, with
faster-coco-eval in its LVIS mode. Each runs in a process of its own on the same generated files;
reading the files (ours builds its annotation table) is timed apart. Peak memory is what the process
grew by after its imports, for reading and evaluating; CPU seconds, since other work may be running.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
Evaluator = tuple[Callable[[], tuple[Any, Any]], Callable[[tuple[Any, Any]], float]]
"""How to read the files, and how to get AP from what was read."""
EVALUATORS = ("bacl", "faster_coco_eval", "lvis")


def generate(folder: Path, images: int, detections: int, categories: int) -> None:
    """Write annotations.json and detections.json: Zipf-like categories, 12 objects an image."""
    draw = np.random.default_rng(0)
    weights = 1 / np.arange(1, categories + 1)
    weights /= weights.sum()
    annotations: list[dict] = []
    records: list[dict] = []
    image_records = []
    for image_id in range(1, images + 1):
        objects = draw.poisson(12)
        labels = draw.choice(categories, objects, p=weights) + 1
        boxes = _boxes(draw, objects)
        for label, box in zip(labels.tolist(), boxes.tolist(), strict=True):
            area = 0.7 * box[2] * box[3]
            annotation = {"image_id": image_id, "category_id": label, "bbox": box, "area": area}
            annotations.append({"id": len(annotations) + 1, **annotation})
        absent = np.setdiff1d(draw.choice(categories, 20, replace=False) + 1, labels)
        judged = np.concatenate([labels, absent])
        records += _detections(draw, image_id, detections, labels, boxes, judged, categories)
        listed = {
            "neg_category_ids": absent.tolist(),
            "not_exhaustive_category_ids": labels[:1].tolist(),
        }
        size = {"id": image_id, "file_name": f"{image_id}.jpg", "height": 480, "width": 640}
        image_records.append(size | listed)
    groups = np.repeat(["f", "c", "r"], [categories // 3, categories // 3, categories])[:categories]
    classes = [
        {"id": i + 1, "name": f"category {i + 1}", "frequency": str(group)}
        for i, group in enumerate(groups)
    ]
    truth = {"info": {}, "categories": classes, "images": image_records, "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(truth))
    (folder / "detections.json").write_text(json.dumps(records))


def _boxes(draw: np.random.Generator, number: int) -> np.ndarray:
    size = np.exp(draw.uniform(np.log(8), np.log(300), (number, 2)))
    corner = draw.uniform(0, 1, (number, 2)) * (np.array([640, 480]) - size).clip(1)
    return np.concatenate([corner, size], axis=1)


def _detections(
    draw: np.random.Generator,
    image_id: int,
    number: int,
    labels: np.ndarray,
    boxes: np.ndarray,
    judged: np.ndarray,
    categories: int,
) -> list[dict]:
    """A third near objects, a third of judged categories, the rest anything; scores accordingly."""
    kinds = draw.integers(0, 3, number)
    label = np.where(
        kinds == 1, draw.choice(judged, number), draw.integers(1, categories + 1, number)
    )
    box, score = _boxes(draw, number), draw.random(number) ** 3
    if len(labels):
        near, source = kinds == 0, draw.integers(0, len(labels), number)
        moved = boxes[source] * draw.normal(1, 0.06, (number, 4))
        label, box = np.where(near, labels[source], label), np.where(near[:, None], moved, box)
        score = np.where(near, draw.random(number), score)
    return [
        {"image_id": image_id, "category_id": category, "bbox": corners, "score": confidence}
        for category, corners, confidence in zip(
            label.tolist(), box.tolist(), score.tolist(), strict=True
        )
    ]


def measure(name: str, folder: Path) -> dict[str, float | str]:
    """Run one evaluation in this process."""
    evaluate = {"bacl": _bacl, "lvis": _lvis, "faster_coco_eval": _faster_coco_eval}[name]
    load, run = evaluate(folder)
    before = _peak_mib()
    began = time.process_time()
    loaded = load()
    read = time.process_time()
    average_precision = run(loaded)
    return {
        "name": name,
        "load_s": read - began,
        "evaluate_s": time.process_time() - read,
        "peak_mib": _peak_mib() - before,
        "AP": average_precision,
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _bacl(folder: Path) -> Evaluator:
    import torch

    from bacl.data.annotations.table import AnnotationTable
    from bacl.evaluation.lvis_ap import LVISAveragePrecision
    from bacl.evaluation.results_json import load_results

    torch.set_num_threads(1)

    def load() -> tuple[Any, Any]:
        table = AnnotationTable.open(folder / "annotations.json", cache=folder / "cache")
        return table, load_results(folder / "detections.json", table)

    def run(loaded: tuple[Any, Any]) -> float:
        table, detections = loaded
        metric = LVISAveragePrecision(table)
        metric.update(detections)
        return float(metric.compute()["AP"])

    return load, run


def _lvis(folder: Path) -> Evaluator:
    np.float = float  # type: ignore[attr-defined]  # lvis 0.5.3 needs the removed alias
    from lvis import LVIS, LVISEval, LVISResults

    def load() -> tuple[Any, Any]:
        truth = LVIS(str(folder / "annotations.json"))
        return truth, LVISResults(truth, str(folder / "detections.json"))

    def run(loaded: tuple[Any, Any]) -> float:
        evaluation = LVISEval(*loaded, "bbox")
        evaluation.run()
        return float(evaluation.results["AP"])

    return load, run


def _faster_coco_eval(folder: Path) -> Evaluator:
    from faster_coco_eval import COCO, COCOeval_faster

    def load() -> tuple[Any, Any]:
        truth = COCO(str(folder / "annotations.json"))
        return truth, truth.loadRes(str(folder / "detections.json"))

    def run(loaded: tuple[Any, Any]) -> float:
        evaluation = COCOeval_faster(*loaded, "bbox", lvis_style=True)
        evaluation.params.maxDets = [300]
        evaluation.run()
        return float(evaluation.stats[0])

    return load, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--detections", type=int, default=300)
    parser.add_argument("--categories", type=int, default=1203)
    parser.add_argument("--evaluators", nargs="+", choices=EVALUATORS, default=EVALUATORS)
    parser.add_argument("--measure", nargs=2, metavar=("EVALUATOR", "FOLDER"), help="one, as json")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure[0], Path(arguments.measure[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), arguments.images, arguments.detections, arguments.categories)
        print(f"{'':18}{'read s':>9}{'evaluate s':>12}{'peak MiB':>10}{'AP':>12}")
        environment = os.environ | ONE_THREAD
        for name in arguments.evaluators:
            command = [sys.executable, __file__, "--measure", name, folder]
            result = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
            if result.returncode:
                print(f"{name:18} did not run: {result.stderr.strip().splitlines()[-1]}")
                continue
            row = json.loads(result.stdout.splitlines()[-1])
            print(
                f"{name:18}{row['load_s']:9.2f}{row['evaluate_s']:12.2f}"
                f"{row['peak_mib']:10.0f}{row['AP']:12.8f}"
            )


if __name__ == "__main__":
    main()
