"""RoIAlign over a pyramid, forward and with gradient, against torchvision's operator.

Run: python benchmarks/roi_align.py [--threads 1 2] [--repeats 3]

Wall time is what counts on an idle machine; CPU time can be compared on a busy one.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torchvision
from torch import Tensor

from bacl.detectors.roi_align import roi_align

STRIDES = (4, 8, 16, 32)
SIDE = 7

Level = tuple[Tensor, Tensor, Tensor, float]
Pool = Callable[[Tensor, Tensor, int, float], Tensor]


def make_pyramid(
    images: int, height: int, width: int, channels: int, rois: int, smallest: float, layout: str
) -> list[Level]:
    """Features, RoIs, output gradient and scale per level; RoI sizes are log-uniform."""
    torch.manual_seed(0)
    side = smallest * (min(height, width) / smallest) ** torch.rand(rois, 1)
    aspect = torch.exp(0.35 * torch.randn(rois, 1))
    limit = torch.tensor([width - 1.0, height - 1.0])
    extent = torch.minimum(side * torch.cat((aspect, 1 / aspect), 1), limit)
    corner = torch.rand(rois, 2) * (limit - extent)
    image = torch.randint(images, (rois, 1)).float()
    boxes = torch.cat((image, corner, corner + extent), 1)
    level = torch.floor(torch.log2(extent.prod(1).sqrt() / 56 + 1e-6)).clamp(0, 3)
    memory = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}[layout]
    pyramid = []
    for index, stride in enumerate(STRIDES):
        shape = images, channels, math.ceil(height / stride), math.ceil(width / stride)
        chosen = boxes[level == index]
        gradient = torch.randn(len(chosen), channels * SIDE * SIDE)
        features = torch.randn(shape).contiguous(memory_format=memory)
        pyramid.append((features, chosen, gradient, 1 / stride))
    return pyramid


def torchvision_roi_align(features: Tensor, rois: Tensor, side: int, scale: float) -> Tensor:
    return torchvision.ops.roi_align(features, rois, side, scale, 0, aligned=True)


def forward(pool: Pool, pyramid: list[Level]) -> None:
    """Pool all levels and flatten, as the first linear layer of a box head needs it."""
    for features, rois, _, scale in pyramid:
        pool(features, rois, SIDE, scale).flatten(1)


def forward_backward(pool: Pool, pyramid: list[Level]) -> None:
    for features, rois, gradient, scale in pyramid:
        leaf = features.detach().requires_grad_()
        pooled = pool(leaf, rois, SIDE, scale).flatten(1)
        torch.autograd.grad(pooled, leaf, gradient)


def milliseconds(call: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Median wall and CPU time (of all threads) of a call."""
    call()
    wall, cpu = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return 1000 * statistics.median(wall), 1000 * statistics.median(cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    sizes = {
        "2 x 800 x 1066, 256 channels, 1024 RoIs": (2, 800, 1066, 256, 1024, 16),
        "8 x 128 x 128, 64 channels, 1024 RoIs": (8, 128, 128, 64, 1024, 10),
    }
    print("threads | layout | pass | torchvision, ms (CPU) | this, ms (CPU) | ratio (CPU)")
    for title, size in sizes.items():
        print(title)
        for layout in ("NCHW", "channels last"):
            pyramid = make_pyramid(*size, layout)
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                for name, run in (("forward", forward), ("with gradient", forward_backward)):
                    slow, slow_cpu = milliseconds(
                        partial(run, torchvision_roi_align, pyramid), arguments.repeats
                    )
                    fast, fast_cpu = milliseconds(
                        partial(run, roi_align, pyramid), arguments.repeats
                    )
                    print(
                        f"{threads} | {layout:13} | {name:13} | {slow:7.1f} ({slow_cpu:7.1f}) | "
                        f"{fast:6.1f} ({fast_cpu:6.1f}) | {slow / fast:5.1f} "
                        f"({slow_cpu / fast_cpu:.1f})",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
