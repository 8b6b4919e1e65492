"""Validation images with the boxes of every head, to be looked at from any score on."""

from typing import Any

import numpy as np

from bacl.data.batch import Detections
from bacl.evaluation.telling_images import TellingImage, leading
from bacl.messages.shown import shown
from bacl.reporting.figures.detection_grid import DetectionSample, balanced_threshold, outlines_of
from bacl.reporting.figures.panel import Outline
from bacl.reporting.html.data_pictures import data_picture
from bacl.reporting.html.markup import element, joined
from bacl.reporting.html.section import Content, LeftOut, Section, Source, shade_class

SIDE = 640
"""Pixels of a picture's longer side on the page, at most."""
BEST = 60
"""Detections of a head in a picture, at most: from a lower score on no picture can be read."""
VERDICTS = {Outline.SOLID: "right", Outline.DASHED: "wrong", Outline.THIN: "unjudged"}
THRESHOLDS = (
    "A head's own threshold is the score from which on it has as many detections in these "
    "pictures as they have objects, so that no head looks better for higher scores. One threshold "
    "for all is what a program has that takes every detection above a fixed score, such as 0.5. "
    "Where thresholds of categories were chosen, each category can have its own."
)
TOLD = (
    "A box is solid where it has an object of its category beneath it (IoU of at least 0.5), "
    "dashed where it has none, and dotted grey where the annotations do not tell. Pictures are "
    "chosen to show both sides: a rare object that the best head calls by its name and the "
    "reference does not, the opposite, and a frequent object that both do."
)


def make(source: Source) -> Content:
    """The pictures, re-encoded, with what was annotated and found in them."""
    pairs = list(source.pictures())
    if not pairs:
        raise LeftOut("no image was kept")
    samples = [sample for _, sample in pairs]
    own = {name: balanced_threshold(samples, name) for name in source.evaluations}
    data = {
        "images": [_image(source, image, sample) for image, sample in pairs],
        "heads": list(source.evaluations),
        "names": [shown(name, 40) for name in source.names],
        "groups": [{"name": g.name, "shade": shade_class(source.grouping, g)}
                   for g in source.grouping.present],
        "group_of": _group_of(source),
        "thresholds": {name: float(f"{value:.4g}") for name, value in own.items()},
        "threshold": source.score_threshold,
        "best": BEST,
    }  # fmt: skip
    body = [element("p", TOLD, class_="note"), element("p", THRESHOLDS, class_="note")]
    return Content(joined([*body, element("div", id="pictures-view")]), data)


def _group_of(source: Source) -> list[int]:
    keys = [group.key for group in source.grouping.present]
    return [keys.index(key) for key in source.grouping.keys.tolist()]


def _image(source: Source, image: TellingImage, sample: DetectionSample) -> dict[str, Any]:
    picture = data_picture(sample.image, SIDE)
    scale = picture.scale
    truth = np.round(sample.boxes.numpy() * scale, 1).tolist()
    labels = sample.labels.tolist()
    return {
        "id": image.image_id,
        "kind": image.kind,
        "told": _told(source, image),
        "source": picture.source,
        "width": picture.width,
        "height": picture.height,
        "truth": [[*box, label] for box, label in zip(truth, labels, strict=True)],
        "found": {name: _found(each, sample, scale) for name, each in sample.detections.items()},
    }


def _told(source: Source, image: TellingImage) -> str:
    """What it is shown for, in words."""
    labels = {n: e.right_labels for n, e in source.evaluations.items() if e.right_labels}
    reference, head = next(iter(source.evaluations)), leading(labels, source.grouping)
    count = f"{image.objects} object{'s' * (image.objects != 1)}"
    both, one = f"{head} and {reference} name", f"{reference} names"
    told = {
        "gain": f"{head} names {count} that {reference} does not",
        "loss": f"{reference} names {count} that {head} does not",
        "hit": f"{both if head else one} {count}",
        "rare objects": f"{count} of the rarest group",
        "other": count,
    }
    if head is None:
        told |= {"gain": f"{one} {count}", "loss": f"{reference} does not name {count}"}
    return f"{image.kind}: {told[image.kind]}"


def _found(found: Detections, sample: DetectionSample, scale: float) -> list[list[Any]]:
    """Boxes xyxy on the page, label, score, and verdict, the best first."""
    best = found.scores.argsort(descending=True, stable=True)[:BEST]
    boxes, labels = found.boxes[best], found.labels[best]
    verdicts = [VERDICTS[outline] for outline in outlines_of(boxes, labels, sample)]
    rows = zip(
        np.round(boxes.numpy() * scale, 1).tolist(), labels.tolist(),
        found.scores[best].tolist(), verdicts, strict=True,
    )  # fmt: skip
    return [[*box, label, float(f"{score:.3g}"), verdict] for box, label, score, verdict in rows]


SECTION = Section("pictures", "Detections", make)
