"""CPU seconds and peak memory of LVIS evaluations of the same detections, by default one thread.

    python benchmarks/lvis_ap.py [--images 1000] [--detections 300] [--categories 1203] [--random]
        [--threads 1]

Compares this project's evaluation with the official `lvis` package and, where they are installed,
with hotcoco and vernier (`pip install hotcoco vernier`), which are written in Rust. Each runs in a
process of its own on the same generated files; reading the annotations (ours builds its table) and
the results is timed apart, but of vernier, which reads results while it evaluates. Peak memory is
what the process grew by after its imports; CPU seconds, since other work may be running. A third of
the detections is near objects and a third of judged categories; with --random they are anything.
The last two columns are seconds of the clock, for several threads; processes that are started for
them count in CPU seconds, not in memory.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
EVALUATORS = ("bacl", "hotcoco", "vernier", "lvis")


class Evaluator(NamedTuple):
    """Of one package."""

    read_truth: Callable[[Path], Any]
    """Annotations of a file."""
    read_results: Callable[[Path, Any], Any]
    """Results of a file, of these annotations."""
    evaluate: Callable[[Any, Any], float]
    """AP of both."""


def generate(
    folder: Path, images: int, detections: int, categories: int, random: bool = False
) -> None:
    """Write annotations.json and detections.json: Zipf-like categories, 12 objects an image."""
    draw = np.random.default_rng(0)
    weights = 1 / np.arange(1, categories + 1)
    weights /= weights.sum()
    annotations: list[dict] = []
    image_records = []
    results = (folder / "detections.json").open("w", encoding="ascii")
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
        near = (
            (labels[:0], boxes[:0], np.arange(categories) + 1)
            if random
            else (labels, boxes, judged)
        )
        records = _detections(draw, image_id, detections, *near, categories)
        results.write(("[" if image_id == 1 else ", ") + json.dumps(records)[1:-1])
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
    results.write("]")
    results.close()


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
    package = PACKAGES[name]()
    before, times = _peak_mib(), [_clocks()]
    truth = package.read_truth(folder / "annotations.json")
    times.append(_clocks())
    results = package.read_results(folder / "detections.json", truth)
    times.append(_clocks())
    average_precision = package.evaluate(truth, results)
    times.append(_clocks())
    annotations, read, evaluated = np.diff(times, axis=0).tolist()
    return {
        "annotations": annotations[0],
        "results": read[0],
        "evaluate": evaluated[0],
        "read by the clock": read[1],
        "evaluated by the clock": evaluated[1],
        "peak": _peak_mib() - before,
        "AP": average_precision,
    }


def _clocks() -> tuple[float, float]:
    """Seconds of processors, of this process and those that it has ended, and of the clock."""
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    used = [resource.getrusage(each) for each in whose]
    return sum(each.ru_utime + each.ru_stime for each in used), time.perf_counter()


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _bacl() -> Evaluator:
    import torch

    from bacl.data.annotations.table import AnnotationTable
    from bacl.evaluation.lvis_ap import LVISAveragePrecision
    from bacl.evaluation.results_json import load_results

    torch.set_num_threads(int(os.environ[THREADS[0]]))

    def evaluate(table: Any, detections: Any) -> float:
        metric = LVISAveragePrecision(table)
        metric.update(detections)
        return float(metric.compute()["AP"])

    return Evaluator(
        lambda file: AnnotationTable.open(file, cache=file.parent / "cache"), load_results, evaluate
    )


def _lvis() -> Evaluator:
    np.float = float  # type: ignore[attr-defined]  # lvis 0.5.3 needs the removed alias
    from lvis import LVIS, LVISEval, LVISResults

    def evaluate(truth: Any, results: Any) -> float:
        evaluation = LVISEval(truth, results, "bbox")
        evaluation.run()
        return float(evaluation.results["AP"])

    return Evaluator(
        lambda file: LVIS(str(file)), lambda file, truth: LVISResults(truth, str(file)), evaluate
    )


def _hotcoco() -> Evaluator:
    from hotcoco import LVIS, LVISEval, LVISResults

    def evaluate(truth: Any, results: Any) -> float:
        evaluation = LVISEval(truth, results, "bbox")
        evaluation.run()
        return float(evaluation.get_results()["AP"])

    return Evaluator(
        lambda file: LVIS(str(file)), lambda file, truth: LVISResults(truth, str(file)), evaluate
    )


def _vernier() -> Evaluator:
    from vernier._core import evaluate_bbox_grid
    from vernier.instance import CocoDataset

    def evaluate(truth: Any, results: bytes) -> float:
        grid = evaluate_bbox_grid(
            truth,
            results,
            parity_mode="strict",
            max_dets_per_image=300,
            use_cats=True,
            num_threads=int(os.environ[THREADS[0]]),
        )
        return float(grid.accumulate([300]).summarize_lvis(truth, [300]).stats[0])

    return Evaluator(
        lambda file: CocoDataset.from_lvis_json(file.read_bytes()),
        lambda file, _: file.read_bytes(),
        evaluate,
    )


PACKAGES = {"bacl": _bacl, "hotcoco": _hotcoco, "vernier": _vernier, "lvis": _lvis}


def report(name: str, folder: Path, threads: int) -> str:
    """A line of the table, measured in another process."""
    if importlib.util.find_spec(name) is None:
        return f"{name:18} is not installed"
    command = [sys.executable, __file__, "--measure", name, str(folder)]
    environment = os.environ | dict.fromkeys(THREADS, str(threads))
    result = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    if result.returncode:
        return f"{name:18} did not run: {result.stderr.strip().splitlines()[-1]}"
    row = json.loads(result.stdout.splitlines()[-1])
    version = ""
    with suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version(name)
    return (
        f"{f'{name} {version}':18}{row['annotations']:13.2f}{row['results']:9.2f}"
        f"{row['evaluate']:10.2f}{row['peak']:10.0f}{row['AP']:12.8f}"
        f"{row['read by the clock']:13.2f}{row['evaluated by the clock']:13.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--detections", type=int, default=300)
    parser.add_argument("--categories", type=int, default=1203)
    parser.add_argument("--random", action="store_true", help="detections that are near nothing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--evaluators", nargs="+", choices=EVALUATORS, default=EVALUATORS)
    parser.add_argument("--measure", nargs=2, metavar=("EVALUATOR", "FOLDER"), help="one, as json")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure[0], Path(given.measure[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), given.images, given.detections, given.categories, given.random)
        print(f"{'CPU seconds':18}{'annotations':>13}{'results':>9}{'evaluate':>10}", end="")
        print(f"{'peak MiB':>10}{'AP':>12}", end="")
        print(f"{'results s':>13}{'evaluate s':>13}", flush=True)
        for name in given.evaluators:
            print(report(name, Path(folder), given.threads), flush=True)


if __name__ == "__main__":
    main()
