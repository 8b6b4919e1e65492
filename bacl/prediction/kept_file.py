"""A batch of detections as a file of arrays, of which nothing is executed."""

import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bacl.data.batch import Detections, Target
from bacl.data.images.read_pictures import Unreadable
from bacl.data.images.traits import Trait
from bacl.files.atomic import replacing
from bacl.prediction.detected_batch import DetectedBatch

DAMAGED = (
    *(OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile),
    RuntimeError,  # of a single byte that says how the file is packed
)
"""What a file that is not one of these is refused with, one cut off among them."""
_COLUMNS = ("boxes", "scores", "labels")


def write_batch(path: Path, key: str, batch: DetectedBatch) -> None:
    """Write a batch, without frames, whole or not at all.

    Args:
        path: of the file.
        key: of the prediction that it is of.
        batch: its detections are on the CPU.
    """
    arrays: Any = _arrays(key, batch)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_batch(path: Path, key: str) -> DetectedBatch:
    """The batch in a file, whose targets know of sizes the picture's own.

    Raises:
        DAMAGED: any of these: it is damaged, or of another prediction than that of `key`.
    """
    with np.load(path, allow_pickle=False) as arrays:
        said = json.loads(arrays["said"].tobytes())
        if said["key"] != key:  # another command has the same folder
            raise ValueError(f"{path}: of another prediction")
        detections = {
            head: [
                _detections(arrays, f"{place}/{number}", said["masks"][head][number])
                for number in range(len(said["ids"]))
            ]
            for place, head in enumerate(said["heads"])
        }
    unreadable = [Unreadable(**each) for each in said["unreadable"]]
    pairs = zip(said["ids"], said["sizes"], strict=True)
    targets = [_target(number, tuple(size)) for number, size in pairs]
    return DetectedBatch(targets, [Trait(x) for x in said["traits"]], unreadable, detections)


def _arrays(key: str, batch: DetectedBatch) -> dict[str, np.ndarray]:
    said = {
        "key": key,
        "ids": [target.image_id for target in batch.targets],
        "sizes": [target.original_size for target in batch.targets],
        "traits": [int(each) for each in batch.traits],
        "unreadable": [asdict(each) for each in batch.unreadable],
        "heads": list(batch.detections),
        "masks": {head: [_texts(x) for x in own] for head, own in batch.detections.items()},
    }
    arrays = {"said": np.frombuffer(json.dumps(said).encode(), dtype=np.uint8)}
    for place, own in enumerate(batch.detections.values()):
        for number, each in enumerate(own):
            for column in _COLUMNS:
                arrays[f"{place}/{number}/{column}"] = getattr(each, column).numpy()
    return arrays


def _texts(found: Detections) -> list[Any] | None:
    if found.masks is None:
        return None
    return [{**mask, "counts": mask["counts"].decode("ascii")} for mask in found.masks]


def _detections(arrays: Any, at: str, masks: list[Any] | None) -> Detections:
    boxes, scores, labels = (torch.from_numpy(arrays[f"{at}/{column}"]) for column in _COLUMNS)
    own = masks and [{**mask, "counts": mask["counts"].encode("ascii")} for mask in masks]
    return Detections(boxes, scores, labels, own)


def _target(image_id: int, size: Any) -> Target:
    nothing = torch.zeros(0, dtype=torch.int64)
    return Target(image_id, torch.zeros(0, 4), nothing, size, size, size, nothing, nothing)
