"""How many images and objects of each category there are, and which go together.

C: categories, by the labels and groups of the training file.
"""

from typing import Any

import numpy as np

from bacl.inspection.inspected import Inspected, InspectedSplit
from bacl.inspection.neighbours import close_pairs, joined

SHOWN = 10
"""Pairs of categories that are told."""


def category_rows(data: Inspected) -> list[dict[str, Any]]:
    """A row for each category, by label.

    `train_images` and `train_objects` are all that the training file has (crowds and ignored ones
    aside), `trained_images` and `trained_objects` those that are trained on, `val_…` those that are
    judged; `absent_in` is the number of validation images that list the category as absent.
    """
    train, val = data.train.table, data.val
    count = train.num_categories
    absent = np.bincount(val.table.negative_pairs()[1], minlength=count)
    columns: dict[str, Any] = {
        "id": train.category_ids,
        "name": train.category_names,
        "frequency": train.frequency,
        "train_images": train.image_counts,
        "train_objects": train.instance_counts,
        "trained_images": images_with(data.train),
        "trained_objects": np.bincount(train.labels[data.train.objects], minlength=count),
        "val_images": images_with(val),
        "val_objects": np.bincount(val.table.labels[val.objects], minlength=count),
        "absent_in": absent,
    }
    plain = [np.asarray(column).tolist() for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*plain, strict=True)]


def images_with(split: InspectedSplit) -> np.ndarray:
    """(C,) images with a used object of the category."""
    _, labels = _pairs(split)
    return np.bincount(labels, minlength=split.table.num_categories)


def imbalance(counts: np.ndarray) -> float:
    """The largest over the smallest of (C,) counts, those of 0 aside; 1 where there are none."""
    some = counts[counts > 0]
    return float(some.max() / some.min()) if len(some) else 1.0


def seen_together(split: InspectedSplit) -> list[dict[str, Any]]:
    """The pairs of categories that share most images, with how many show each of the two."""
    images, labels = _pairs(split)
    alone, names = images_with(split), split.table.category_names
    one, other = joined(close_pairs(len(images), lambda i, j: images[i] == images[j]))
    count = split.table.num_categories
    pairs, numbers = np.unique(labels[one] * count + labels[other], return_counts=True)
    most = np.argsort(-numbers, kind="stable")[:SHOWN]
    return [
        {
            "names": [names[label] for label in pair],
            "images": number,
            "images_of_each": [int(alone[label]) for label in pair],
        }
        for pair, number in zip(
            zip(*(part[most].tolist() for part in divmod(pairs, count)), strict=True),
            numbers[most].tolist(),
            strict=True,
        )
    ]


def split_counts(split: InspectedSplit) -> dict[str, Any]:
    """Numbers of a split as a whole; lists of an image as their mean and largest lengths."""
    table = split.table
    lists = {
        "absent": table.negative_pairs()[0],
        "not_exhaustive": table.not_exhaustive_pairs()[0],
        "annotated": _pairs(split)[0],
    }
    lengths = {key: np.bincount(of, minlength=table.num_images) for key, of in lists.items()}
    short = table.image_sizes[split.used].min(axis=1)
    return {
        "annotations": str(table.source),
        "images": table.num_images,
        "images_used": int(split.used.sum()),
        "annotations_in_file": table.num_annotations,
        "objects_used": len(split.objects),
        "federated": not table.exhaustive,
        "categories_of_an_image": {
            key: {"mean": float(each.mean()), "largest": int(each.max())}
            for key, each in lengths.items()
        },
        "short_side": _quantiles(short),
        "long_side": _quantiles(table.image_sizes[split.used].max(axis=1)),
        "objects_of_an_image": _quantiles(
            np.bincount(split.owners[split.objects], minlength=table.num_images)[split.used]
        ),
    }


def _quantiles(values: np.ndarray) -> dict[str, float]:
    """Smallest, median and largest."""
    if not len(values):
        return {"smallest": 0.0, "median": 0.0, "largest": 0.0}
    found = np.quantile(values, (0, 0.5, 1)).tolist()
    return dict(zip(("smallest", "median", "largest"), found, strict=True))


def _pairs(split: InspectedSplit) -> tuple[np.ndarray, np.ndarray]:
    """(P,) image and (P,) label of every category that an image has a used object of, sorted."""
    count = split.table.num_categories
    labels = split.table.labels[split.objects].astype(np.int64)
    return np.divmod(np.unique(split.owners[split.objects] * count + labels), count)
