"""Federated lists that say the opposite of the annotations."""

from collections.abc import Iterator

import numpy as np

from bacl.inspection.finding import Fault, Finding, Place, Severity, first
from bacl.inspection.inspected import Inspected, InspectedSplit

ABSENT = Fault(
    "absent_yet_annotated",
    Severity.ERROR,
    "entries of neg_category_ids name a category that the image has objects of",
    "what goes by the lists, evaluation and some losses, is told two things",
    "remove the category from the image's neg_category_ids, or the annotations",
)


def contradictions(data: Inspected) -> Iterator[Finding]:
    """Categories that an image lists as absent and has objects of, in each split."""
    for split in data.splits:
        images, labels = absent_yet_annotated(split)
        if len(images):
            both = zip(images.tolist(), labels.tolist(), strict=True)
            yield Finding(
                fault=ABSENT,
                split=split.name,
                count=len(images),
                total=len(split.table.negative_pairs()[0]),
                places=first((_place(split, *each),) for each in both),
            )


def absent_yet_annotated(split: InspectedSplit) -> tuple[np.ndarray, np.ndarray]:
    """(N,) image and (N,) label of each entry that is wrong."""
    table, count = split.table, split.table.num_categories
    images, labels = table.negative_pairs()
    real = ~table.ignore
    wrong = np.isin(images * count + labels, split.owners[real] * count + table.labels[real])
    return images[wrong], labels[wrong]


def _place(split: InspectedSplit, image: int, label: int) -> Place:
    rows = split.table.rows(image)
    own = rows.start + np.flatnonzero(split.table.labels[rows] == label)
    return split.place(image, own.tolist(), split.table.category_names[label])
