"""Time of an image at inference, split into its parts (FPS of Tab. XI).

P: proposals of the image. C: foreground classes. A candidate is a (proposal, class) pair whose
score exceeds the threshold of the post-processing.
"""

import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from bacl.detectors.region_detector import RegionDetector
from bacl.heads import Head

OBJECTS = 15
"""Groups of proposals with similar scores in `synthetic_probabilities`."""
Key = TypeVar("Key", bound=Hashable)
Image = tuple[Tensor, tuple[int, int]]
"""(1, 3, H, W) of the network's input, and (height, width) inside its padding."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is timed."""

    head: Head
    candidates: int | None = None
    """Synthetic scores with so many candidates are post-processed; None takes the head's own."""


@dataclass(frozen=True, slots=True)
class Times:
    """Medians over images, in seconds."""

    extractor: float
    """Backbone and feature pyramid."""
    rois: float
    """Proposals, RoI features, box regression and classifier."""
    postprocess: float
    """From scores and deltas to detections."""
    total: float
    """Of the whole image; the median of the sums, not the sum of the medians."""
    candidates: int
    """Median number of candidates."""
    images: int
    """How many were timed."""

    @property
    def images_per_second(self) -> float:
        """FPS of Tab. XI."""
        return 1 / self.total


@torch.no_grad()
def time_images(
    detector: RegionDetector,
    subjects: Mapping[Key, Subject],
    images: Iterable[Image],
    warm_up: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, Times]:
    """Time every subject on every image; the subjects take turns, so that a busy machine hits all.

    Loading an image and moving it to the device are not timed.

    Args:
        detector: in eval mode, on the device of the images.
        subjects: what is timed, by name; their heads are in eval mode on the same device.
        images: the first `warm_up` ones are not counted.
        warm_up: at least 1 on a GPU, whose first image chooses algorithms.
        clock: seconds; on a CPU that others use, `time.process_time` counts this process alone.

    Raises:
        ValueError: there are no more than `warm_up` images.
    """
    rows: dict[Key, list[tuple[float, ...]]] = {name: [] for name in subjects}
    for index, image in enumerate(images):
        for name, subject in subjects.items():
            row = _time_image(detector, subject, image, index, clock)
            if index >= warm_up:
                rows[name].append(row)
    if not all(rows.values()):
        raise ValueError(f"nothing was timed: no more images than the {warm_up} to warm up")
    return {name: _medians(values) for name, values in rows.items()}


def _time_image(
    detector: RegionDetector, subject: Subject, image: Image, seed: int, clock: Callable[[], float]
) -> tuple[float, ...]:
    """Seconds of the three parts, and the number of candidates."""
    pixels, size = image

    def now() -> float:
        if pixels.device.type == "cuda":
            torch.cuda.synchronize(pixels.device)
        return clock()

    start = now()
    pyramid = detector.pyramid(pixels)
    extracted = now()
    (regions,) = detector.inference_regions(pyramid, [size])
    probabilities = subject.head.scores(regions.levels)
    classified = now()
    threshold = detector.postprocess.score_threshold
    if subject.candidates is not None:
        num_classes = probabilities.shape[1] - 1
        probabilities = synthetic_probabilities(
            regions.proposals, num_classes, subject.candidates, threshold, seed
        )
    candidates = int((probabilities[:, :-1] > threshold).sum())
    scored = now()
    detector.detect(regions, probabilities, size)
    end = now()
    return extracted - start, classified - extracted, end - scored, candidates


def _medians(rows: list[tuple[float, ...]]) -> Times:
    extractor, rois, postprocess, candidates = map(statistics.median, zip(*rows, strict=True))
    total = statistics.median(sum(row[:3]) for row in rows)
    return Times(extractor, rois, postprocess, total, int(candidates), len(rows))


def synthetic_probabilities(
    proposals: Tensor, num_classes: int, candidates: int, threshold: float, seed: int
) -> Tensor:
    """Scores such as a trained classifier gives, for weights that are not trained.

    An untrained classifier gives every class about the same score, and with them either no
    candidate or all. Here a class is likely at some of 15 objects and unlikely at others, with
    normal logits of deviation 2, and neighbouring proposals, which belong to the same object,
    differ by normal logits of deviation 1; a shift brings the wanted number above the threshold.

    Args:
        proposals: (P, 4); a proposal belongs to the object with the nearest centre.
        num_classes: C.
        candidates: scores above `threshold`; all P C where there are fewer.
        threshold: in (0, 1).
        seed: of the draws.

    Returns:
        (P, C + 1) float32 on the proposals' device, background (1) last, which nothing reads.
    """
    generator = torch.Generator().manual_seed(seed)
    centres = ((proposals[:, :2] + proposals[:, 2:]) / 2).cpu()
    objects = centres[torch.randperm(len(centres), generator=generator)[:OBJECTS]]
    owner = torch.cdist(centres, objects).argmin(1)
    logits = 2 * torch.randn(len(objects), num_classes, generator=generator)[owner]
    logits += torch.randn(len(centres), num_classes, generator=generator)
    lowest = logits.flatten().topk(min(candidates, logits.numel())).values[-1]
    floor = torch.tensor(threshold).logit() + 1e-5  # the shift rounds; no candidate is lost by it
    scores = (logits - lowest + floor).sigmoid()
    return torch.nn.functional.pad(scores, (0, 1), value=1.0).to(proposals.device)
