"""COCO-LT (SimCal: Wang et al., ECCV 2020), made from COCO's training annotations.

The authors publish how many images and instances of each category their set has. The published
image counts are those of instances drawn one by one, whatever image they lie in (248 buses in 242
images, where COCO has 1.5 buses per image), so the set is made like this, category by category:

1. Its annotations are put in a random order, crowd regions last: a crowd is no instance to learn.
2. The first annotations of n different images are taken (n: the published images).
3. From the other annotations in these images as many are taken as are missing from the published
   instances, in the same order; where they do not suffice, from other images.

Images that keep an annotation are kept, the others are left out. The random order depends on the
seed and on the annotations' ids alone. A category that COCO has fewer of than published is taken
whole. Published counts include crowd regions (262,465 persons are all of COCO's).
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from bacl.atomic import replacing
from bacl.data.disk import require_space
from bacl.data.json_stream import stream_records
from bacl.data.prepare import MissingDataError
from bacl.data.progress import byte_progress
from bacl.data.records import RecordColumns
from bacl.data.validation import SECTIONS, AnnotationError, check_unique, positions

_LOG = logging.getLogger(__name__)

PUBLISHED = Path(__file__).with_name("coco_lt_categories.json")
"""Images and instances of each category, and images in all, with their source."""


@dataclass(frozen=True)
class COCOLTBuilder:
    """Makes the training annotations where they are missing.

    Args:
        source: COCO's instances_train2017.json.
        target: where the annotations go; nothing is done where they exist already.
        annotations: what is trained on; nothing is done where that is another file than `target`,
            such as an official split.
        seed: of the choice of annotations.
        published: the counts to follow, in the format of `PUBLISHED`.
    """

    source: str | Path
    target: str | Path
    annotations: str | Path
    seed: int
    published: str | Path = PUBLISHED

    @property
    def sources(self) -> list[Path]:
        """The files that are still needed."""
        wanted = Path(self.annotations).absolute() == Path(self.target).absolute()
        return [Path(self.source)] if wanted and not Path(self.target).exists() else []

    def __call__(self) -> None:
        """Make the file.

        Raises:
            MissingDataError: there is no source, with where it comes from.
            AnnotationError: the source is bad, or has other categories than COCO.
        """
        for source in self.sources:
            if not source.is_file():
                raise MissingDataError(
                    f"COCO-LT is made from COCO's training annotations, but there is no file "
                    f"{source}: `python run.py job=prepare data=coco_lt` gets it (0.25 GB). Yours "
                    "lies elsewhere: data.builder.source=…; you have an official split: "
                    "data.train.annotations=…"
                )
            build(
                source, Path(self.target), self.seed, json.loads(Path(self.published).read_text())
            )


def build(source: Path, target: Path, seed: int, published: Mapping[str, Any]) -> dict[str, Any]:
    """Write the long-tailed choice of `source` to `target`, whole or not at all.

    Returns:
        What `target` says in `info.coco_lt`: the seed, and how close the counts are to `published`.
    """
    records = _read(source)
    _check_categories(source, records, published)
    chosen = choose(records, published, seed)
    found = {"seed": seed, "source": source.name, **closeness(records, chosen, published)}
    images = positions(
        source,
        lambda n: f"annotations[{n}].image_id",
        np.asarray(records.owners),
        np.asarray(records.image_ids),
        "image",
    )
    kept = {"annotations": chosen, "images": np.zeros(len(records.image_ids), bool)}
    kept["images"][images[chosen]] = True
    kept["categories"] = np.ones(len(records.categories), bool)
    _write(source, target, kept, found)
    _report(target, found, published)
    return found


def choose(records: RecordColumns, published: Mapping[str, Any], seed: int) -> np.ndarray:
    """(A,) bool: the annotations that are taken, by the algorithm of this module."""
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


def _read(source: Path) -> RecordColumns:
    records = RecordColumns(source)
    collect = {
        "images": records.image,
        "categories": records.category,
        "annotations": records.annotation,
    }
    with byte_progress(f"reading {source.name}", source.stat().st_size) as advance:
        for section, number, record in stream_records(source, SECTIONS, advance):
            collect[section](number, record)
    check_unique(source, "annotations", np.asarray(records.annotation_ids))
    return records


def _check_categories(source: Path, records: RecordColumns, published: Mapping[str, Any]) -> None:
    wanted = {category["id"]: category["name"] for category in published["categories"]}
    found = {category["id"]: category["name"] for category in records.categories}
    for identifier in sorted(wanted.keys() | found.keys()):
        if wanted.get(identifier) != found.get(identifier):
            raise AnnotationError(
                source,
                f"category {identifier}",
                f"is {found.get(identifier)!r}, expected {wanted.get(identifier)!r}: COCO-LT is "
                "made from COCO's instances_train2017.json",
            )


def _write(
    source: Path, target: Path, kept: Mapping[str, np.ndarray], found: Mapping[str, Any]
) -> None:
    size = source.stat().st_size
    target.parent.mkdir(parents=True, exist_ok=True)
    require_space(target.parent, size, target.name)
    info = {
        "description": "COCO-LT, made from COCO 2017 by the published counts of SimCal",
        "licence": "annotations: CC BY 4.0 (cocodataset.org); images: `licenses` of the source",
        "coco_lt": found,
    }
    with (
        replacing(target) as temporary,
        temporary.open("w", encoding="utf-8") as file,
        byte_progress(f"writing {target.name}", size) as advance,
    ):
        file.write('{"info":' + json.dumps(info))
        for section, records in groupby(stream_records(source, SECTIONS, advance), itemgetter(0)):
            file.write(f',\n"{section}":[')
            separator = "\n"
            for _, number, record in records:
                if kept[section][number]:
                    file.write(separator + json.dumps(record, separators=(",", ":")))
                    separator = ",\n"
            file.write("]")
        file.write("}\n")


def _report(target: Path, found: Mapping[str, Any], published: Mapping[str, Any]) -> None:
    instances = sum(category["instance_count"] for category in published["categories"])
    exact = len(published["categories"]) - len(found["differences"])
    _LOG.info(
        "%s: %d instances (published %d) in %d images (published %d); %d of %d categories have "
        "the published instances and images",
        *(target, found["instances"], instances, found["images"], published["images"]),
        *(exact, len(published["categories"])),
    )
    for name, difference in found["differences"].items():
        _LOG.warning(
            "%s: %s has %+d instances and %+d images compared with the published counts",
            *(target, name, difference["instances"], difference["images"]),
        )
