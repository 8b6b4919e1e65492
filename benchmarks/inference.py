"""Images per second of BACL against the softmax baseline on the same detector (FPS of Tab. XI).

Run: python benchmarks/inference.py [--threads 2] [--repeats 5] [--device cpu] [--cpu-time]

Both classify the RoIs of one Faster R-CNN R-50-FPN with 1230 classes in random 800×1333 images, in
turns. Weights are random, so the scores that are post-processed are synthetic: 30,000 of them
exceed 1e-4 for the baseline, three times as many for BACL (the paper's ratio), and 600,000.
With --cpu-time the clock is the processor time of this process, for a CPU that others use too.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from bacl.data.batch import padded_sides
from bacl.speed.image_times import Subject, Times, time_images

CONF = Path(__file__).resolve().parents[1] / "conf"
SIZE, CLASSES = (800, 1333), 1230
CASES = (("baseline", 30_000), ("bacl", 90_000), ("bacl", 600_000))
HEADS = {"baseline": "cross_entropy", "bacl": "bacl"}


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        added = ["+detector=faster_rcnn_r50", f"+data.num_classes={CLASSES}", "+seed=0"]
        return compose(overrides=[*added, "detector.backbone.weights=null", *overrides])


def measure(repeats: int, device: str, clock: Callable[[], float]) -> dict[tuple[str, int], Times]:
    detector = instantiate(composed().detector).eval().to(device)
    heads = {
        name: instantiate(composed(f"+head={head}").head).eval().to(device)
        for name, head in HEADS.items()
    }
    subjects = {(name, count): Subject(heads[name], count) for name, count in CASES}
    pixels = torch.randn(1, 3, *padded_sides(*SIZE)).to(device)
    return time_images(detector, subjects, [(pixels, SIZE)] * (repeats + 1), warm_up=1, clock=clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    measured = measure(arguments.repeats, arguments.device, clock)
    reference = measured[CASES[0]]
    seconds = "processor time" if arguments.cpu_time else "wall clock"
    print(
        f"{arguments.device}, {arguments.threads} threads, {seconds}, medians of "
        f"{arguments.repeats} images"
    )
    print("head     | candidates | images/s | of baseline | parts, ms")
    for (name, _), times in measured.items():
        parts = [1000 * part for part in (times.extractor, times.rois, times.postprocess)]
        print(
            f"{name:8} | {times.candidates:10,} | {times.images_per_second:8.2f} | "
            f"{reference.total / times.total:11.2f} | "
            f"extractor {parts[0]:.0f}, RoIs {parts[1]:.0f}, post-processing {parts[2]:.1f}"
        )


if __name__ == "__main__":
    main()
