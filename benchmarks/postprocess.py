"""Postprocess of one image with many candidates, against decoding and suppressing all of them.

Run: python benchmarks/postprocess.py [--threads 1] [--device cpu] [--repeats 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torchvision
from torch import Tensor

from bacl.data.batch import Detections
from bacl.detectors.boxes import BoxCoder, clip_boxes
from bacl.detectors.postprocess import Postprocess

SIZE = (800, 1333)
PROPOSALS, CLASSES, OBJECTS = 1000, 1230, 15
THRESHOLD, NMS_IOU, LIMIT = 1e-4, 0.5, 300  # the paper's: score > 1e-4, IoU 0.5, top 300
CODER = BoxCoder((0.1, 0.1, 0.2, 0.2))

Case = tuple[Tensor, Tensor, Tensor]


def make_case(candidates: int, device: str) -> Case:
    """Proposals around objects; `candidates` of the scores exceed the threshold."""
    generator = torch.Generator().manual_seed(0)
    centre = torch.rand(OBJECTS, 2, generator=generator) * torch.tensor([1100.0, 600]) + 100
    of_object = torch.randint(OBJECTS, (PROPOSALS,), generator=generator)
    centre = centre[of_object] + 20 * torch.randn(PROPOSALS, 2, generator=generator)
    half = 40 + 60 * torch.rand(PROPOSALS, 2, generator=generator)
    # A class is likely at some objects and unlikely at others, as with a trained classifier.
    logits = 2 * torch.randn(OBJECTS, CLASSES + 1, generator=generator)[of_object]
    logits += torch.randn(PROPOSALS, CLASSES + 1, generator=generator)
    cut = logits[:, :-1].flatten().sort(descending=True).values[min(candidates, logits.numel()) - 1]
    floor = torch.tensor(THRESHOLD).logit() + 1e-3
    deltas = 0.5 * torch.randn(PROPOSALS, 4 * CLASSES, generator=generator)
    probabilities = (logits - cut + floor).sigmoid()
    case = torch.cat((centre - half, centre + half), 1), deltas, probabilities
    return tuple(part.to(device) for part in case)  # type: ignore[return-value]


def suppress_all(proposals: Tensor, deltas: Tensor, probabilities: Tensor) -> Detections:
    """Decode every box, torchvision's batched suppression of all candidates, then the best."""
    boxes = clip_boxes(CODER.decode(deltas, proposals).unflatten(1, (-1, 4)), SIZE)
    row, label = (probabilities[:, :-1] > THRESHOLD).nonzero(as_tuple=True)
    boxes, scores = boxes[row, label], probabilities[row, label]
    keep = torchvision.ops.batched_nms(boxes, scores, label, NMS_IOU)[:LIMIT]
    return Detections(boxes[keep], scores[keep], label[keep])


def milliseconds(call: Callable[[], Detections], repeats: int, device: str) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rule = Postprocess(THRESHOLD, NMS_IOU, LIMIT, CODER.decode)
    print(f"{PROPOSALS} proposals x {CLASSES} classes, {arguments.threads} threads, medians")
    print("candidates | suppress all, ms | this, ms | ratio | same detections")
    for wanted in (30_000, 600_000, 1_200_000):
        case = make_case(wanted, arguments.device)
        found, reference = rule(*case, SIZE), suppress_all(*case)
        same = found.labels.equal(reference.labels) and found.boxes.equal(reference.boxes)
        slow = milliseconds(partial(suppress_all, *case), arguments.repeats, arguments.device)
        fast = milliseconds(partial(rule, *case, SIZE), arguments.repeats, arguments.device)
        count = int((case[2][:, :-1] > THRESHOLD).sum())
        print(f"{count:10,} | {slow:16.1f} | {fast:8.1f} | {slow / fast:5.0f} | {same}")


if __name__ == "__main__":
    main()
