"""COCO-LT (SimCal: Wang et al., ECCV 2020): its training annotations, made from COCO's.

Which annotations are taken, and how close they come to the published counts, is in
`bacl.data.coco_lt_choice`.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bacl.data.annotations.choice_writer import START, write_choice
from bacl.data.annotations.json_stream import stream_records
from bacl.data.annotations.records import RecordColumns
from bacl.data.annotations.validation import SECTIONS, AnnotationError, check_unique, positions
from bacl.data.coco_lt_choice import choose, closeness
from bacl.data.missing_files import MissingDataError
from bacl.messages.errors import OptionError, in_one_line
from bacl.options.marks import Free
from bacl.options.ranges import File, Seed
from bacl.processes.progress import byte_progress

_LOG = logging.getLogger(__name__)

PUBLISHED = Path(__file__).with_name("coco_lt_categories.json")
"""Images and instances of each category, and images in all, with their source."""


_DESCRIPTION = "COCO-LT, made from COCO 2017 by the published counts of SimCal"
_LONGEST_INFO = 1 << 16  # characters, several times what 80 categories need


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

    source: Free[File]
    target: Free[File]
    annotations: Free[File]
    seed: Seed
    published: File = PUBLISHED

    @property
    def wanted(self) -> bool:
        """Whether `target` is what is trained on."""
        return Path(self.annotations).absolute() == Path(self.target).absolute()

    @property
    def sources(self) -> list[Path]:
        """The files that are still needed."""
        return [Path(self.source)] if self.wanted and not Path(self.target).exists() else []

    def __call__(self) -> None:
        """Make the file.

        Raises:
            MissingDataError: there is no source, with where it comes from.
            AnnotationError: the source is bad, or has other categories than COCO.
            OptionError: the target was made with another one.
        """
        if self.wanted and Path(self.target).is_file():
            _check_seed(Path(self.target), self.seed)
        for source in self.sources:
            if not source.is_file():
                raise MissingDataError(
                    f"COCO-LT is made from COCO's training annotations, but there is no file "
                    f"{source}: `python run.py job=prepare data=coco_lt` gets it (0.25 GB). Yours "
                    "lies elsewhere: data.builder.source=…; you have an official split: "
                    "data.train.annotations=…"
                )
            build(
                source,
                Path(self.target),
                self.seed,
                json.loads(Path(self.published).read_text(encoding="utf-8")),
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


def _check_seed(target: Path, seed: int) -> None:
    """Refuse a file of this module with another seed; official files carry none."""
    try:
        with target.open(encoding="utf-8", errors="replace") as file:
            start = file.read(_LONGEST_INFO)
        if not start.startswith(START + json.dumps({"description": _DESCRIPTION})[:-1]):
            return
        info, _ = json.JSONDecoder().raw_decode(start, len(START))
        made_with = info["coco_lt"]["seed"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        problem = f"is damaged ({in_one_line(error)}); delete the file to have it made anew"
        raise AnnotationError(target, "info", problem) from error
    if made_with != seed:
        raise OptionError(
            f"data.builder.seed={seed}, but {target} was made with seed {made_with}: "
            "delete that file to have it made anew"
        )


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
    info = {
        "description": _DESCRIPTION,
        "licence": "annotations: CC BY 4.0 (cocodataset.org); images: `licenses` of the source",
        "coco_lt": found,
    }
    write_choice(source, target, info, lambda section, number, _: bool(kept[section][number]))


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
