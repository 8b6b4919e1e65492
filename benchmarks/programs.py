"""Backbone and pyramid as programs of torch.compile, against layer by layer, on a CPU.

    OMP_NUM_THREADS=1 TORCHINDUCTOR_COMPILE_THREADS=1 python benchmarks/programs.py

Processor seconds of this process and, for the compilation, of the C++ compilers that it starts; so
other work on the machine counts little. Weights are random. Inductor keeps what it compiled in its
cache on disk: set TORCHINDUCTOR_CACHE_DIR to an empty folder to time a first compilation.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from inference import CONF

from bacl.detectors.compiled import CompiledExtractor
from bacl.detectors.faster_rcnn import FasterRCNN

CASES = (("faster_rcnn_mobilenet", (320, 448)), ("faster_rcnn_r50", (480, 640)))


def built(name: str) -> FasterRCNN:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        added = [f"+detector={name}", "+data.num_classes=60", "detector.backbone.weights=null"]
        config = compose(overrides=added)
    torch.manual_seed(0)
    return instantiate(config.detector, _convert_="all")


def seconds(call: Callable[[], Any]) -> float:
    """Of the processor, of this process and those that it has waited for."""

    def now() -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + ended.ru_utime + ended.ru_stime

    start = now()
    call()
    return now() - start


def frozen(detector: FasterRCNN, images: torch.Tensor) -> Callable[[], Any]:
    detector.eval().requires_grad_(False)
    return lambda: detector.pyramid(images)


def trained(detector: FasterRCNN, images: torch.Tensor) -> Callable[[], Any]:
    detector.train()
    return lambda: sum(level.mean() for level in detector.pyramid(images)).backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trained", action="store_true", help="forward and backward")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    step = trained if arguments.trained else frozen
    print(f"{'detector':24}{'image':>12}{'layers, s':>11}{'program, s':>12}{'compiling, s':>14}")
    for name, sides in CASES:
        detector, images = built(name), torch.randn(1, 3, *sides)
        call = step(detector, images)
        call()
        layers = statistics.median(seconds(call) for _ in range(arguments.repeats))
        detector.extract = CompiledExtractor(1)
        first = seconds(call)
        program = statistics.median(seconds(call) for _ in range(arguments.repeats))
        size = f"{sides[0]}x{sides[1]}"
        print(f"{name:24}{size:>12}{layers:>11.3f}{program:>12.3f}{first - program:>14.1f}")


if __name__ == "__main__":
    main()
