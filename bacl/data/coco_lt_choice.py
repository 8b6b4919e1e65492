"""Which of COCO's annotations make up COCO-LT (SimCal: Wang et al., ECCV 2020).

The authors publish how many images and instances of each category their set has. In cut categories
nearly every instance has its own image (248 buses lie in 242 images), as if instances had been
drawn one by one whatever image they lie in. This set is made like that:

1. A category's annotations are put in a random order, crowd regions last: no instance to learn.
2. The first annotations of n different images are taken (n: the published images).
3. From the other annotations in these images as many are taken as are missing from the published
   instances, in the same order; where they do not suffice, from other images.

Images that keep an annotation are kept, the others are left out. The random order depends on the
seed and on the annotations' ids alone. A category that COCO has fewer of than published is taken
whole. Published counts include crowd regions (262,465 persons are all that COCO has).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bacl.data.annotations.records import RecordColumns


def choose(records: RecordColumns, published: Mapping[str, Any], seed: int) -> np.ndarray:
    """(A,) bool: the annotations that are taken, category by category."""
    ids, images = np.asarray(records.annotation_ids), np.asarray(records.owners)
    crowd, classes = np.asarray(records.crowd), np.asarray(records.classes)
    chosen = np.zeros(len(ids), bool)
    for category in published["categories"]:
        rows = np.flatnonzero(classes == category["id"])
        rows = rows[np.argsort(ids[rows])]
        # RandomState is the generator whose numbers NumPy promises never to change.
        order = rows[np.random.RandomState([seed, category["id"]]).permutation(len(rows))]
        order = order[np.argsort(crowd[order], kind="stable")]
        ranks = _ranks(images[order], category["image_count"])
        chosen[order[np.argsort(ranks, kind="stable")[: category["instance_count"]]]] = True
    return chosen


def _ranks(images: np.ndarray, number: int) -> np.ndarray:
    """(N,) 0 for the first annotations of `number` images, 1 for others of these, 2 for the rest.

    Args:
        images: (N,) int64, the image of each annotation, in their random order.
        number: how many images are wanted.
    """
    firsts = np.sort(np.unique(images, return_index=True)[1])[:number]
    ranks = np.where(np.isin(images, images[firsts]), 1, 2)
    ranks[firsts] = 0
    return ranks


def closeness(
    records: RecordColumns, chosen: np.ndarray, published: Mapping[str, Any]
) -> dict[str, Any]:
    """Counts of the chosen annotations, and by category name the differences to the published."""
    images, classes = np.asarray(records.owners)[chosen], np.asarray(records.classes)[chosen]
    differences = {}
    for category in published["categories"]:
        own = images[classes == category["id"]]
        instances = len(own) - category["instance_count"]
        pictures = len(np.unique(own)) - category["image_count"]
        if instances or pictures:
            differences[category["name"]] = {"instances": instances, "images": pictures}
    return {
        "images": len(np.unique(images)),
        "instances": len(images),
        "differences": differences,
    }
