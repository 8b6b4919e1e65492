"""The official LVIS releases, and COCO-LT: what they hold, where they and their images come from.

LVIS annotates COCO's 2017 images. v0.5 keeps COCO's split (`train2017`, `val2017`), with names such
as `COCO_val2014_000000266409.jpg`; v1 mixes the splits (its validation images come from both
folders) and gives a `coco_url` instead of a name. Both lie in one folder:

    data/lvis/
      annotations/lvis_v0.5_train.json, lvis_v0.5_val.json, lvis_v1_train.json, lvis_v1_val.json
      train2017/000000391895.jpg …      118,287 images, 19.3 GB
      val2017/000000000139.jpg …        5,000 images, 0.8 GB

COCO-LT has the same images; its training annotations are made from COCO's (`bacl.data.coco_lt`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

_LVIS = "https://dl.fbaipublicfiles.com/LVIS"  # lvisdataset.org/dataset
_COCO = "http://images.cocodataset.org/zips"  # cocodataset.org/#download
_COCO_ANNOTATIONS = "http://images.cocodataset.org/annotations/annotations_trainval2017.zip"


@dataclass(frozen=True)
class Archive:
    """A zip file of a release, or one of several files that are wanted of it."""

    url: str
    folder: str
    """Where it is unpacked, below the root."""
    creates: str
    """The file or folder that it leaves there, below the root."""
    size: int | None = None
    """Bytes."""
    md5: str | None = None
    """Lower-case hexadecimal; None where no trustworthy checksum is published."""
    files: int = 1
    """Number of files that it holds of `creates`."""


@dataclass(frozen=True)
class Split:
    """What an annotation file must hold; None is not checked."""

    annotations: str
    """Below the root."""
    images_folder: str
    """Folder that `file_name` starts from, below the root."""
    counts: Mapping[str, int]
    """Keys of `AnnotationTable.report`."""
    groups: Mapping[str, int] = field(default_factory=dict)
    """Number of rare, common and frequent categories."""


@dataclass(frozen=True)
class Release:
    """One version of LVIS, or COCO-LT."""

    train: Split
    val: Split
    archives: tuple[Archive, ...]


# Sizes and MD5 as published with the TensorFlow Datasets and Avalanche copies of the same archives.
_IMAGES = (
    Archive(
        f"{_COCO}/train2017.zip",
        folder=".",
        creates="train2017",
        size=19_336_861_798,
        md5="cced6f7f71b7629ddf16f17bbcfab6b2",
        files=118_287,
    ),
    Archive(
        f"{_COCO}/val2017.zip",
        folder=".",
        creates="val2017",
        size=815_585_330,
        md5="442b8da7639aecaf257c1dceb8ba8c80",
        files=5_000,
    ),
)


def _annotations(name: str, size: int | None = None, md5: str | None = None) -> Archive:
    return Archive(
        f"{_LVIS}/{name}.zip",
        folder="annotations",
        creates=f"annotations/{name}",
        size=size,
        md5=md5,
    )


def _coco_annotations(split: str) -> Archive:
    return Archive(
        _COCO_ANNOTATIONS,
        folder="annotations",
        creates=f"annotations/instances_{split}2017.json",
        size=252_907_541,
        md5="f4bbac642086de4f52a3fdda2de5fa2c",
    )


RELEASES: Mapping[str, Release] = {
    "lvis_v0.5": Release(
        train=Split(
            annotations="annotations/lvis_v0.5_train.json",
            images_folder="train2017",
            # The paper says 57k images; the exact number is not checked.
            counts={"annotations": 693_958, "categories": 1230},
            groups={"r": 454, "c": 461, "f": 315},
        ),
        val=Split(
            annotations="annotations/lvis_v0.5_val.json",
            images_folder="val2017",
            counts={"images": 5_000, "categories": 1230},
        ),
        # No checksum is published for these two: their counts are checked after unpacking.
        archives=(
            _annotations("lvis_v0.5_train.json"),
            _annotations("lvis_v0.5_val.json"),
            *_IMAGES,
        ),
    ),
    "lvis_v1.0": Release(
        train=Split(
            annotations="annotations/lvis_v1_train.json",
            images_folder=".",
            counts={"images": 100_170, "annotations": 1_270_141, "categories": 1203},
            groups={"r": 337, "c": 461, "f": 405},
        ),
        val=Split(
            annotations="annotations/lvis_v1_val.json",
            images_folder=".",
            counts={"images": 19_809, "annotations": 244_707, "categories": 1203},
        ),
        archives=(
            _annotations("lvis_v1_train.json", 350_264_821, "4410d837f71203af226950447ef9d422"),
            _annotations("lvis_v1_val.json", 64_026_968, "87734a7f895990b9552075d7ce723e27"),
            *_IMAGES,
        ),
    ),
    "coco_lt": Release(
        train=Split(
            annotations="annotations/coco_lt_train.json",
            images_folder="train2017",
            # Published are 99,411 images; what the builder makes comes close (`bacl.data.coco_lt`).
            counts={"annotations": 666_493, "categories": 80},
        ),
        val=Split(
            annotations="annotations/instances_val2017.json",
            images_folder="val2017",
            counts={"images": 5_000, "annotations": 36_781, "categories": 80},
        ),
        archives=(_coco_annotations("train"), _coco_annotations("val"), *_IMAGES),
    ),
}
"""Known numbers and sources, by the `name` of a `data` option."""
