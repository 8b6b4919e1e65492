"""Validation images whose boxes a person switches on and off, layer by layer.

K: boxes of a layer.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bacl.data.batch import Detections
from bacl.loggers.exhibits import BoxedPicture, BoxedPictures, BoxLayer
from bacl.messages.shown import shown
from bacl.reporting.figures.detection_grid import DetectionSample, balanced_threshold, outlines_of
from bacl.reporting.figures.panel import Outline

PICTURES = 16
BOXES = 30
"""Of a layer in a picture, at most: the best."""
SIDE = 960
"""Pixels of a picture's longer side, at most."""
LONGEST = 40
"""Characters of a name."""
TRUTH = "ground_truth"
UNJUDGED = "not judged"
VERDICTS = {Outline.SOLID: "", Outline.DASHED: ", wrong", Outline.THIN: f", {UNJUDGED}"}


def boxed_pictures(
    samples: Iterable[DetectionSample], names: Sequence[str], score_threshold: float | None
) -> BoxedPictures:
    """The ground truth as a layer, and each head's detections as one or two.

    A layer `<head>` has what can be judged, its captions with "wrong" where there is no object of
    the category beneath (IoU of at least 0.5); `<head>, not judged` has what the annotations do
    not tell. A head's layers have the `BOXES` best detections together.

    Args:
        samples: images; the first `PICTURES` are taken.
        names: of all categories.
        score_threshold: of what is shown; None takes each head's `balanced_threshold`.

    Raises:
        ValueError: no sample.
    """
    taken = list(islice(samples, PICTURES))
    if not taken:
        raise ValueError("no image was kept")
    thresholds = {
        head: balanced_threshold(taken, head) if score_threshold is None else score_threshold
        for head in taken[0].detections
    }
    short = _ShortNames(names)
    pictures = []
    for sample in taken:
        layers = {TRUTH: _truth(sample, short)}
        for head, found in sample.detections.items():
            layers |= _layers(head, found, sample, short, thresholds[head])
        pictures.append(BoxedPicture(_reduced(sample.image), sample.title, layers))
    occurring = {label for each in pictures for own in each.layers.values() for label in own.labels}
    return BoxedPictures(pictures, {label: short[label] for label in sorted(occurring)})


class _ShortNames:
    """Names of categories as they are shown, of those that are asked for."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __getitem__(self, label: int) -> str:
        return shown(self._names[label], LONGEST)


def _truth(sample: DetectionSample, names: _ShortNames) -> BoxLayer:
    boxes, labels = sample.boxes[:BOXES], sample.labels[:BOXES].tolist()
    return BoxLayer(_shares(boxes, sample), labels, [names[label] for label in labels])


def _layers(
    head: str,
    found: Detections,
    sample: DetectionSample,
    names: _ShortNames,
    score_threshold: float,
) -> dict[str, BoxLayer]:
    """Those of a head that have a box."""
    best = found.scores.argsort(descending=True, stable=True)[:BOXES]
    best = best[found.scores[best] >= score_threshold]
    outlines = outlines_of(found.boxes[best], found.labels[best], sample)
    corners, scores = _shares(found.boxes[best], sample), found.scores[best].tolist()
    labels = found.labels[best].tolist()
    captions = [
        f"{names[label]} {score:.2g}{VERDICTS[outline]}"
        for label, score, outline in zip(labels, scores, outlines, strict=True)
    ]
    apart = np.array([outline is Outline.THIN for outline in outlines], bool)
    layers = {}
    for key, which in ((head, ~apart), (f"{head}, {UNJUDGED}", apart)):
        if len(own := np.flatnonzero(which).tolist()):
            layers[key] = BoxLayer(
                corners[own], [labels[n] for n in own], [captions[n] for n in own],
                [scores[n] for n in own],
            )  # fmt: skip
    return layers


def _shares(boxes: Tensor, sample: DetectionSample) -> NDArray[np.float64]:
    """(K, 4) xyxy of boxes in pixels, as shares of the picture's sides."""
    height, width = sample.image.shape[:2]
    corners = boxes.detach().cpu().double().numpy().reshape(-1, 4)
    shares: NDArray[np.float64] = np.clip(corners / (width, height, width, height), 0, 1)
    return shares


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    return np.asarray(picture)
