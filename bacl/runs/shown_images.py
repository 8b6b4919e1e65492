"""The images that are shown, each with what is annotated there and what the variants found."""

from collections.abc import Iterator, Mapping

import numpy as np

from bacl.data.datamodule import DetectionDataModule
from bacl.data.dataset import DetectionDataset
from bacl.evaluation.evaluation import Evaluation
from bacl.evaluation.telling_images import TellingImage
from bacl.options.sections import Report
from bacl.reporting.figures import DetectionSample
from bacl.runs.evaluated import informative_images

Evaluations = Mapping[str, Evaluation]
COLUMNS = 4
"""Of detections beside the truth."""


def side_by_side(evaluations: Evaluations) -> dict[str, Evaluation]:
    """As many variants as a picture has room for: the first, and the best of the others.

    By the share of right labels, groups alike; the first of equals. In the order given.
    """
    first, *others = evaluations
    keys = [f"right_label_{group.key}" for group in first_of(evaluations).grouping.present]
    best = sorted(others, key=lambda name: -sum(evaluations[name].values[key] for key in keys))
    kept = {first, *best[: COLUMNS - 1]}
    return {name: each for name, each in evaluations.items() if name in kept}


def samples_of(
    evaluations: Evaluations, data: DetectionDataModule, report: Report
) -> Iterator[tuple[TellingImage, DetectionSample]]:
    """The images that are drawn, with the variants' detections; each is loaded when it is asked."""
    dataset, found = data.val_set, first_of(evaluations).detections.image_ids
    ids = data.val_table.image_ids[dataset.records]
    index = {image_id: place for place, image_id in enumerate(ids.tolist())}
    for shown in informative_images(evaluations, report, np.intersect1d(ids, found)):
        yield shown, detection_sample(evaluations, dataset, shown, index[shown.image_id])


def detection_sample(
    evaluations: Evaluations, dataset: DetectionDataset, shown: TellingImage, index: int
) -> DetectionSample:
    """One image with its annotations and the variants' detections, in pixels of the file."""
    _, target = dataset[index]
    judged = first_of(evaluations).truth.judged(target.image_id)
    segmented = any(measure.of_masks for measure in first_of(evaluations).measures)
    return DetectionSample(
        image=dataset.files.load(int(dataset.records[index])).permute(1, 2, 0).numpy(),
        boxes=target.to_original(target.boxes),
        labels=target.labels,
        detections={
            name: each.detections.of_image(target.image_id) for name, each in evaluations.items()
        },
        title=f"image {target.image_id}, {shown.kind}",
        masks=dataset.annotated_masks(index) if segmented else None,
        judged=None if judged.all() else judged,
    )


def first_of(evaluations: Evaluations) -> Evaluation:
    """Of the variant that the others are compared with."""
    return next(iter(evaluations.values()))
